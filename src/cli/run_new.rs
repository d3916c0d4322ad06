//! Making a run: the commit, its pipeline, its plan, its variables; then the engine.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::deploy::Target;
use crate::deploy::local::LocalTarget;
use crate::event::{AppName, AppRecord, EngineState, RefType, Refusal, RefusalKind, Revision, RunCreated, RunId};
use crate::executor::is_variable_name;
use crate::pipeline::{Needed, NoPart, Part, Plan, PlanInputs, Purpose, ReadOptions, Severity, Surroundings, Trace, plan_in};
use crate::policy::{Policy, Settings, may_be_let_in};
use crate::repo::{Repository, Resolved};
use crate::run::engine::{Briefing, Started, pipeline_variables, start_engine};
use crate::run::{NewRun, RegisterError, Registered, RepositoryFolder, next_number, register};
use crate::store::{Holder, now, this_process};

use super::arguments::{Interrupted, RunArguments};
use super::auto_cancel::make_way;
use super::auto_stop::stop_due;
use super::commit_files::CommitFiles;
use super::environment::{Environment, actor, variable};
use super::failure::{Exit, Failure};
use super::masked::{Masked, Values};
use super::pipeline_file::{PipelineFile, read_file, read_settings, ref_is_protected, tell};

/// A repository with the folder of its runs.
pub(crate) struct Clone {
    pub(crate) repository: Repository,
    pub(crate) folder: RepositoryFolder,
}

impl Clone {
    pub(crate) fn find(at: Option<&Path>) -> Result<Self, Failure> {
        let repository = Repository::discover(at.unwrap_or(Path::new(".")))?;
        let folder = RepositoryFolder::of(&repository.common_dir());
        Ok(Self { repository, folder })
    }

    /// The app of a commit: what policy names, else the folder's name.
    pub(crate) fn app(&self, settings: &Settings) -> AppName {
        settings.app().cloned().unwrap_or_else(|| self.repository.app_name_default())
    }
}

/// The app that a commit is released as. Another name is policy like all else (`docs/decisions.md` 6.1): while this repository has
/// an app at this machine's target, a commit that names another one runs as that, and the difference is shown. A pipeline file that
/// a person names may be another app's.
fn app_in_force(environment: &Environment, clone: &Clone, settings: &Settings, path: &str) -> AppName {
    let named = clone.app(settings);
    let Ok(Some(first)) = clone.repository.first_commit() else { return named };
    if path != ".hms-ci.yml" {
        return named;
    }
    let folders = std::fs::read_dir(environment.places.state.join("local")).into_iter().flatten().flatten();
    let apps = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<AppName>().ok());
    let records = apps.filter_map(|app| app_record(environment, &app));
    let ours: Vec<AppRecord> = records.filter(|record| record.policy.is_some() && record.repository.as_ref() == Some(&first)).collect();
    let accepts = |record: &AppRecord| {
        let stored = record.policy.as_ref().and_then(|accepted| Policy::from_text(&accepted.text).ok());
        record.app == named || stored.is_some_and(|stored| stored.policy.app.as_ref() == Some(&named))
    };
    if ours.iter().any(accepts) {
        return named;
    }
    let newest = ours.into_iter().max_by_key(|record| record.policy.as_ref().map(|accepted| accepted.accepted_at));
    newest.map_or(named, |record| record.app)
}

fn app_record(environment: &Environment, app: &AppName) -> Option<AppRecord> {
    let target = LocalTarget::open(&environment.places, app, &environment.program);
    // On a thread of its own: the caller may be inside a runtime.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(target.app_record()).ok()
        });
        asked.join().ok().flatten()
    })
}

/// What a run is started for.
pub(crate) enum Cause<'a> {
    /// A person or a CI server asked.
    Asked,
    /// A watched ref moved to that commit.
    Watched {
        /// Its full name.
        name: &'a str,
        /// What it named before.
        before: Option<&'a Revision>,
    },
}

/// Runs that may come before this one while it is planned.
const OVERTAKEN_TIMES: usize = 100;

/// Makes a run of a commit and registers it. Problems are written to `notices`.
pub(crate) fn make_run(
    environment: &Environment,
    clone: &Clone,
    arguments: &RunArguments,
    resolved: &Resolved,
    cause: &Cause<'_>,
    notices: &mut dyn Write,
) -> Result<Registered, Failure> {
    let (mut new, mut holder) = new_run(environment, clone, arguments, resolved, cause, notices)?;
    for _ in 0..OVERTAKEN_TIMES {
        match register(&clone.folder, new, &holder, now()) {
            Err(RegisterError::Overtaken(_)) => {
                (new, holder) = new_run(environment, clone, arguments, resolved, cause, &mut std::io::sink())?;
            }
            registered => return Ok(registered?),
        }
    }
    Ok(register(&clone.folder, new, &holder, now())?)
}

