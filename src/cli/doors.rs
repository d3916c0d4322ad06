//! The door of `hms`: parse, dispatch, exit code. Hidden verbs are hms's own processes.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use crate::console::Leaving;
use crate::event::{Command, YesKind};

use super::approve_outside::{self, Given};
use super::arguments::{Hms, Output, RunArguments, Verb};
use super::environment::{Environment, is_interactive};
use super::failure::{Exit, Failure};
use super::run_new::Clone;
use super::{console, control, deploy, engine_door, logs, rollback, run_verb, status};
use super::{doctor, images, ledger_verb, policy_verb, rbac, validate};

/// Runs `hms` and gives its exit code.
#[must_use]
pub fn hms_main(arguments: &[OsString]) -> u8 {
    if let Some(code) = hidden(arguments) {
        return code;
    }
    let hms = match Hms::try_parse_from(arguments) {
        Ok(hms) => hms,
        Err(error) => return usage(&error, Output::asked(arguments)),
    };
    let output = hms.output;
    match dispatch(hms) {
        Ok(code) => code,
        Err(failure) => {
            failure.say(output, &mut std::io::stdout(), &mut std::io::stderr());
            failure.exit.code()
        }
    }
}

/// A command line that is none, or that asks for help.
pub(super) fn usage(error: &clap::Error, output: Output) -> u8 {
    let is_wrong = error.use_stderr();
    if is_wrong && output == Output::Json {
        Failure::of_usage(error).say(output, &mut std::io::stdout(), &mut std::io::sink());
    }
    let _ = error.print();
    if is_wrong { Exit::Usage.code() } else { 0 }
}

fn hidden(arguments: &[OsString]) -> Option<u8> {
    let path = |index: usize| arguments.get(index).map(PathBuf::from).unwrap_or_default();
    match arguments.get(1)?.to_str()? {
        "drive" => Some(super::drive::drive_main()),
        "keeper" => Some(crate::executor::keeper_main(&path(2))),
        "engine" => Some(engine_door::engine_main(&path(2))),
        _ => crate::deploy::local::hidden_main(arguments.get(1..).unwrap_or_default()),
    }
}

