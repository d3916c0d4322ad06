//! What has to be there before a script runs: checkout, folders, keeper. It blocks, and runs beside the engine.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::event::{ArtifactsLife, AttemptId, AttemptResult, Digest, JobName, ProcessName, Revision, RunCreated, When};
use crate::executor::{ArtifactSpec, KeeperSpec, KeeperState, Resource, keeper_state, start_keeper};
use crate::pipeline::{ArtifactsWhen, is_environment_name};
use crate::policy::SuppliedVariable;
use crate::repo::{self, Repository, Submodules};
use crate::store::{DiskError, chain, make_private_folder, now, read_if_there};
use crate::text::quoted;

use super::Engine;
use super::caches::Cached;
use super::supplied::{Handed, Receiver, hand_out};
use super::variables::{DEFAULT_TIMEOUT_SECONDS, Sources, expanded, job_variables, pipeline_variables};

/// An attempt, ready to be prepared.
pub(super) struct Order {
    repository: PathBuf,
    revision: Revision,
    created: RunCreated,
    job: crate::pipeline::Job,
    briefing: super::Briefing,
    attempt: AttemptId,
    attempt_folder: PathBuf,
    work: PathBuf,
    home: PathBuf,
    /// Where variables of the type `file` lie.
    variables: PathBuf,
    supplied: BTreeMap<String, SuppliedVariable>,
    caches: PathBuf,
    programs: PathBuf,
    inputs: Vec<PathBuf>,
    /// Variables that were given at its gate.
    given: BTreeMap<String, String>,
    /// The folders of the attempts whose reports it gets.
    producers: Vec<PathBuf>,
    artifacts_folder: PathBuf,
    resource: Option<Resource>,
    config_path: String,
    /// What `workflow: name` calls the run.
    pipeline_name: Option<String>,
    created_at: String,
    token: String,
    socket: PathBuf,
    program: PathBuf,
    state: PathBuf,
}

/// Why an attempt has no keeper.
#[derive(Debug)]
pub(super) enum NotPrepared {
    /// Something that the job rests on is not there, and another attempt would not find it either.
    Lacking(String),
    /// The machine could not do it.
    Trouble(String),
}

impl NotPrepared {
    pub(super) fn of(error: &dyn std::error::Error) -> Self {
        Self::Trouble(chain(error))
    }

    /// A submodule that was not fetched is not fetched by another attempt either.
    fn of_checkout(error: &repo::Error) -> Self {
        match (error, error.hint()) {
            (repo::Error::Submodule { .. }, Some(hint)) => Self::Lacking(format!("{error}; {hint}")),
            _ => Self::of(error),
        }
    }
}

impl Engine {
    /// What is missing, in words, where a masked variable has no value in this engine.
    pub(super) fn missing_value(&self) -> Option<String> {
        let created = self.state.created.as_ref()?;
        let missing = created.masked.iter().find(|name| !self.setup.briefing.masked.contains_key(*name))?;
        let file = created.variable_file.as_ref().map(|file| format!("in {}, else ", file.display())).unwrap_or_default();
        Some(format!(
            "the masked variable {missing} has no value here: it is kept on no disk, is looked for {file}in the environment of the command that starts the run's engine, and was not there; ask again with it when this engine has ended"
        ))
    }