/// What is to be registered: the run with its plan, as the number that is the next now.
fn new_run(
    environment: &Environment,
    clone: &Clone,
    arguments: &RunArguments,
    resolved: &Resolved,
    cause: &Cause<'_>,
    notices: &mut dyn Write,
) -> Result<(NewRun, Holder), Failure> {
    let path = Path::new(&arguments.file);
    let Some(bytes) = clone.repository.read_file_at(&resolved.revision, path)? else {
        let message = format!("the commit {} has no {}", resolved.revision.short(), arguments.file);
        return Err(Failure::new(Exit::Usage, message).hint("write one, and commit it; `hms validate` checks it before"));
    };
    let settings = read_settings(&arguments.file, &bytes, notices)?;
    let given = given_variables("--variable", &arguments.variable)?;
    let masked = Masked::find(arguments)?;
    let commit = clone.repository.commit_facts(&resolved.revision)?;
    let who = actor("hms run");
    let mut created = RunCreated {
        run: RunId::from_ulid(ulid::Ulid::generate()),
        number: next_number(&clone.folder)?,
        app: app_in_force(environment, clone, &settings, &arguments.file),
        revision: resolved.revision.clone(),
        ref_name: resolved.ref_name.clone(),
        ref_type: match cause {
            Cause::Asked => resolved.ref_type(),
            Cause::Watched { .. } => Some(RefType::Branch),
        },
        tag: clone.repository.tag_of(&resolved.revision)?.tag,
        title: commit.title,
        source: match cause {
            Cause::Asked => "web".to_owned(),
            Cause::Watched { .. } => "push".to_owned(),
        },
        actor: who.clone(),
        repository: clone.repository.work_dir().unwrap_or_else(|| clone.repository.common_dir()),
        jobs: Vec::new(),
        notices: Vec::new(),
        variables: given.clone(),
        masked: masked.values.keys().cloned().collect(),
        variable_file: masked.file,
        pass_env: passed_names(environment, arguments)?,
        dirty: clone.repository.is_dirty()?,
        before: match cause {
            Cause::Asked => None,
            Cause::Watched { before, .. } => before.cloned(),
        },
        config_path: (arguments.file != ".hms-ci.yml").then(|| arguments.file.clone()),
        protected: None,
        no_linger: no_linger(environment, arguments),
        concurrency: arguments.concurrency,
    };
    let mut predefined = pipeline_variables(&clone.repository, &created, &arguments.file, None).map_err(Failure::from)?;
    let protected = ref_is_protected(&environment.operator, &predefined);
    predefined.insert("CI_COMMIT_REF_PROTECTED".to_owned(), protected.to_string());
    created.protected = Some(protected);
    let inputs = PlanInputs {
        variables: given,
        predefined,
        masked: masked.values,
        inputs: given_inputs(&arguments.input)?,
        regardless: arguments.job.iter().filter(|_| arguments.ignore_rules).cloned().collect(),
    };
    let files = CommitFiles::of(&clone.repository, &resolved.revision, &environment.operator.includes);
    let around = Surroundings { files: &files, inputs: &inputs, path: &arguments.file };
    let options = ReadOptions { gitlab_strict: arguments.gitlab_strict, purpose: Purpose::Run };
    let file = read_file(&bytes, options, &around, notices)?;
    for problem in &file.problems {
        tell(&arguments.file, problem, notices);
    }
    let (plan, trace) = plan_in(&file.pipeline, &inputs, &files);
    let plan = plan.map_err(|problems| {
        for problem in &problems {
            tell(&arguments.file, problem, notices);
        }
        Failure::new(Exit::Usage, format!("{} cannot be planned", arguments.file))
    })?;
    let (plan, said) = part_of(plan, &trace, arguments)?;
    created.jobs = plan.jobs.iter().map(crate::pipeline::Job::planned).collect();
    created.notices = said.into_iter().chain(notices_of(&created, &file, &plan)).collect();
    let plan = serde_json::to_vec(&plan).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    let watched_ref = match cause {
        Cause::Asked => None,
        Cause::Watched { name, .. } => Some((*name).to_owned()),
    };
    let holder = Holder { process: this_process(), host: who.host, role: who.via, socket: None };
    Ok((NewRun { created, pipeline: bytes, plan, watched_ref }, holder))
}