fn dispatch(hms: Hms) -> Result<u8, Failure> {
    let output = hms.output;
    let at = hms.repository.clone();
    let clone = || Clone::find(at.as_deref());
    let verb = match hms.verb {
        Some(verb) => verb,
        None if hms.headless => Verb::Run(RunArguments { headless: true, file: ".hms-ci.yml".to_owned(), ..RunArguments::default() }),
        None => return console::console(at.as_deref(), false, if hms.in_demo { Leaving::DemoEnds } else { Leaving::RunGoesOn }),
    };
    match verb {
        Verb::Run(arguments) => {
            let (environment, clone) = (Environment::find()?, clone()?);
            if arguments.headless || arguments.detach || output == Output::Json || !is_interactive() {
                return run_verb::headless(&environment, &clone, &arguments, output);
            }
            let folder = run_verb::start(&environment, &clone, &arguments, &mut std::io::stderr())?;
            let name = folder.path().file_name().and_then(|name| name.to_str()?.split_once('-').map(|(number, _)| number.to_owned()));
            console::attach(environment, &clone, name.as_deref(), output)
        }
        Verb::Watch { headless: true } => console::watch_headless(&Environment::find()?, &clone()?, output),
        Verb::Watch { headless: false } => console::console(at.as_deref(), true, Leaving::RunGoesOn),
        Verb::Attach { run } => console::attach(Environment::find()?, &clone()?, run.as_deref(), output),
        Verb::Replay { run } => console::replay(&Environment::find()?, &clone()?, run.as_deref(), output),
        Verb::Runs => status::runs(&Environment::find()?, &clone()?, output),
        Verb::Status { run, app: None } => status::status(&Environment::find()?, &clone()?, run.as_deref(), output),
        Verb::Logs { job, run, attempt, follow } => logs::logs(&clone()?, &job, run.as_deref(), (attempt, follow), output),
        Verb::Artifacts(verb) => super::artifacts::artifacts(&clone()?, &verb, output),
        Verb::Approve { run: Some(run), job: Some(job), reason, variable, wait, .. } => {
            let variables = super::run_new::given_variables("--variable", &variable)?;
            let build = |_: &_, facts| Command::Approve { job: job.clone(), facts, reason: reason.clone(), variables: variables.clone() };
            control::say(&Environment::find()?, &clone()?, &run, build, &wait, output)
        }
        Verb::Retry { run, job, wait } => {
            control::say(&Environment::find()?, &clone()?, &run, |_, _| Command::Retry { job: job.clone() }, &wait, output)
        }
        Verb::Approve { env: Some(env), release: Some(release), reason, app, .. } => approve_outside::say_yes(
            &Given { kind: YesKind::Approval, env: &env, release: &release, reason, app: app.as_ref() },
            at.as_deref(),
            output,
        ),
        Verb::Override { env: Some(env), release: Some(release), reason, app, .. } => {
            let given = Given { kind: YesKind::Override, env: &env, release: &release, reason: Some(reason), app: app.as_ref() };
            approve_outside::say_yes(&given, at.as_deref(), output)
        }
        Verb::Override { run: Some(run), job: Some(job), reason, wait, .. } => {
            let build = |_: &_, facts| Command::Override { job: job.clone(), reason: reason.clone(), facts };
            control::say(&Environment::find()?, &clone()?, &run, build, &wait, output)
        }
        Verb::Cancel { run, wait } => control::say(&Environment::find()?, &clone()?, &run, |_, _| Command::Cancel {}, &wait, output),
        Verb::Rollback(arguments) => rollback::rollback(&arguments, at.as_deref(), output, "hms rollback"),
        Verb::Status { run: None, app: Some(app) } => deploy::standing::status(None, Some(&app), None, at.as_deref(), output),
        Verb::Local(verb) => super::local::local(&Environment::find()?, &clone, verb, output),
        Verb::Demo { headless, keep } => {
            let afterwards = if keep { super::demo::Afterwards::Keep } else { super::demo::Afterwards::Remove };
            super::demo::demo(headless, afterwards, output)
        }
        Verb::Environments(asked) => super::environments::environments(&Environment::find()?, &clone()?, &asked, output),
        Verb::Images(asked) => {
            let act = if asked.remove { images::Act::Remove } else { images::Act::Look };
            images::images(asked.app.as_ref(), asked.target.as_ref(), act, output)
        }
        Verb::Policy(verb) => policy_verb::policy(&Environment::find()?, at.as_deref(), verb, output),
        Verb::Freeze(verb) => super::freeze::freeze(&verb, at.as_deref(), output),
        Verb::Drill(asked) => super::drill::rehearse(&asked, at.as_deref(), output),
        Verb::Drift(verb) => super::drift::drift(&verb, at.as_deref(), output),
        Verb::Validate { look, sarif } => validate::validate(at.as_deref(), &look, sarif.then_some(validate::Sarif), output),
        Verb::List(look) => super::plan_verb::list(at.as_deref(), &look, output),
        Verb::Plan(asked) => super::plan_verb::plan(at.as_deref(), &asked, output),
        Verb::Explain { job, look } => super::explain_verb::explain(at.as_deref(), &job, &look, output),
        Verb::Report { run, to } => super::report_verb::report(&Environment::find()?, &clone()?, run.as_deref(), to.as_deref(), output),
        Verb::Canary(verb) => super::canary::canary(&verb, at.as_deref(), output),
        Verb::Metrics(verb) => super::metrics::metrics(at.as_deref(), &verb, output),
        Verb::Ledger(verb) => ledger_verb::ledger(&Environment::find()?, verb, output),
        Verb::Doctor { rbac: Some(user) } => rbac::rights(at.as_deref(), &user),
        Verb::Doctor { rbac: None } => doctor::doctor(at.as_deref(), output),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Hms::command(), "hms", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(0)
        }
        Verb::Status { .. } | Verb::Approve { .. } | Verb::Override { .. } => {
            Err(Failure::new(Exit::Usage, "these arguments do not go together").hint("hms VERB --help has an example"))
        }
    }
}