    /// Puts together what an attempt needs to be prepared; a masked variable whose value is nowhere any more is an error.
    pub(super) fn order(
        &self,
        created: &RunCreated,
        name: &JobName,
        attempt: &AttemptId,
        number: u32,
        token: &str,
        socket: &Path,
    ) -> Result<Order, NotPrepared> {
        let job = self.plan.job(name).ok_or_else(|| NotPrepared::Trouble(format!("the plan has no job {name}")))?;
        if let Some(missing) = self.missing_value() {
            return Err(NotPrepared::Lacking(missing));
        }
        if let Some(placed) = job.environment.as_ref().filter(|placed| !is_environment_name(&placed.name)) {
            let why = "letters, digits, blanks and `-_/${}.`, and no `/` at its ends";
            return Err(NotPrepared::Lacking(format!("its environment would be called `{}`, which none can be: {why}", placed.name)));
        }
        let folder = &self.setup.folder;
        let producers = self.plan.producers_of(job);
        let last_of = |producer: &crate::pipeline::Job| Some(self.state.job(&producer.name)?.attempts.last()?.number);
        let gone = |producer: &&crate::pipeline::Job| {
            self.state.job(&producer.name).and_then(|job| job.attempts.last()).is_some_and(|last| last.artifacts == ArtifactsLife::Over)
        };
        if let Some(producer) = producers.iter().copied().find(gone) {
            let (run, name) = (created.number, quoted(producer.name.as_str()));
            return Err(NotPrepared::Lacking(format!(
                "the artifacts of {} have expired (`expire_in`); to have them again: hms retry {run} {name}",
                producer.name
            )));
        }
        let reporters = producers.iter().filter_map(|producer| Some(folder.attempt(&producer.name, last_of(producer)?))).collect();
        let inputs = producers
            .into_iter()
            .filter_map(|producer| {
                let last = self.state.job(&producer.name)?.attempts.last()?;
                let kept = folder.artifacts(&producer.name, last.number);
                (last.result == Some(AttemptResult::Success) || producer.artifacts.when != ArtifactsWhen::OnSuccess).then_some(kept)
            })
            .filter(|kept| kept.is_dir())
            .collect();
        Ok(Order {
            repository: created.repository.clone(),
            revision: created.revision.clone(),
            created: created.clone(),
            job: job.clone(),
            briefing: self.setup.briefing.clone(),
            attempt: attempt.clone(),
            attempt_folder: folder.attempt(name, number),
            work: folder.work(name, number),
            home: folder.home(name, number),
            variables: folder.variables(name, number),
            supplied: self.setup.supplied.clone(),
            caches: folder.repository().caches(),
            programs: folder.programs(),
            inputs,
            given: self.state.job(name).map(|job| job.given.clone()).unwrap_or_default(),
            producers: reporters,
            artifacts_folder: folder.artifacts(name, number),
            resource: self.resource_of(name),
            config_path: created.config_path.clone().unwrap_or_else(|| ".hms-ci.yml".to_owned()),
            pipeline_name: self.plan.name.clone(),
            created_at: self.state.created_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).unwrap_or_default(),
            token: token.to_owned(),
            socket: socket.to_owned(),
            program: self.setup.program.clone(),
            state: self.setup.places.state.clone(),
        })
    }
}

/// An attempt whose keeper lives.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) keeper: ProcessName,
    /// What people must know of the checkout, a sentence each.
    pub(super) notices: Vec<String>,
}

/// Makes the checkout and starts the keeper.
pub(super) fn prepare(order: &Order) -> Result<Prepared, NotPrepared> {
    for folder in [&order.attempt_folder, &order.home] {
        make_private_folder(folder).map_err(|error| NotPrepared::of(&error))?;
    }
    link_programs(&order.program, &order.programs).map_err(NotPrepared::Trouble)?;
    write_token_digest(order).map_err(|error| NotPrepared::of(&error))?;
    let repository = Repository::discover(&order.repository).map_err(|error| NotPrepared::of(&error))?;
    if let Some(parent) = order.work.parent() {
        make_private_folder(parent).map_err(|error| NotPrepared::of(&error))?;
    }
    let mut pipeline = pipeline_variables(&repository, &order.created, &order.config_path, Some(&order.created_at))
        .map_err(|error| NotPrepared::of(&error))?;
    pipeline.extend(order.pipeline_name.clone().map(|name| ("CI_PIPELINE_NAME".to_owned(), name)));
    let reported = reported(&order.producers).map_err(NotPrepared::Trouble)?;
    let receiver = Receiver { created: &order.created, job: &order.job, folder: order.variables.clone() };
    let handed = hand_out(&order.briefing.masked, &order.supplied, &receiver)?;
    let told = handed.notices.clone();
    let mut spec = specification(order, &pipeline, &reported, handed);
    let checkout = repository.checkout_with(&order.revision, &order.work, submodules(&spec.variables)?);
    let mut notices = checkout.map_err(|error| NotPrepared::of_checkout(&error))?.notices();
    notices.extend(told);
    let cached = Cached {
        repository: &repository,
        revision: &order.revision,
        variables: &spec.variables.iter().cloned().collect(),
        protected: order.created.protected == Some(true),
        folder: &order.caches,
        masks: &spec.masks,
    };
    spec.caches = cached.specify(&order.job.cache);
    let log = order.attempt_folder.join("keeper.log");
    let started = start_keeper(&order.program, &spec, &order.state, &log).map_err(|error| NotPrepared::of(&error))?;
    Ok(Prepared { keeper: started.process, notices })
}

/// How far down submodules are wanted; what GitLab's runner does not know fails the job there too (`common/build.go`).
fn submodules(variables: &[(String, String)]) -> Result<Submodules, NotPrepared> {
    const NAME: &str = "GIT_SUBMODULE_STRATEGY";
    match variables.iter().find(|(name, _)| name == NAME).map_or("", |(_, value)| value.as_str()) {
        "" | "none" => Ok(Submodules::None),
        "normal" => Ok(Submodules::Normal),
        "recursive" => Ok(Submodules::Recursive),
        other => Err(NotPrepared::Lacking(format!("`{NAME}` is `{other}`; it is none, normal or recursive"))),
    }
}