/// The part of a plan that was asked for, all of it when none was named; and what is said of it.
fn part_of(plan: Plan, trace: &Trace, arguments: &RunArguments) -> Result<(Plan, Vec<String>), Failure> {
    if arguments.job.is_empty() && arguments.stage.is_empty() {
        return Ok((plan, Vec::new()));
    }
    if let Some(why) = plan.nothing.as_ref().filter(|_| !arguments.job.is_empty()) {
        let failure = Failure::new(Exit::Usage, format!("nothing of this commit is run: {why}"));
        return Err(failure.hint("`--ignore-rules` runs the jobs that `--job` names all the same"));
    }
    let named = |job: &&crate::pipeline::Job| arguments.job.iter().any(|name| *name == job.base_name || name == job.name.as_str());
    if let Some(job) = plan.jobs.iter().filter(named).find(|job| job.deploys()).filter(|_| arguments.ignore_rules) {
        let refusal = Refusal::new(RefusalKind::Protected, format!("{} deploys, and its rules say when it may", job.name));
        return Err(refusal.hint("leave out `--ignore-rules`; `hms plan --job JOB` shows which rule says no").into());
    }
    let needed = if arguments.with_needs { Needed::Taken } else { Needed::LeftOut };
    let part = Part { jobs: arguments.job.clone(), stages: arguments.stage.clone(), needed };
    let (plan, mut said) = plan.part(&part, trace).map_err(|no| match &no {
        NoPart::LeftOut { .. } => Failure::new(Exit::Usage, no.to_string()).hint("`--ignore-rules` runs it all the same"),
        NoPart::UnknownJob { meant: Some(meant), .. } | NoPart::UnknownStage { meant: Some(meant), .. } => {
            Failure::new(Exit::Usage, no.to_string()).hint(format!("did you mean `{meant}`?"))
        }
        NoPart::UnknownJob { .. } | NoPart::UnknownStage { .. } => Failure::new(Exit::Usage, no.to_string()).hint("see `hms list`"),
    })?;
    said.push(if arguments.ignore_rules {
        format!("rules and `workflow` were passed over for {}; those of other jobs hold", arguments.job.join(", "))
    } else {
        "rules and `workflow` were obeyed".to_owned()
    });
    Ok((plan, said))
}

/// What a person must know of a run before its first job: what is not in it, and what is not honoured.
fn notices_of(created: &RunCreated, file: &PipelineFile, plan: &crate::pipeline::Plan) -> Vec<String> {
    let mut notices = Vec::new();
    if let Some(why) = &plan.nothing {
        notices.push(format!("nothing of this commit is run: {why}"));
    }
    if created.dirty {
        notices.push(format!("uncommitted changes are not in this run: it builds {}", created.revision.short()));
    }
    let images: Vec<&str> = plan.jobs.iter().filter(|job| job.image.is_some()).map(|job| job.name.as_str()).collect();
    if !images.is_empty() {
        notices.push(format!(
            "no container engine is configured, so `image:` is not honoured: {} run in this host's shell",
            images.join(", ")
        ));
    }
    if !created.pass_env.is_empty() {
        notices.push(format!("let in from the environment: {}", created.pass_env.join(", ")));
    }
    for (job, stop) in plan.without_their_stops() {
        notices.push(format!("nothing stops the environment of {}: its `on_stop` names {stop}, which is not in this run", job.name));
    }
    let warnings = file.problems.iter().filter(|problem| problem.severity == Severity::Warning);
    notices.extend(warnings.map(|problem| problem.message.clone()));
    notices
}

pub(crate) fn given_variables(flag: &str, given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let bad = |text: &str| Failure::new(Exit::Usage, format!("`{flag} {text}` is not KEY=VALUE, or no shell can export that KEY"));
    given
        .iter()
        .map(|text| {
            text.split_once('=')
                .filter(|(key, _)| is_variable_name(key))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ok_or_else(|| bad(text))
        })
        .collect()
}

/// Values for the pipeline file's own inputs, as they were typed: their types are in its `spec`.
pub(crate) fn given_inputs(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let bad = |text: &str| Failure::new(Exit::Usage, format!("`--input {text}` is not KEY=VALUE"));
    let named =
        |text: &String| text.split_once('=').filter(|(key, _)| !key.is_empty()).map(|(key, value)| (key.to_owned(), value.to_owned()));
    given.iter().map(|text| named(text).ok_or_else(|| bad(text))).collect()
}

