//! State is only ever a fold of events: the same for the engine, the console, the headless printer and `hms replay`.

mod course;
mod job;
mod rollout;
mod run;

pub use course::{Course, Mark, MarkKind, Told};
pub use job::{ArtifactsLife, AttemptState, DeployEnd, JobState, JobStatus};
pub use rollout::{Production, RolloutPhase, RolloutState};
pub use run::{EngineState, RunState};