/// The dotenv variables of earlier attempts, in the order of the pipeline; whatever their results are, as with every report.
fn reported(producers: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let mut reported = Vec::new();
    for folder in producers {
        if let KeeperState::Ended(record) = keeper_state(folder).map_err(|error| chain(&error))? {
            reported.extend(record.dotenv);
        }
    }
    Ok(reported)
}

fn specification(order: &Order, pipeline: &BTreeMap<String, String>, reported: &[(String, String)], handed: Handed) -> KeeperSpec {
    let started_at = now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let project_dir = order.work.to_string_lossy().into_owned();
    let sources = Sources {
        pipeline,
        given: &order.created.variables,
        at_gate: &order.given,
        reported,
        masked: &handed.variables,
        passed: &order.briefing.passed,
    };
    let variables = job_variables(&sources, &order.job, &order.attempt, &project_dir, &started_at);
    let artifacts = &order.job.artifacts;
    let artifacts = ArtifactSpec {
        paths: expanded(&artifacts.paths, &variables),
        exclude: expanded(&artifacts.exclude, &variables),
        untracked: artifacts.untracked,
        name: artifacts.name.as_ref().and_then(|name| expanded(std::slice::from_ref(name), &variables).pop()),
        when: match artifacts.when {
            ArtifactsWhen::OnSuccess => When::OnSuccess,
            ArtifactsWhen::OnFailure => When::OnFailure,
            ArtifactsWhen::Always => When::Always,
        },
        reports_junit: expanded(&artifacts.reports_junit, &variables),
        reports_kept: {
            let others = artifacts.reports.iter().filter(|(kind, _)| kind.as_str() != "dotenv");
            others.map(|(kind, globs)| (kind.clone(), expanded(globs, &variables))).collect()
        },
        reports_dotenv: expanded(artifacts.reports.get("dotenv").map(Vec::as_slice).unwrap_or_default(), &variables),
    };
    let path = format!("{}:{}", order.programs.display(), order.briefing.path);
    let user = order.created.actor.login.clone();
    let base_environment = [
        ("PATH", path),
        ("HOME", order.home.to_string_lossy().into_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("USER", user.clone()),
        ("LOGNAME", user),
        ("TMPDIR", "/tmp".to_owned()),
    ];
    KeeperSpec {
        attempt: order.attempt.clone(),
        attempt_folder: order.attempt_folder.clone(),
        checkout: order.work.clone(),
        script: order.job.script.clone(),
        after_script: order.job.after_script.clone(),
        variables,
        base_environment: base_environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        variable_files: handed.files,
        masks: handed.masks,
        socket: Some(order.socket.clone()),
        token: Some(order.token.clone()),
        timeout_ms: order.job.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS).saturating_mul(1000),
        cancel_grace_ms: 5_000,
        after_script_timeout_ms: 300_000,
        log_limit_bytes: Some(1 << 30),
        caches: Vec::new(),
        inputs: order.inputs.clone(),
        artifacts,
        artifacts_folder: order.artifacts_folder.clone(),
        coverage: order.job.coverage.clone(),
        resource: order.resource.clone(),
    }
}

/// `hms`, `hms-deploy`, `hms-scan` and `scan`, first on a job's PATH.
fn link_programs(program: &Path, folder: &Path) -> Result<(), String> {
    make_private_folder(folder).map_err(|error| chain(&error))?;
    let beside = program.parent().unwrap_or(Path::new("/"));
    for (name, target) in [
        ("hms", program.to_owned()),
        ("hms-deploy", beside.join("hms-deploy")),
        ("hms-scan", beside.join("hms-scan")),
        ("scan", beside.join("hms-scan")),
    ] {
        match symlink(&target, folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(format!("cannot link {}: {error}", target.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps the digest of the attempt's token. It is not synced: it is for an engine that finds this attempt's keeper alive, and no
/// keeper lives through a power cut.
fn write_token_digest(order: &Order) -> Result<(), DiskError> {
    let path = order.attempt_folder.join("token");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    opened
        .and_then(|mut file| file.write_all(Digest::of(order.token.as_bytes()).as_str().as_bytes()))
        .map_err(DiskError::of("write", &path))
}

/// The digest of an attempt's token, for an engine that did not give it out.
pub(super) fn read_token_digest(attempt_folder: &Path) -> Digest {
    let text = read_if_there(&attempt_folder.join("token")).ok().flatten().unwrap_or_default();
    // A token that cannot be read fits nothing that a job may say.
    String::from_utf8_lossy(&text).trim().parse().unwrap_or_else(|_| Digest::of(&ulid::Ulid::generate().to_bytes()))
}
