//! Where a job's script runs, and the keeper that watches over it.
//!
//! The engine starts one keeper an attempt ([`start_keeper`]): hms again, in a session of its own, with the specification on its
//! standard input. The keeper runs the shell, masks and writes the log, ends whatever is left, keeps the artifacts, and writes the
//! exit record last. It outlives the engine; another engine learns from the attempt's folder how things stand ([`keeper_state`]),
//! and ends what a dead keeper left ([`sweep`]).
//!
//! This room names `event` and `store` alone. It decides nothing about a run: it says how one attempt ended.
//!
//! ```text
//! spec ─► keeper ─► stage (one shell) ─► log ─► mask ─► file
//!            │         └ signals, ending ─ descent
//!            └► artifacts, counts ─► record
//! ```

mod artifacts;
mod attempt;
mod cache;
mod counts;
mod coverage;
mod descent;
mod dotenv;
mod ending;
mod error;
mod keeper;
mod log;
mod mask;
mod progress;
mod record;
mod shell;
mod signals;
mod spec;
mod stage;
mod start;
mod sweep;
mod variable_files;
mod variable_name;
mod variants;

pub use artifacts::{KeptArtifact, KeptArtifacts, artifact_glob_names, kept_artifacts};
pub use cache::{CachePolicy, CacheSpec};
pub use dotenv::{DOTENV_BYTES, DOTENV_VARIABLES, DotenvError, read_dotenv};
pub use error::ExecutorError;
pub use keeper::keeper_main;
pub use mask::{NotMaskable, check_maskable};
pub use record::{ArtifactCounts, ExitRecord, KeeperState, keeper_state, last_words, log_path};
pub use spec::{ArtifactSpec, KeeperSpec, Resource, VariableFile};
pub use start::{StartedKeeper, start_keeper};
pub use sweep::{at_work_below, children_of_this_process, sweep};
pub use variable_files::remove_variable_files;
pub use variable_name::is_variable_name;
