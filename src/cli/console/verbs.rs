//! `hms`, `hms attach`, `hms replay`, `hms watch`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use chrono::{FixedOffset, Local};
use serde_json::json;

use crate::console::{
    Access, Colour, Glyphs, LOCAL_FRAME_GAP, Leave, Leaving, Options, REMOTE_FRAME_GAP, Replay, Source, Synchronized, run,
};
use crate::executor::log_path;
use crate::rollout::folder_of;
use crate::run::reader::find;
use crate::store::{journal_events, now};
use crate::text::plain;

use super::super::arguments::Output;
use super::super::environment::{Environment, is_interactive, variable, why_not_interactive};
use super::super::failure::{Exit, Failure};
use super::super::follow::{Followed, follow};
use super::super::run_new::Clone;
use super::super::watch;
use super::gather::graph;
use super::observer::Observed;
use super::opening::{Opening, Watching};
use super::source::{LiveSource, Shown};

/// The console on the newest run; it watches the repository when that says so, or `asked` does.
pub(crate) fn console(at: Option<&Path>, asked: bool, leaving: Leaving) -> Result<u8, Failure> {
    must_be_interactive(if asked { "hms watch --headless" } else { "hms run --headless" })?;
    let environment = Environment::find()?;
    let watching = if asked { Watching::Asked } else { Watching::AsSettled };
    let opening = Opening::begin(at, watching)?;
    show(Box::new(LiveSource::new(environment, opening, Shown::Newest, Access::Full)), leaving)
}

/// The console on one run; without a screen its lines.
pub(crate) fn attach(environment: Environment, clone: &Clone, name: Option<&str>, output: Output) -> Result<u8, Failure> {
    let listed = find(&clone.folder, name)?;
    if !is_interactive() || output == Output::Json {
        let (mut out, mut notices) = (std::io::stdout(), std::io::stderr());
        return follow(&listed.folder, &environment.places, output, None, &|| None, &mut out, &mut notices);
    }
    let opening = Opening::begin(Some(&clone.repository.common_dir()), Watching::No)?;
    show(Box::new(LiveSource::new(environment, opening, Shown::This(listed.folder), Access::Full)), Leaving::RunGoesOn)
}

/// A finished run again; as JSON what `attach` gives of it, up to now.
pub(crate) fn replay(environment: &Environment, clone: &Clone, name: Option<&str>, output: Output) -> Result<u8, Failure> {
    if output == Output::Json {
        let listed = find(&clone.folder, name)?;
        let mut out = std::io::stdout();
        for event in Followed::new(&listed.folder, &environment.places).poll()? {
            writeln!(out, "{event}")?;
        }
        return Ok(0);
    }
    must_be_interactive("hms status RUN, or hms replay RUN --output json")?;
    let listed = find(&clone.folder, name)?;
    let events = journal_events(&listed.folder.journal())?;
    let state = crate::event::RunState::fold(&events);
    let app = state.created.as_ref().map(|created| created.app.clone());
    let rollouts = app.map(|app| {
        let mut ids: Vec<_> = state.rollouts.iter().map(|(id, ..)| id.clone()).collect();
        ids.dedup();
        ids.iter().map(|id| journal_events(&folder_of(&environment.places.state, &app, id).join("journal"))).collect::<Result<Vec<_>, _>>()
    });
    let logs: BTreeMap<_, _> = state
        .jobs
        .iter()
        .filter_map(|job| Some((job.plan.name.clone(), log_path(&listed.folder.attempt(&job.plan.name, job.attempts.last()?.number)))))
        .collect();
    let graph_of = Box::new(|rollout: &crate::event::RolloutState| graph(rollout, &Observed::default()));
    show(Box::new(Replay::new(events, rollouts.transpose()?.unwrap_or_default(), logs, graph_of)), Leaving::RunGoesOn)
}

/// Watching without a screen: a line for each run that is started.
pub(crate) fn watch_headless(environment: &Environment, clone: &Clone, output: Output) -> Result<u8, Failure> {
    let plan = watch::plan(clone, true)?
        .ok_or_else(|| Failure::new(Exit::Usage, "there is no branch to watch").hint("check one out, or set `watch` in .hms"))?;
    let mut out = std::io::stdout();
    match output {
        Output::Text => writeln!(out, "watching {}", plan.describe())?,
        Output::Json => writeln!(out, "{}", json!({"format": 1, "watching": plan.refs()}))?,
    }
    watch::run(environment, clone, &plan, &mut |said| match (said, output) {
        (Ok(line), Output::Text) => writeln!(out, "{}", plain(&line)).is_ok(),
        (Err(line), Output::Text) => writeln!(std::io::stderr(), "{}", plain(&line)).is_ok(),
        (Ok(line), Output::Json) => writeln!(out, "{}", json!({"format": 1, "started": line})).is_ok(),
        (Err(line), Output::Json) => writeln!(out, "{}", json!({"format": 1, "error": line})).is_ok(),
    })?;
    Ok(0)
}

fn must_be_interactive(instead: &str) -> Result<(), Failure> {
    if is_interactive() {
        return Ok(());
    }
    let why = why_not_interactive().unwrap_or("this needs a terminal on standard input and output");
    Err(Failure::new(Exit::Usage, why).hint(instead.to_owned()))
}

/// What a shell tells of a program that SIGHUP ended.
const HUNG_UP: u8 = 129;

fn show(source: Box<dyn Source>, leaving: Leaving) -> Result<u8, Failure> {
    match run(source, options(leaving)) {
        Ok(Leave::Signal(signal)) => Ok(u8::try_from(128 + signal).unwrap_or(143)),
        Ok(Leave::Detached) => Ok(0),
        Ok(Leave::Hangup) => Ok(HUNG_UP),
        Err(error) => Err(Failure::of(Exit::NotCarriedOut, &error)),
    }
}

fn options(leaving: Leaving) -> Options {
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| variable(name))
        .is_none_or(|locale| locale.to_ascii_lowercase().contains("utf"));
    let zone: FixedOffset = *now().with_timezone(&Local).offset();
    Options {
        colour: if variable("NO_COLOR").is_some() { Colour::No } else { Colour::Yes },
        glyphs: if utf8 && variable("HMS_ASCII").is_none() { Glyphs::Unicode } else { Glyphs::Ascii },
        zone,
        frame_gap: if variable("SSH_CONNECTION").is_some() { REMOTE_FRAME_GAP } else { LOCAL_FRAME_GAP },
        synchronized: Synchronized::Yes,
        leaving,
    }
}
