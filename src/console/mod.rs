//! The terminal UI. It only looks: a [`Source`] gives it a [`View`] folded from journals and logs, and takes its requests;
//! what it may name of the other rooms is `event`, `text`, `store` and the readers of runs and rollouts.
//!
//! A key becomes pixels in one direction: key → keymap → `Action` → `update(&mut Ui, &View)` → [`Request`] → the engine →
//! journal → [`View`] → frame. `update` and the panes are pure, so a replay and every test of a screen are the same mechanism.
//!
//! What must stay true: nothing is drawn or written unless something changed · nothing wakes unless something on the screen
//! ages · every text from outside is made harmless before it reaches a cell · `R` acts only on what the screen names.

mod clock;
mod dialog;
mod input;
mod keymap;
mod live;
mod log;
mod message;
mod pace;
mod paint;
mod panes;
mod replay;
mod rollback;
mod source;
mod terminal;
mod theme;
mod threads;
mod ui;
mod update;
mod words;

#[cfg(test)]
mod tests;

pub use live::{ConsoleError, LOCAL_FRAME_GAP, Leaving, Options, REMOTE_FRAME_GAP, run};
pub use message::Leave;
pub use paint::Synchronized;
pub use replay::{GraphOf, Replay, environments};
pub use rollback::{Back, Next};
pub use source::{
    Access, EngineLife, EnvironmentView, FreezeView, Graph, GraphPoint, LogBytes, Request, RunSummary, Source, SourceState, Steer, Ticket,
    View, Waker,
};
pub use theme::{Colour, Glyphs};
