//! Arguments, environment and files → settings; wiring; exit codes; error reports with hints.
//!
//! The only room that names all others: concrete types meet here.

mod approve_outside;
pub mod arguments;
mod artifacts;
mod auto_cancel;
mod auto_stop;
mod canary;
mod commit_files;
mod console;
mod control;
mod demo;
mod deploy;
mod doctor;
mod doors;
mod drift;
mod drill;
mod drive;
mod duration;
mod engine_door;
mod environment;
mod environments;
mod explain_verb;
mod failure;
mod follow;
mod freeze;
mod images;
mod ledger_verb;
mod local;
mod logs;
mod look;
mod masked;
mod metrics;
mod notices;
mod picture;
mod pipeline_file;
mod place;
mod plan_verb;
mod policy_verb;
mod rbac;
mod remote;
mod report_verb;
mod rollback;
mod run_new;
mod run_verb;
mod sarif;
mod scan_door;
mod selectors;
mod status;
mod validate;
mod watch;

pub use deploy::deploy_main;
pub use doors::hms_main;
pub use scan_door::scan_main;
