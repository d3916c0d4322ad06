//! From placed bytes to a process that answers its health check. It gets no traffic here.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::health;
use super::instance::Instance;
use super::output;
use super::placed::{Placed, unreachable};
use super::ports::{free_port, is_free};
use super::process::{self, Launch, Process};
use super::recipe::{Recipe, recipe_of};
use super::supervisor::Supervisor;
use crate::deploy::release::{Sync, copy_tree};
use crate::deploy::{Health, ReleaseRecord, TargetError};
use crate::store::{self, DiskError, chain};

/// How often a starting instance is asked.
const ASK: Duration = Duration::from_millis(40);
/// How many ports are tried when another program takes the chosen one first.
const PORTS: u32 = 3;
/// Variables of the supervisor that instances get too.
const PASSED: [&str; 9] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// What an instance runs, and where.
#[derive(Debug)]
pub(super) struct Prepared {
    record: ReleaseRecord,
    recipe: Recipe,
    folder: PathBuf,
}

/// Why an instance does not run.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// It would not; a [`TargetError::StartFailed`] or [`TargetError::ReleaseMissing`].
    Failed(TargetError),
    /// Somebody asked for its end meanwhile.
    Ended,
}

enum Waited {
    Healthy,
    Ended(String),
    Late(String),
    Cancelled,
}

impl Supervisor {
    /// Checks a release's bytes and makes the folder that the instance runs in: a copy, because applications write beside
    /// themselves and the release's bytes must stay what their digest says. A static release is served from its bytes.
    pub(super) async fn prepare(&self, instance: &Instance) -> Result<Prepared, TargetError> {
        let placed = Placed::of(&self.folder);
        let (release, work) = (instance.release.clone(), self.work_of(instance));
        let prepared = tokio::task::spawn_blocking(move || {
            let known = if work.is_dir() { placed.record(&release)? } else { placed.checked(&release)? };
            let missing = || TargetError::ReleaseMissing { release: release.clone(), why: "it was never placed here".to_owned() };
            let record = known.ok_or_else(missing)?;
            let tree = placed.tree(&release);
            let recipe = recipe_of(&record, &tree).map_err(|reason| TargetError::StartFailed { reason, last_lines: Vec::new() })?;
            match recipe {
                Recipe::Static { .. } => Ok(Prepared { record, recipe, folder: tree }),
                Recipe::Shell { .. } => {
                    if !work.is_dir() {
                        let new = work.with_extension("new");
                        let _ = fs::remove_dir_all(&new);
                        copy_tree(&tree, &new, Sync::Never).map_err(|error| TargetError::Unreachable { reason: chain(&error) })?;
                        fs::rename(&new, &work).map_err(DiskError::of("rename", &new)).map_err(unreachable)?;
                    }
                    Ok(Prepared { record, recipe, folder: work })
                }
            }
        });
        prepared.await.unwrap_or_else(|error| Err(TargetError::Unreachable { reason: error.to_string() }))
    }

    /// Where an instance runs.
    pub(super) fn work_of(&self, instance: &Instance) -> PathBuf {
        self.folder.join("work").join(&instance.id)
    }

    /// Starts an instance and waits until it answers.
    pub(super) async fn launch(&self, instance: &Instance, prepared: &Prepared, deadline: Instant) -> Result<Process, NotStarted> {
        let log = output::log_of(&self.folder, &instance.series.version);
        let failed =
            |reason: String, from: u64| NotStarted::Failed(TargetError::StartFailed { reason, last_lines: output::last_lines(&log, from) });
        let mut tries = 0;
        loop {
            tries += 1;
            let known = instance.now().port;
            let port = if tries == 1 && known != 0 && is_free(known) { Ok(known) } else { free_port() };
            let port = port.map_err(|error| failed(format!("no port is free: {error}"), u64::MAX))?;
            let (output, from) = output::open(&log).map_err(|error| failed(chain(&error), u64::MAX))?;
            let variables = self.variables(instance, prepared, port);
            let launch = Launch { recipe: &prepared.recipe, folder: &prepared.folder, output, variables };
            let mut process = Process::start(launch).map_err(|reason| failed(reason, from))?;
            instance.change(|now| {
                now.port = port;
                now.log_from = from;
                now.process = Some(process.name().clone());
                now.health = Health::Starting;
            });
            match until_healthy(instance, &mut process, port, deadline).await {
                Waited::Healthy => {
                    instance.change(|now| now.health = Health::Healthy);
                    return Ok(process);
                }
                Waited::Ended(how) => {
                    let taken = !is_free(port);
                    process::end(Some(process), &instance.mark()).await;
                    instance.change(|now| now.process = None);
                    if taken && tries < PORTS && !instance.is_ending() {
                        continue;
                    }
                    return Err(failed(format!("it {how} before it answered"), from));
                }
                Waited::Late(why) => {
                    process::end(Some(process), &instance.mark()).await;
                    instance.change(|now| now.process = None);
                    return Err(failed(format!("it was not healthy in time: it {why}"), from));
                }
                Waited::Cancelled => {
                    process::end(Some(process), &instance.mark()).await;
                    instance.change(|now| now.process = None);
                    return Err(NotStarted::Ended);
                }
            }
        }
    }

    /// The whole environment of an instance: what is passed on, what it is told, and its marks.
    fn variables(&self, instance: &Instance, prepared: &Prepared, port: u16) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            PASSED.iter().filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value))).collect();
        if let Recipe::Shell { variables, .. } = &prepared.recipe {
            let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
            all.retain(|(name, _)| name != "PATH");
            all.push(("PATH".to_owned(), format!("{}:{path}", prepared.folder.join("node_modules/.bin").display())));
            all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        }
        let release = &prepared.record.release;
        let told = [
            ("PORT", port.to_string()),
            ("HOST", "127.0.0.1".to_owned()),
            ("HMS_APP", prepared.record.app.to_string()),
            ("HMS_ENVIRONMENT", instance.series.environment.to_string()),
            ("HMS_VERSION", instance.series.version.clone()),
            ("HMS_TAG", release.tag.clone()),
            ("HMS_REVISION", release.revision.as_ref().map(ToString::to_string).unwrap_or_default()),
        ];
        all.extend(told.into_iter().map(|(name, value)| (name.to_owned(), value)));
        all.extend([instance.mark(), self.mark()].map(|mark| (mark, "1".to_owned())));
        all
    }
}

async fn until_healthy(instance: &Instance, process: &mut Process, port: u16, deadline: Instant) -> Waited {
    let asking = async {
        let mut why = "never answered".to_owned();
        loop {
            match tokio::time::timeout_at(deadline, health::check(port)).await {
                Ok(Ok(())) => return Waited::Healthy,
                Ok(Err(answer)) => why = answer,
                Err(_) => return Waited::Late(why),
            }
            if Instant::now() + ASK >= deadline {
                return Waited::Late(why);
            }
            tokio::time::sleep(ASK).await;
        }
    };
    tokio::select! {
        biased;
        () = instance.asked_to_end() => Waited::Cancelled,
        how = process.wait() => Waited::Ended(how),
        waited = asking => waited,
    }
}

/// The mark of everything that a supervisor starts.
pub(super) fn app_mark(folder: &std::path::Path) -> String {
    format!("HMS_LOCAL_{}", store::socket_name(folder).trim_end_matches(".sock").to_ascii_uppercase())
}
