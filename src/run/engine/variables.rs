//! A job's environment: documented `CI_*` variables with true values, the file's, the run's, and what was let in by name.

use std::collections::BTreeMap;

use crate::event::{AttemptId, RefType, RunCreated, When};
use crate::pipeline::{Job, JobFacts, PipelineFacts, Reference, expand_for_runner, predefined, predefined_for_job};
use crate::repo::{Error, NamedRelease, Repository};

/// How long a job without `timeout` may take, in seconds: GitLab's default of one hour.
pub(super) const DEFAULT_TIMEOUT_SECONDS: u64 = 3600;

const ADDRESS: &str = "CI_ENVIRONMENT_URL";

/// The `CI_*` variables of the run, with what the repository says of the commit. Without the time when it was created it is planned:
/// rules know no id of it.
///
/// # Errors
/// When the commit or its tags cannot be read.
pub fn pipeline_variables(
    repository: &Repository,
    created: &RunCreated,
    config_path: &str,
    created_at: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    let commit = repository.commit_facts(&created.revision)?;
    let named = |reference: fn(String) -> Reference| created.ref_name.clone().map(reference);
    let reference = match created.ref_type {
        Some(RefType::Branch) => named(Reference::Branch),
        Some(RefType::Tag) => named(Reference::Tag),
        None => reference_of_before(repository, created),
    };
    let origin = repository.origin();
    let project = created.repository.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(predefined(&PipelineFacts {
        revision: created.revision.clone(),
        message: Some(commit.message),
        author: Some(commit.author),
        timestamp: Some(commit.timestamp.to_rfc3339()),
        before: created.before.clone(),
        tag_message: tag_message(repository, reference.as_ref()),
        reference,
        default_branch: repository.default_branch()?,
        project_name: project,
        project_path: origin.as_ref().map(|origin| origin.path.clone()),
        server_host: origin.map(|origin| origin.host),
        config_path: Some(config_path.to_owned()),
        number: Some(created.number),
        run: created_at.map(|_| created.run.clone()),
        created_at: created_at.map(str::to_owned),
        source: Some(created.source.clone()),
        name: None,
        protected: created.protected,
    }))
}

/// What the tag of a run says.
#[must_use]
pub fn tag_message(repository: &Repository, reference: Option<&Reference>) -> Option<String> {
    match reference? {
        Reference::Tag(name) => repository.tag_message(name),
        Reference::Branch(_) => None,
    }
}

/// What the ref of a run is that does not say so: a branch of that name, if there is one, else the tag of its commit.
fn reference_of_before(repository: &Repository, created: &RunCreated) -> Option<Reference> {
    let name = created.ref_name.clone()?;
    if repository.refs(crate::repo::RefKind::Local, std::slice::from_ref(&name)).is_ok_and(|found| !found.is_empty()) {
        return Some(Reference::Branch(name));
    }
    let tagged = matches!(
        repository.resolve_tag(&name),
        Ok(NamedRelease::Commit { revision, tag: Some(_) }) if revision == created.revision
    );
    tagged.then_some(Reference::Tag(name))
}

/// Where an attempt's variables come from, the file's and its own apart.
pub(super) struct Sources<'a> {
    /// Those of the run: `CI_*`.
    pub(super) pipeline: &'a BTreeMap<String, String>,
    /// Those given for this run alone.
    pub(super) given: &'a BTreeMap<String, String>,
    /// Those given at the job's gate.
    pub(super) at_gate: &'a BTreeMap<String, String>,
    /// Those that earlier jobs reported; later ones win.
    pub(super) reported: &'a [(String, String)],
    /// Masked ones that the job gets: values, or the paths of their files.
    pub(super) masked: &'a BTreeMap<String, String>,
    /// Those let in from the environment.
    pub(super) passed: &'a BTreeMap<String, String>,
}

/// The variables of an attempt, in the order in which the script exports them; later ones win. What earlier jobs reported beats the
/// file's, what was let in beats both, what was given for this run beats these, and what was given at the job's gate beats that (`doc/ci/variables/_index.md`, precedence). Masked values come last, as GitLab's project variables beat the file's.
pub(super) fn job_variables(
    sources: &Sources<'_>,
    job: &Job,
    attempt: &AttemptId,
    project_dir: &str,
    started_at: &str,
) -> Vec<(String, String)> {
    let Sources { pipeline, given, at_gate, reported, masked, passed } = sources;
    let mut known = (*pipeline).clone();
    known.extend(predefined_for_job(&JobFacts {
        job,
        id: Some(attempt.as_str()),
        project_dir: Some(project_dir),
        started_at: Some(started_at),
        timeout_seconds: Some(job.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
        // `Ci::Processable::ACTIONABLE_WHEN`
        actionable: matches!(job.when, When::Manual | When::Delayed),
        image: None,
    }));
    known.extend(masked.iter().map(|(name, value)| (name.clone(), value.clone())));
    let above = |name: &String| given.contains_key(name) || masked.contains_key(name);
    let reported = reported.iter().filter(|(name, _)| !above(name)).cloned();
    let over = reported.chain(at_gate.iter().map(|(name, value)| (name.clone(), value.clone()))).collect();
    let mut all = job.runner_variables(&known, &over);
    let passed = passed.iter().filter(|(name, _)| !given.contains_key(*name) && !at_gate.contains_key(*name));
    all.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    all.extend(masked.iter().map(|(name, value)| (name.clone(), value.clone())));
    // What is left of an environment's address is the runner's to put in (`app/models/ci/build.rb`, `persisted_environment_variables`).
    let address = job.environment.as_ref().and_then(|environment| environment.url.as_ref());
    if let Some(address) = address.filter(|address| all.get(ADDRESS) == Some(*address)) {
        let whole = expand_for_runner(address, &all);
        all.insert(ADDRESS.to_owned(), whole);
    }
    all.into_iter().collect()
}

/// Globs with the job's variables put in, as the runner does it.
pub(super) fn expanded(globs: &[String], variables: &[(String, String)]) -> Vec<String> {
    let known: BTreeMap<String, String> = variables.iter().cloned().collect();
    globs.iter().map(|glob| expand_for_runner(glob, &known)).collect()
}