/// What is let in: what the operator names, where it is set, and what was asked for, which must be.
fn passed_names(environment: &Environment, arguments: &RunArguments) -> Result<Vec<String>, Failure> {
    for name in &arguments.pass_env {
        let why = if !is_variable_name(name) {
            "it names no variable"
        } else if !may_be_let_in(name) {
            "its value in a job is hms's to say"
        } else if variable(name).is_none() {
            "no such variable is set"
        } else {
            continue;
        };
        return Err(Failure::new(Exit::Usage, format!("`--pass-env {name}`: {why}")));
    }
    let mut names: Vec<String> = environment.operator.job_environment.iter().chain(&arguments.pass_env).cloned().collect();
    names.retain(|name| variable(name).is_some());
    names.sort();
    names.dedup();
    Ok(names)
}

pub(crate) fn no_linger(environment: &Environment, arguments: &RunArguments) -> bool {
    arguments.no_linger || (environment.ci && !arguments.linger)
}

/// What an engine is woken with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waking<'a> {
    /// What becomes of interrupted attempts that only a person may decide about.
    pub(crate) interrupted: Option<Interrupted>,
    /// Whether it lingers; none leaves what the run was made with.
    pub(crate) linger: Option<bool>,
    /// Whether masked values must be there.
    pub(crate) values: Values,
    /// Where they are read from, in place of the run's own file.
    pub(crate) variable_file: Option<&'a Path>,
}

/// Whether nothing more can be written where this folder is: what ends for it cannot say so itself.
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|space| space.f_bavail == 0)
}

/// What a new run brings with it for others: older runs make way, and environments whose time is over are stopped. In a sentence each.
fn beside(environment: &Environment, folder: &crate::run::RunFolder, created: &RunCreated) -> Vec<String> {
    let mut said = make_way(folder, created);
    let plan: Option<Plan> = std::fs::read(folder.plan()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let own: Vec<String> = plan.into_iter().flat_map(|plan| plan.jobs).filter_map(|job| Some(job.environment?.name)).collect();
    if let Ok(clone) = Clone::find(Some(&created.repository)) {
        said.extend(stop_due(environment, &clone, &own));
    }
    said
}

/// Starts the engine of a run, or finds the one that lives, with what it may not read from disk.
pub(crate) fn wake(environment: &Environment, folder: &crate::run::RunFolder, waking: &Waking<'_>) -> Result<Started, Failure> {
    let mut reader = crate::run::reader::RunReader::new(folder);
    reader.poll()?;
    let created = reader.state().created.clone().ok_or_else(|| Failure::new(Exit::NotCarriedOut, "the run's journal has no beginning"))?;
    let briefing = Briefing {
        masked: Masked::again(&created, waking.variable_file, waking.values)?.values,
        passed: created.pass_env.iter().filter_map(|name| Some((name.clone(), variable(name)?))).collect(),
        interrupted: waking.interrupted.map(|decision| match decision {
            Interrupted::Rerun => crate::event::InterruptedDecision::Rerun,
            Interrupted::Fail => crate::event::InterruptedDecision::Fail,
        }),
        no_linger: waking.linger.map_or(created.no_linger, |linger| !linger),
        notices: if reader.state().engine == EngineState::None { beside(environment, folder, &created) } else { Vec::new() },
        path: variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()),
    };
    let started = start_engine(&environment.program, folder, &environment.places, &briefing)?;
    if started.holder.is_none() {
        let log = std::fs::read_to_string(folder.engine_log()).unwrap_or_default();
        let last = log.lines().rfind(|line| !line.starts_with("Hint: ")).unwrap_or("it said nothing");
        let last = last.trim_start_matches("Error: ").trim_start_matches("Caused by: ");
        let over = reader.poll().is_ok() && reader.state().ended.is_some();
        let parked = matches!(reader.state().engine, crate::event::EngineState::Parked { .. });
        if !over && !parked {
            let failure = Failure::new(Exit::NotCarriedOut, format!("the engine ended at once: {last}"));
            return Err(if is_full(folder.path()) {
                failure.because("its disk is full".to_owned()).hint("make room, and say it again: hms doctor shows what is full")
            } else {
                failure.hint(format!("see {}", folder.engine_log().display()))
            });
        }
    }
    Ok(started)
}
