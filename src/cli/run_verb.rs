//! `hms run`: make a run, start its engine, follow it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::event::Command;
use crate::report::Headless;
use crate::run::RunFolder;
use crate::run::reader::find;

use super::arguments::{Output, RunArguments};
use super::control::send;
use super::environment::Environment;
use super::failure::Failure;
use super::follow::{Followed, follow_on};
use super::run_new::{Cause, Clone, Waking, make_run, no_linger, wake};

/// What a shell tells of a program that SIGHUP ended: whoever asks for an exit code learns that there is none of the run's yet.
const HUNG_UP: u8 = 129;

/// Runs without a screen and gives the exit code.
pub(crate) fn headless(environment: &Environment, clone: &Clone, arguments: &RunArguments, output: Output) -> Result<u8, Failure> {
    let (mut out, mut notices) = (std::io::stdout(), std::io::stderr());
    let signals = Signals::catch()?;
    let folder = start(environment, clone, arguments, &mut notices)?;
    let name = folder.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (number, run) = name.split_once('-').unwrap_or((&name, ""));
    if arguments.detach {
        let _ = match output {
            Output::Text => writeln!(out, "run {number} ({run}) goes on by itself: hms attach {number}"),
            Output::Json => writeln!(out, "{}", serde_json::json!({"format": 1, "run": run, "number": number.parse::<u64>().ok()})),
        };
        return Ok(0);
    }
    if output == Output::Text {
        let _ = writeln!(notices, "hms: run {number}: hms logs JOB --run {number} --follow");
    }
    let stop = || signals.asked_to_leave().then_some(HUNG_UP);
    let (mut followed, mut printer) = (Followed::new(&folder, &environment.places), Headless::default());
    let mut go_on = || {
        let stop = || signals.canceled().map(|_| 0).or_else(stop);
        follow_on(&mut followed, &mut printer, output, None, &stop, &mut out, &mut std::io::stderr())
    };
    let code = go_on()?;
    match signals.canceled() {
        None if code == HUNG_UP => {
            let number = followed.state().created.as_ref().map_or(0, |created| created.number);
            let _ = writeln!(notices, "hms: the run goes on: hms attach {number}");
            Ok(code)
        }
        None => Ok(code),
        Some(signal) => {
            // The second signal ends what the first one only asked to end; the third leaves, and the engine goes on cancelling.
            for said in ["cancelling the run: its canary first, then its jobs", "cancelling it at once"] {
                let _ = writeln!(notices, "hms: {said}");
                signals.forget();
                send(environment, &folder, Command::Cancel {})?;
                go_on()?;
                if signals.canceled().is_none() {
                    break;
                }
            }
            Ok(if signal == SIGTERM { 143 } else { 130 })
        }
    }
}

/// Makes the run, or finds the one to go on with, and wakes its engine.
pub(crate) fn start(
    environment: &Environment,
    clone: &Clone,
    arguments: &RunArguments,
    notices: &mut dyn Write,
) -> Result<RunFolder, Failure> {
    let folder = if let Some(name) = &arguments.resume {
        find(&clone.folder, Some(name))?.folder
    } else {
        let resolved = clone.repository.resolve(arguments.reference.as_deref().unwrap_or("HEAD"))?;
        make_run(environment, clone, arguments, &resolved, &Cause::Asked, notices)?.folder
    };
    let waking = Waking {
        interrupted: arguments.resume_interrupted,
        linger: Some(!no_linger(environment, arguments)),
        variable_file: arguments.variable_file.as_deref(),
        ..Waking::default()
    };
    wake(environment, &folder, &waking)?;
    Ok(folder)
}

/// SIGINT and SIGTERM cancel; SIGHUP only detaches this view.
struct Signals {
    interrupted: Arc<AtomicUsize>,
    hung_up: Arc<AtomicUsize>,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let signals = Self { interrupted: Arc::default(), hung_up: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or(0);
            signal_hook::flag::register_usize(signal, Arc::clone(&signals.interrupted), number)?;
        }
        signal_hook::flag::register_usize(SIGHUP, Arc::clone(&signals.hung_up), 1)?;
        Ok(signals)
    }

    fn canceled(&self) -> Option<i32> {
        i32::try_from(self.interrupted.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }

    /// A signal that was answered is looked for again.
    fn forget(&self) {
        self.interrupted.store(0, Ordering::SeqCst);
    }

    fn asked_to_leave(&self) -> bool {
        self.hung_up.load(Ordering::SeqCst) != 0
    }
}
