//! `.hms-ci.yml` → [`Pipeline`] → [`Plan`]: a compatible subset of GitLab CI's language, and GitLab's scheduling.
//!
//! Pure: no clock, and no I/O beyond the bytes that a [`Files`] hands in. This room knows what a file says and what follows from
//! it; it runs nothing, and `.hms` is kept but not read ([`Pipeline::settings`]). What it fixes for good: `docs/decisions.md` 15.
//!
//! ```text
//! bytes ─ gather ─► one tree ─ read ─► Pipeline ─ plan(variables, CI_*, Files) ─► Plan ─ next(statuses) ─► Step…
//!   inputs, include, extends,   └► Problem… (file, line, column,          └► Trace (which rule, which source)
//!   !reference                       what, what was meant)
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
mod environment;
mod expand;
mod explain;
mod expression;
mod files;
mod gather;
mod glob;
mod graph;
mod kept;
pub mod keyword;
mod matrix;
mod only;
mod partial;
mod plan;
mod planner;
mod predefined;
pub mod predefined_table;
mod problem;
mod read;
mod rule;
mod schedule;
mod schema;
mod slug;
mod spec;
mod suggest;
mod trace;

pub use composite::{Scheduling, composite};
pub use environment::{guessed_tier, is_environment_name};
pub use expand::{expand_for_include, expand_for_runner};
pub use explain::Explained;
pub use files::{Elsewhere, Files, Foreign, Identity, NoFiles, Remote, Since};
pub use gather::{Fetched, Surroundings};
pub use kept::{
    Artifacts, ArtifactsWhen, AutoCancel, AutoStop, Cache, CacheKey, ImageOptions, KeyOf, OnJobFailure, OnNewCommit, Retry, RetryWhen,
    Service,
};
pub use partial::{Needed, NoPart, Part};
pub use plan::{Job, JobEnvironment, Need, Plan};
pub use planner::{PlanInputs, plan, plan_in};
pub use predefined::{JobFacts, PipelineFacts, Reference, predefined, predefined_for_job};
pub use problem::{Problem, Severity};
pub use read::{Purpose, ReadOptions, Reading, read, read_in, settings};
pub use schedule::{Seen, Step, next};
pub use schema::schema;
pub use slug::{environment_slug, slug};
pub use spec::Pipeline;
pub use trace::{Considered, Origin, RuleLook, Trace, Valued, Why};
