//! Keeps instances alive: one task each, from its first healthy moment until somebody asks for its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health;
use super::instance::Instance;
use super::output;
use super::process::{self, Process};
use super::starting::NotStarted;
use super::supervisor::Supervisor;
use crate::deploy::{Health, TargetError};

/// Waits before the first start again; doubled each time up to the longest.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// An instance that lived as long begins with the first delay again.
const SETTLED: Duration = Duration::from_mins(1);
/// How long a start again may take.
const RESTART: Duration = Duration::from_mins(1);
/// How often a living instance is looked at, and how many bad answers in a row make it failing.
const LOOK: Duration = Duration::from_secs(5);
const STRIKES: u32 = 3;
/// How long open requests may take before an instance is stopped all the same.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// How the watch over a living process ended.
enum Watched {
    Died(String),
    Asked,
}

impl Supervisor {
    /// Keeps an instance until it is asked to end; without a process it is started at once. The task is owned by the
    /// instance: [`Instance::end`] stops it.
    pub(super) async fn keep(self: Arc<Self>, instance: Arc<Instance>, process: Option<Process>) {
        let mut delay = if process.is_some() { FIRST_DELAY } else { Duration::ZERO };
        let mut living = process;
        loop {
            if let Some(mut process) = living.take() {
                let since = Instant::now();
                match self.watch(&instance, &mut process).await {
                    Watched::Asked => {
                        process::end(Some(process), &instance.mark()).await;
                        break;
                    }
                    Watched::Died(how) => {
                        self.died(&instance, &how).await;
                        if since.elapsed() > SETTLED {
                            delay = FIRST_DELAY;
                        }
                    }
                }
            }
            tokio::select! {
                biased;
                () = instance.asked_to_end() => break,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
            living = self.start_again(&instance).await;
        }
        instance.change(|now| now.process = None);
        instance.set_gone();
    }

    async fn watch(&self, instance: &Instance, process: &mut Process) -> Watched {
        let looking = async {
            let mut strikes = 0;
            loop {
                tokio::time::sleep(LOOK).await;
                let log = output::log_of(&self.folder, &instance.series.version);
                let _ = tokio::task::spawn_blocking(move || output::rotate(&log)).await;
                let now = instance.now();
                match health::check(now.port).await {
                    Ok(()) => {
                        strikes = 0;
                        instance.change(|now| now.health = Health::Healthy);
                    }
                    Err(_) if strikes + 1 < STRIKES => strikes += 1,
                    Err(reason) => {
                        let last_lines = output::last_lines(&output::log_of(&self.folder, &instance.series.version), now.log_from);
                        instance.change(|now| now.health = Health::Failing { reason: format!("it {reason}"), last_lines });
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = instance.asked_to_end() => Watched::Asked,
            how = process.wait() => Watched::Died(how),
            () = looking => Watched::Asked,
        }
    }

    async fn died(&self, instance: &Instance, how: &str) {
        let last_lines = output::last_lines(&output::log_of(&self.folder, &instance.series.version), instance.now().log_from);
        instance.pool.clear();
        instance.change(|now| {
            now.process = None;
            now.health = Health::Failing { reason: format!("it {how}"), last_lines };
        });
        self.happened(format!("{}: {} {how}", instance.series.environment, instance.series.version));
        // What its group left behind would hold the port.
        process::end(None, &instance.mark()).await;
        self.store_soon();
    }

    async fn start_again(&self, instance: &Instance) -> Option<Process> {
        let started = match self.prepare(instance).await {
            Ok(prepared) => self.launch(instance, &prepared, Instant::now() + RESTART).await,
            Err(error) => Err(NotStarted::Failed(error)),
        };
        let name = format!("{}: {}", instance.series.environment, instance.series.version);
        let found = match started {
            Ok(process) => {
                instance.change(|now| now.restarts += 1);
                self.happened(format!("{name} was started again"));
                Some(process)
            }
            Err(NotStarted::Ended) => None,
            Err(NotStarted::Failed(error)) => {
                let last_lines = match &error {
                    TargetError::StartFailed { last_lines, .. } => last_lines.clone(),
                    TargetError::Conflict { .. }
                    | TargetError::Superseded { .. }
                    | TargetError::ReleaseMissing { .. }
                    | TargetError::NotPossible { .. }
                    | TargetError::Unreachable { .. } => Vec::new(),
                };
                self.happened(format!("{name} could not be started again: {error}"));
                instance.change(|now| now.health = Health::Failing { reason: error.to_string(), last_lines });
                None
            }
        };
        self.store_soon();
        found
    }

    /// Drains an instance that has no place any more, then stops it. It is in its environment's `leaving` already.
    pub(super) fn let_go(self: &Arc<Self>, instance: Arc<Instance>) {
        let supervisor = Arc::clone(self);
        // Owned by the instance and bounded: the drain, then the grace of its process.
        tokio::spawn(async move {
            let drained = tokio::time::timeout(DRAIN, instance.idle()).await.is_ok();
            let name = format!("{}: {}", instance.series.environment, instance.series.version);
            if !drained {
                let open = instance.open_requests();
                supervisor.happened(format!("{name} was stopped with {open} requests open after {} s", DRAIN.as_secs()));
            }
            instance.pool.clear();
            instance.end();
            instance.gone().await;
            supervisor.forget(&instance).await;
            supervisor.happened(format!("{name} is stopped"));
            supervisor.store_soon();
        });
    }

    /// Takes an instance that is gone out of the world, and its working folder from the disk.
    pub(super) async fn forget(&self, instance: &Instance) {
        self.with_world(|world| {
            let environment = world.environment(&instance.series.environment);
            environment.leaving.retain(|other| other.id != instance.id);
            environment.starting.retain(|other| other.instance.id != instance.id);
        });
        let work = self.work_of(instance);
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(work)).await;
    }
}
