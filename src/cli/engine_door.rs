//! `hms engine RUN_DIR STATE`: the engine's process, in a session of its own.

use std::io::{Read, Write};
use std::path::Path;

use rustix::process::{getpid, set_child_subreaper, setsid};

use crate::rollout::Hear;
use crate::run::RunFolder;
use crate::run::engine::{Briefing, Engine, EngineSetup};

use super::environment::{Environment, actor, environment_variable};
use super::failure::{Exit, Failure};

/// Drives a run until it is over or parked. What goes wrong is written to standard error, which is the run's `engine.log`.
pub(crate) fn engine_main(folder: &Path) -> u8 {
    match drive(folder) {
        Ok(()) => 0,
        Err(failure) => {
            failure.report(&mut std::io::stderr());
            failure.exit.code()
        }
    }
}

fn drive(folder: &Path) -> Result<(), Failure> {
    // Refused only to the leader of a group, which nobody starts an engine as.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(std::io::Error::from)?;
    let mut told = Vec::new();
    std::io::stdin().read_to_end(&mut told)?;
    let briefing: Briefing = serde_json::from_slice(&told).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    let environment = Environment::find()?;
    let _at_home = crate::store::settle(&environment.places.state);
    let places_for_jobs = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).max(2);
    let setup = EngineSetup {
        folder: RunFolder::at(folder),
        places: environment.places.clone(),
        program: environment.program.clone(),
        briefing,
        actor: actor("hms engine"),
        places_for_jobs,
        floors: environment.operator.floors.clone(),
        supplied: environment.operator.variables.clone(),
        notify: environment.operator.notify.clone(),
        hear: Hear::nobody(),
        variable: environment_variable,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { Box::pin(Engine::open(setup)?.drive()).await });
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match answer {
        Ok(_) => Ok(()),
        Err(error) => {
            let _ = std::io::stderr().flush();
            Err(Failure::of(Exit::NotCarriedOut, &error))
        }
    }
}
