//! The one integration binary; a module for each room and for each story.

mod canary;
mod console;
mod deploy;
mod executor;
mod ledger;
mod pipeline;
mod policy;
mod repo;
mod rollout;
mod run;
mod scan;
mod store;
mod stories;
