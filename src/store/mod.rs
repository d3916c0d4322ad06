//! What lies on disk and who holds it: journals, locks, process names, whole-file writes, sockets, folders.
//!
//! The only room that syncs to disk, reads the clock and the process table. It knows the shape of no event: journals are
//! generic. It names only [`event`](crate::event). Formats: `docs/decisions.md` 2, 3 and 4.

mod chain;
mod change;
mod clock;
mod crash;
mod files;
mod home;
mod inside;
mod journal;
mod lock;
mod places;
mod process;
mod socket;

pub use chain::chain;
pub use change::Changes;
pub use clock::{monotonic_ms, now};
pub use crash::CrashPoint;
#[cfg(test)]
pub(crate) use crash::hook as crash_hook;
pub(crate) use crash::reach;
pub use files::{DiskError, Prepared, make_private_folder, read_if_there, replace, sync_folder, write_new};
pub use home::{AtHome, settle};
pub use inside::{Inside, asks_from_inside, inside_run, mark_value, this_inside_run};
pub use journal::{Durability, Journal, JournalError, Opened, Tail, read, read as journal_events};
pub use lock::{Holder, Lock, LockError, holder_of};
pub use places::{Places, PlacesError, socket_name};
pub use process::{
    KEPT, Signal, ancestors, environment_has, executable, is_alive, is_stopped, name_of, pidfd, send_signal, this_process, with_mark,
    without_terminal_since,
};
pub use socket::{Answer, Bound, Hello, LOOK, Peer, SocketError, accept, ask, bind, peer_of, write_line};
