//! A finished run looked at again: the view is a function of the journals' prefixes up to a moment, so a replay, the live
//! screen and the tests of both are one mechanism. Every request is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::{
    EnvironmentRecord, JobName, Refusal, RefusalKind, ReleaseRef, RolloutEvent, RolloutKind, RolloutPhase, RolloutState, RunEvent,
    RunState, Slot, Stamped, VerdictClass, Weight, Weights,
};

use super::source::{Access, EngineLife, EnvironmentView, Graph, LogBytes, Request, Source, SourceState, Ticket, View, Waker};

/// A run's journal with those of its rollouts, and where its logs lie.
pub struct Replay {
    run: Vec<Stamped<RunEvent>>,
    rollouts: Vec<Vec<Stamped<RolloutEvent>>>,
    logs: BTreeMap<JobName, PathBuf>,
    graph: GraphOf,
    at: DateTime<Utc>,
    waker: Option<Waker>,
}

/// How a rollout's samples become graphs; the judge's own arithmetic, handed in.
pub type GraphOf = Box<dyn Fn(&RolloutState) -> Graph>;

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("events", &self.run.len())
            .field("rollouts", &self.rollouts.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// Shows the journals' end. `rollouts` are oldest first; `logs` name the file of each job's last attempt.
    #[must_use]
    pub fn new(
        run: Vec<Stamped<RunEvent>>,
        rollouts: Vec<Vec<Stamped<RolloutEvent>>>,
        logs: BTreeMap<JobName, PathBuf>,
        graph: GraphOf,
    ) -> Self {
        let last = run.last().map(|event| event.time).into_iter().chain(rollouts.iter().filter_map(|events| Some(events.last()?.time)));
        let at = last.max().unwrap_or_default();
        Self { run, rollouts, logs, graph, at, waker: None }
    }

    /// Goes to another moment.
    pub fn seek(&mut self, at: DateTime<Utc>) {
        self.at = at;
        if let Some(waker) = &self.waker {
            waker.changed();
        }
    }

    /// What was to be seen at a moment.
    #[must_use]
    pub fn view_at(&self, at: DateTime<Utc>) -> View {
        let run = RunState::fold(self.run.iter().filter(|event| event.time <= at));
        let rollouts: Vec<Arc<RolloutState>> = self
            .rollouts
            .iter()
            .map(|events| Arc::new(RolloutState::fold(events.iter().filter(|event| event.time <= at))))
            .filter(|rollout| rollout.created.is_some())
            .collect();
        let created = run.created.as_ref();
        let watched = rollouts.iter().rev().find(|rollout| rollout.watch.is_some());
        View {
            state: SourceState::Ready,
            repository: created
                .and_then(|created| Some(created.repository.file_name()?.to_string_lossy().into_owned()))
                .unwrap_or_default(),
            app: created.map(|created| created.app.clone()),
            target: rollouts.last().and_then(|rollout| Some(rollout.created.as_ref()?.target.clone())),
            environments: environments(&rollouts),
            engine: if run.ended.is_some() { EngineLife::Ended } else { EngineLife::Alive },
            graph: watched.map(|rollout| (self.graph)(rollout)).unwrap_or_default(),
            run: created.is_some().then(|| Arc::new(run)),
            rollouts,
            access: Access::Replay,
            at: Some(at),
            ..View::default()
        }
    }
}

impl Source for Replay {
    fn start(&mut self, waker: Waker) {
        waker.changed();
        self.waker = Some(waker);
    }

    fn view(&mut self) -> View {
        self.view_at(self.at)
    }

    fn log(&mut self, job: &JobName) -> io::Result<Option<Box<dyn LogBytes>>> {
        let Some(path) = self.logs.get(job) else {
            return Ok(None);
        };
        match File::open(path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, ticket: Ticket, _: Request) {
        if let Some(waker) = &self.waker {
            waker.answer(ticket, Err(Refusal::new(RefusalKind::ReadOnly, "a replay changes nothing")));
        }
    }
}

/// Environments as rollouts' journals tell them, where the target's own records are not at hand.
#[must_use]
pub fn environments(rollouts: &[Arc<RolloutState>]) -> Vec<EnvironmentView> {
    let mut records: Vec<EnvironmentRecord> = Vec::new();
    for rollout in rollouts {
        let Some(created) = &rollout.created else { continue };
        let index = records.iter().position(|record| record.environment == created.environment).unwrap_or_else(|| {
            records.push(EnvironmentRecord::empty(created.app.clone(), created.environment.clone()));
            records.len() - 1
        });
        if let Some(record) = records.get_mut(index) {
            fold(record, rollout);
        }
    }
    records.into_iter().map(EnvironmentView::of).collect()
}

fn fold(record: &mut EnvironmentRecord, rollout: &RolloutState) {
    let Some(created) = &rollout.created else { return };
    if record.current.is_none() {
        record.current.clone_from(&created.previous);
        record.healthy.extend(created.previous.clone());
    }
    let holds = rollout.has_weight() && created.kind == RolloutKind::Release;
    record.slot = holds.then(|| Slot {
        release: created.release.clone(),
        rollout: created.rollout.clone(),
        since: rollout.watch_started_at.or(rollout.created_at).unwrap_or_default(),
    });
    record.weights =
        holds.then(|| Weights { requested: rollout.requested.unwrap_or(Weight::ZERO), applied: rollout.applied.unwrap_or(Weight::ZERO) });
    match &rollout.phase {
        RolloutPhase::Promoted => {
            record.previous = record.current.replace(created.release.clone());
            record.returned_to = None;
            if rollout.verdict_class() == Some(VerdictClass::Pass) || rollout.overridden.is_some() {
                record.healthy.insert(0, created.release.clone());
            }
        }
        RolloutPhase::RolledBack { to: Some(to), .. } => back_to(record, to, created.kind),
        RolloutPhase::RolledBack { to: None, .. }
        | RolloutPhase::New
        | RolloutPhase::AwaitingSlot(_)
        | RolloutPhase::Armed { .. }
        | RolloutPhase::Stepping
        | RolloutPhase::Watching
        | RolloutPhase::Failed(_)
        | RolloutPhase::Superseded(_)
        | RolloutPhase::Cancelled => {}
    }
}

/// A rollback of the environment itself; a canary that was taken away changes nothing of it.
fn back_to(record: &mut EnvironmentRecord, to: &ReleaseRef, kind: RolloutKind) {
    if kind != RolloutKind::Rollback {
        return;
    }
    let left = record.current.replace(to.clone());
    if let Some(left) = &left {
        record.healthy.retain(|release| release.digest != left.digest);
    }
    record.previous = left;
    record.returned_to = Some(to.digest.clone());
}
