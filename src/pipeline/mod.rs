//! `.hms-ci.yml` → [`Pipeline`] → [`Plan`]: a compatible subset of GitLab CI's language, and GitLab's scheduling.
//!
//! Pure: no clock, and no I/O beyond the bytes handed in. This room knows what a file says and what follows from it; it runs
//! nothing, and `.hms` is kept but not read ([`Pipeline::settings`]).
//!
//! ```text
//! bytes ─ read ─► Pipeline ─ plan(variables, CI_*) ─► Plan ─ next(statuses) ─► Step…
//!           └► Problem… (line, column, what, what was meant)
//! ```
//!
//! There are three deviations from GitLab, each told as a note when it is used and turned off by
//! [`ReadOptions::gitlab_strict`]:
//!
//! * (a) `artifacts: dist/` is `artifacts: {paths: [dist/]}`;
//! * (b) a job without `stage` whose name is one of the file's own `stages` runs there;
//! * (c) a manual job that deploys, or that a job which deploys needs, blocks unless it sets `allow_failure`.
//!
//! What becomes of every keyword is in the tables of [`keyword`]; the smallest reader of one is `read/image.rs`.

mod composite;
mod deploys;
mod duration;
mod expand;
mod expression;
mod graph;
pub mod keyword;
mod plan;
mod planner;
mod predefined;
mod problem;
mod read;
mod rule;
mod schedule;
mod slug;
mod spec;
mod suggest;

pub use composite::{Scheduling, composite};
pub use expand::expand_for_runner;
pub use plan::{Job, JobEnvironment, Need, Plan};
pub use planner::{PlanInputs, plan};
pub use predefined::{JobFacts, PipelineFacts, Reference, predefined, predefined_for_job};
pub use problem::{Problem, Severity};
pub use read::{ReadOptions, Reading, read};
pub use schedule::{Step, next};
pub use slug::{environment_slug, slug};
pub use spec::{Artifacts, ArtifactsWhen, Pipeline};
