//! What a run may bring to production, and who decides: the real programs, a home and a repository of their own, real requests.

mod approvals;
mod canary;
mod drift;
mod drill;
mod ending;
mod freeze;
mod hold;
mod notices;
mod policy;
mod production;
mod protection;
mod releases;
mod slots;
mod steer;
mod verbatim;
mod watch;
mod world;
