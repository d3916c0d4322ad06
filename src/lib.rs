//! hms, a release console for the terminal: from a commit to production and back.
//!
//! The map; each room says in its `mod.rs` what it may not do.
//!
//! | room | what it is |
//! |---|---|
//! | [`event`] | the vocabulary: ids, events, commands, refusals, and the projections that fold events |
//! | [`store`] | journals, locks, process names, whole-file writes, sockets: the only code that syncs to disk |
//! | [`document`] | YAML read to a tree with places |
//! | [`text`] | what may reach a terminal; numbers for people |
//! | [`pipeline`] | `.hms-ci.yml` → plan |
//! | [`repo`] | git: refs, isolated checkouts, tags |
//! | [`policy`] | what is in force, and who may |
//! | [`executor`] | where a job's script runs, and its keeper |
//! | [`deploy`] | what a release is and where it goes |
//! | [`canary`] | samples → evidence → verdict; metrics providers |
//! | [`ledger`] | the Merkle log of control actions |
//! | [`scan`] | secrets and lockfiles |
//! | [`rollout`] | the driver: deploy, canary and ledger put together |
//! | [`run`] | the engine: the only writer of a run's events |
//! | [`notify`] | tells people who do not look |
//! | [`report`] | headless lines and JSON |
//! | [`console`] | the terminal UI |
//! | [`cli`] | arguments, wiring, exit codes |
//!
//! What must stay true: state is only ever a fold of a journal · an effect starts after its cause is durable · a success is
//! earned, never assumed · bytes of a job go keeper → masker → file and nowhere else · views only read.

pub mod canary;
pub mod cli;
pub mod console;
pub mod deploy;
pub mod document;
pub mod event;
pub mod executor;
pub mod ledger;
pub mod notify;
pub mod pipeline;
pub mod policy;
pub mod repo;
pub mod report;
pub mod rollout;
pub mod run;
pub mod scan;
pub mod store;
pub mod text;
