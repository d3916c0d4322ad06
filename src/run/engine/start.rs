//! Starting an engine: the one way, for a new run, an approval, a retry and a resume.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::event::InterruptedDecision;
use crate::run::RunFolder;
use crate::run::reader::engine_of;
use crate::store::{DiskError, Holder, KEPT, Places};

/// What an engine is told on its standard input, because it may not lie on disk or stand in its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Briefing {
    /// Values of masked variables, by name.
    pub masked: BTreeMap<String, String>,
    /// Values let in from the environment of whoever starts the engine, by name.
    pub passed: BTreeMap<String, String>,
    /// What becomes of interrupted attempts that only a person may run again; none leaves it to a person.
    pub interrupted: Option<InterruptedDecision>,
    /// The engine ends at a gate even when a canary has weight.
    pub no_linger: bool,
    /// What is to be known of the run's beginning, a sentence each.
    #[serde(default)]
    pub notices: Vec<String>,
    /// The PATH of jobs, without hms's own programs.
    pub path: String,
}

/// Starts an engine for a run, or finds the one that lives.
///
/// # Errors
/// When the program cannot be started, or no engine holds the lock after 10 s and the one started did not end well.
pub fn start_engine(program: &Path, folder: &RunFolder, places: &Places, briefing: &Briefing) -> Result<Started, DiskError> {
    if let Some(holder) = engine_of(folder)? {
        return Ok(Started { child: None, holder: Some(holder) });
    }
    let mut child = spawn(program, folder, places).map_err(DiskError::of("start the program", program))?;
    let told = serde_json::to_vec(briefing).map_err(|error| DiskError::of("brief the program", program)(error.into()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&told).map_err(DiskError::of("brief the program", program))?;
    }
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(holder) = engine_of(folder)? {
            return Ok(Started { child: Some(child), holder: Some(holder) });
        }
        let over = child.try_wait().map_err(DiskError::of("wait for the program", program))?.is_some();
        if over || Instant::now() >= end {
            return Ok(Started { child: Some(child), holder: None });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An engine that was started, or found.
#[derive(Debug)]
pub struct Started {
    /// The process, when this one started it; it must be waited for some day.
    pub child: Option<Child>,
    /// Who holds the run's lock; none when the engine had nothing to do and ended at once.
    pub holder: Option<Holder>,
}

fn spawn(program: &Path, folder: &RunFolder, places: &Places) -> std::io::Result<Child> {
    let log: PathBuf = folder.engine_log();
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    let mut command = Command::new(program);
    command.arg("engine").arg(folder.path()).arg(&places.state).env_clear().current_dir("/");
    for (name, value) in std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)) {
        command.env(name, value);
    }
    command.env("HMS_STATE_HOME", &places.state).env("HMS_DATA_HOME", &places.data);
    #[cfg(debug_assertions)]
    if let Some(point) = std::env::var_os("HMS_CRASH_AT") {
        command.env("HMS_CRASH_AT", point);
    }
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()
}
