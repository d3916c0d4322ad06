//! `hms doctor --rbac USER`: the rights that a deploy needs on the cluster, for a person to read and apply. It asks no cluster: whoever sets
//! one up has no rights there yet.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use crate::deploy::kubernetes::rbac;
use crate::event::EnvironmentName;
use crate::policy::resolve_environment;
use crate::rollout::wired::cluster_set;

use super::failure::{Exit, Failure};
use super::policy_verb::Commits;
use super::run_new::Clone;

/// Prints them for every place on a cluster that the commit names.
pub(crate) fn rights(at: Option<&Path>, user: &str) -> Result<u8, Failure> {
    let commits = Commits::find(&Clone::find(at)?, "HEAD")?;
    let mut names: BTreeSet<EnvironmentName> = commits.policy.environments.keys().cloned().collect();
    names.insert(EnvironmentName::prod());
    // An arm is where its environment is; the same place is written once.
    let mut told = BTreeSet::new();
    let mut out = std::io::stdout().lock();
    for name in &names {
        let settings = resolve_environment(&commits.policy, name).settings;
        let Some(set) = cluster_set(&commits.app, &commits.policy, &settings) else { continue };
        let rights = rbac(&set, &commits.app, user);
        let context = set.leading.context.as_deref().unwrap_or("in-cluster").to_owned();
        if told.insert((context.clone(), rights.clone())) {
            let line = if told.len() > 1 { "---\n" } else { "" };
            write!(out, "{line}# On the cluster of context {context}.\n{rights}")?;
        }
    }
    if told.is_empty() {
        let message = format!("the commit {} has no environment on a cluster", commits.commit);
        return Err(
            Failure::new(Exit::Usage, message).hint("environments: {prod: {target: kubernetes, context: C, namespace: N}} under .hms")
        );
    }
    Ok(0)
}
