//! A target in memory, honest about fences and versions; with a gate in front of each call at which a test can hold or fail it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::deploy::{Applied, ArmName, ArmView, Effect, Health, Observation, ReleaseRecord, Target, TargetError, differences};
use crate::event::{AppName, AppRecord, Digest, Drift, EnvironmentName, EnvironmentRecord, TargetIdentity, Weight};
use crate::rollout::crash::{self, CrashPoint};

/// What a test does to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Holds it until it is let go.
    Hold,
    /// Fails it.
    Fail(TargetError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum When {
    Before,
    After,
}

/// Counts the calls of one handle, and holds or fails some.
#[derive(Default)]
pub(crate) struct Gate {
    calls: Mutex<Vec<&'static str>>,
    acts: Mutex<BTreeMap<(usize, When), Act>>,
    verbs: Mutex<BTreeMap<(&'static str, When), Act>>,
    pub(crate) held: Notify,
    pub(crate) go: Notify,
}

impl Gate {
    /// Does that to call number `n` (from 0) of this handle.
    pub(crate) fn at(&self, n: usize, when: When, act: Act) {
        self.acts.lock().unwrap().insert((n, when), act);
    }

    /// Does that to every call of that kind.
    pub(crate) fn every(&self, verb: &'static str, when: When, act: Option<Act>) {
        let mut verbs = self.verbs.lock().unwrap();
        match act {
            Some(act) => verbs.insert((verb, when), act),
            None => verbs.remove(&(verb, when)),
        };
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn pass(&self, n: usize, verb: &'static str, when: When) -> Result<(), TargetError> {
        let act = self.acts.lock().unwrap().get(&(n, when)).cloned();
        let act = act.or_else(|| self.verbs.lock().unwrap().get(&(verb, when)).cloned());
        match act {
            None => Ok(()),
            Some(Act::Fail(error)) => Err(error),
            Some(Act::Hold) => {
                self.held.notify_one();
                self.go.notified().await;
                Ok(())
            }
        }
    }
}

pub(crate) struct State {
    pub(crate) app: AppRecord,
    pub(crate) records: BTreeMap<EnvironmentName, EnvironmentRecord>,
    pub(crate) arms: BTreeMap<ArmName, Vec<Digest>>,
    pub(crate) weight: Weight,
    pub(crate) fence: u64,
    pub(crate) placed: Vec<ReleaseRecord>,
    /// Every effect that was carried out, with its fence.
    pub(crate) effects: Vec<(u64, Effect)>,
    /// Releases that do not start.
    pub(crate) broken: BTreeSet<Digest>,
    pub(crate) start_takes: Duration,
    pub(crate) removed: Vec<Digest>,
    /// What is not as it was brought.
    pub(crate) changed: Option<Drift>,
    /// Releases whose records are there and whose bytes are not.
    pub(crate) gone: BTreeSet<Digest>,
    /// Whether promote, return and withdraw take several writes, as at a cluster, with one arm beside stable.
    pub(crate) in_steps: bool,
    /// Stable's template is written and not rolled out: who lowers the arm's weight now gives users half of it.
    pub(crate) rolling: bool,
    /// What users got that they should not have.
    pub(crate) harm: Vec<String>,
}

/// A handle on the target; each has a gate of its own.
#[derive(Clone)]
pub(crate) struct FakeTarget {
    state: Arc<Mutex<State>>,
    pub(crate) gate: Arc<Gate>,
}

pub(crate) fn unreachable() -> TargetError {
    TargetError::Unreachable { reason: "no route to it".to_owned() }
}

impl FakeTarget {
    pub(crate) fn new(app: AppName) -> Self {
        let state = State {
            app: AppRecord::empty(app),
            records: BTreeMap::new(),
            arms: BTreeMap::new(),
            weight: Weight::ZERO,
            fence: 0,
            placed: Vec::new(),
            effects: Vec::new(),
            broken: BTreeSet::new(),
            start_takes: Duration::from_millis(300),
            removed: Vec::new(),
            changed: None,
            gone: BTreeSet::new(),
            in_steps: false,
            rolling: false,
            harm: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    /// The same target by another client.
    pub(crate) fn other_client(&self) -> Self {
        Self { state: Arc::clone(&self.state), gate: Arc::default() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn enter(&self, verb: &'static str) -> Result<usize, TargetError> {
        let n = {
            let mut calls = self.gate.calls.lock().unwrap();
            calls.push(verb);
            calls.len() - 1
        };
        self.gate.pass(n, verb, When::Before).await?;
        Ok(n)
    }

    async fn leave<R>(&self, n: usize, verb: &'static str, answer: Result<R, TargetError>) -> Result<R, TargetError> {
        self.gate.pass(n, verb, When::After).await?;
        answer
    }
}

impl State {
    pub(crate) fn arm(&self, arm: ArmName) -> Option<Digest> {
        self.arms.get(&arm).and_then(|running| running.first()).cloned()
    }

    fn runs(&self, release: &Digest) -> bool {
        self.arms.values().flatten().any(|running| running == release)
    }

    fn stop(&mut self, release: &Digest) {
        for running in self.arms.values_mut() {
            running.retain(|running| running != release);
        }
    }

    fn put(&mut self, arm: ArmName, release: &Digest) {
        self.stop(release);
        self.arms.entry(arm).or_default().push(release.clone());
    }

    fn observation(&self) -> Observation {
        let view = |(arm, release): (&ArmName, &Digest)| ArmView {
            arm: *arm,
            release: release.clone(),
            version: release.short().to_owned(),
            health: Health::Healthy,
            restarts: 0,
        };
        let arms = self.arms.iter().flat_map(|(arm, running)| running.iter().map(move |release| (arm, release))).map(view).collect();
        Observation {
            at: chrono::DateTime::default(),
            arms,
            weight: self.weight,
            fence: self.fence,
            address: None,
            metrics: None,
            served: None,
        }
    }

    fn carry_out(&mut self, fence: u64, effect: &Effect) -> Result<Applied, TargetError> {
        if fence < self.fence {
            return Err(TargetError::Superseded { by: None, fence: self.fence });
        }
        self.fence = fence;
        let not_possible = |reason: &str| Err(TargetError::NotPossible { reason: reason.to_owned() });
        match effect {
            Effect::Start { release, arm, .. } => {
                if !self.placed.iter().any(|placed| placed.release.digest == *release) {
                    return Err(TargetError::ReleaseMissing { release: release.clone(), why: "no bytes".to_owned() });
                }
                if self.broken.contains(release) {
                    let last_lines = vec!["cannot find module x".to_owned()];
                    return Err(TargetError::StartFailed { reason: "it exited with 1".to_owned(), last_lines });
                }
                if *arm == ArmName::Canary && self.arm(ArmName::Canary).is_some_and(|canary| canary != *release) {
                    return not_possible("another canary runs");
                }
                if self.arm(ArmName::Stable).as_ref() != Some(release) {
                    self.put(*arm, release);
                }
            }
            Effect::Weigh { weight } => {
                if *weight > Weight::ZERO && self.arm(ArmName::Canary).is_none() {
                    return not_possible("there is no canary");
                }
                self.weight = *weight;
            }
            Effect::Promote { release } => {
                if self.arm(ArmName::Stable).as_ref() != Some(release) {
                    if self.arm(ArmName::Canary).as_ref() != Some(release) {
                        return not_possible("the canary is another release");
                    }
                    if let Some(old) = self.arm(ArmName::Stable) {
                        self.put(ArmName::Standby, &old);
                    }
                    self.put(ArmName::Stable, release);
                }
                self.weight = Weight::ZERO;
            }
            Effect::Withdraw => {
                self.weight = Weight::ZERO;
                self.arms.remove(&ArmName::Canary);
            }
            Effect::Return { release } => {
                if !self.runs(release) {
                    return not_possible("it does not run");
                }
                if let Some(old) = self.arm(ArmName::Stable).filter(|old| old != release) {
                    self.stop(&old);
                }
                self.put(ArmName::Stable, release);
                self.weight = Weight::ZERO;
                // As it was left.
                self.changed = None;
            }
            Effect::Retire { release } => {
                if let Some(standbys) = self.arms.get_mut(&ArmName::Standby) {
                    standbys.retain(|standby| standby != release);
                }
            }
        }
        self.effects.push((fence, effect.clone()));
        Ok(Applied { weight: self.weight, observation: self.observation() })
    }
}

/// The same effects as a cluster has them: write by write, each admitted for itself.
impl FakeTarget {
    fn admitted(&self, fence: u64) -> Result<MutexGuard<'_, State>, TargetError> {
        let mut state = self.state();
        if fence < state.fence {
            return Err(TargetError::Superseded { by: None, fence: state.fence });
        }
        state.fence = fence;
        Ok(state)
    }

    async fn carry_out_in_steps(&self, fence: u64, effect: &Effect) -> Result<Applied, TargetError> {
        let impossible = |reason: &str| TargetError::NotPossible { reason: reason.to_owned() };
        match effect {
            Effect::Start { release, arm, .. } => {
                let mut state = self.admitted(fence)?;
                if !state.placed.iter().any(|placed| placed.release.digest == *release) {
                    return Err(TargetError::ReleaseMissing { release: release.clone(), why: "no bytes".to_owned() });
                }
                if state.arm(ArmName::Stable).as_ref() != Some(release) {
                    if state.beside().is_some_and(|beside| beside.1 != *release) && state.weight > Weight::ZERO {
                        return Err(impossible("another release is beside stable and has traffic"));
                    }
                    state.clear_beside();
                    state.arms.insert(*arm, vec![release.clone()]);
                }
            }
            Effect::Weigh { weight } => {
                let mut state = self.admitted(fence)?;
                if state.arm(ArmName::Canary).is_none() {
                    return Err(impossible("there is no canary to give traffic to"));
                }
                state.give(*weight);
            }
            Effect::Promote { release } => {
                let (is_canary, is_stable) = {
                    let state = self.admitted(fence)?;
                    (state.arm(ArmName::Canary).as_ref() == Some(release), state.arm(ArmName::Stable).as_ref() == Some(release))
                };
                if !is_canary && !is_stable {
                    return Err(impossible("the canary is another release"));
                }
                self.change_stable(fence, release, is_canary).await?;
            }
            Effect::Return { release } => {
                let (beside, is_stable, weight) = {
                    let state = self.admitted(fence)?;
                    (state.beside(), state.arm(ArmName::Stable).as_ref() == Some(release), state.weight)
                };
                let is_beside = beside.is_some_and(|beside| beside.1 == *release);
                if !is_beside && !is_stable && weight != Weight::FULL {
                    return Err(impossible("it does not run beside stable"));
                }
                self.change_stable(fence, release, is_beside).await?;
            }
            Effect::Withdraw => {
                {
                    let mut state = self.admitted(fence)?;
                    if state.rolling {
                        return Err(impossible("stable is being changed"));
                    }
                    state.give(Weight::ZERO);
                }
                crash::reach(CrashPoint::TrafficBack).await;
                self.admitted(fence)?.clear_beside();
            }
            Effect::Retire { .. } => {}
        }
        let mut state = self.state();
        state.effects.push((fence, effect.clone()));
        Ok(Applied { weight: state.weight, observation: state.observation() })
    }

    async fn change_stable(&self, fence: u64, release: &Digest, from_beside: bool) -> Result<(), TargetError> {
        if from_beside {
            self.admitted(fence)?.weight = Weight::FULL;
            crash::reach(CrashPoint::TrafficBeside).await;
        }
        {
            let mut state = self.admitted(fence)?;
            state.rolling |= state.arm(ArmName::Stable).as_ref() != Some(release);
            state.arms.insert(ArmName::Stable, vec![release.clone()]);
        }
        crash::reach(CrashPoint::StableWritten).await;
        self.admitted(fence)?.rolling = false;
        crash::reach(CrashPoint::StableRolled).await;
        self.admitted(fence)?.give(Weight::ZERO);
        crash::reach(CrashPoint::TrafficBack).await;
        self.admitted(fence)?.clear_beside();
        Ok(())
    }
}

impl State {
    fn beside(&self) -> Option<(ArmName, Digest)> {
        [ArmName::Canary, ArmName::Standby].into_iter().find_map(|arm| Some((arm, self.arm(arm)?)))
    }

    fn clear_beside(&mut self) {
        self.arms.retain(|arm, _| *arm == ArmName::Stable);
    }

    /// What the router does: it asks nobody.
    fn give(&mut self, weight: Weight) {
        if self.rolling && weight < self.weight {
            self.harm.push(format!("{weight} while stable was half rolled out"));
        }
        self.weight = weight;
    }
}

impl Target for FakeTarget {
    async fn identity(&self) -> Result<TargetIdentity, TargetError> {
        Ok(TargetIdentity { kind: "fake".to_owned(), id: "1".to_owned(), name: "this test".to_owned() })
    }

    async fn app_record(&self) -> Result<AppRecord, TargetError> {
        Ok(self.state().app.clone())
    }

    async fn put_app_record(&self, record: AppRecord) -> Result<AppRecord, TargetError> {
        self.state().app = record.clone();
        Ok(record)
    }

    async fn record(&self, environment: &EnvironmentName) -> Result<EnvironmentRecord, TargetError> {
        let n = self.enter("record").await?;
        let app = self.state().app.app.clone();
        let found = self.state().records.get(environment).cloned();
        self.leave(n, "record", Ok(found.unwrap_or_else(|| EnvironmentRecord::empty(app, environment.clone())))).await
    }

    async fn put_record(&self, mut record: EnvironmentRecord) -> Result<EnvironmentRecord, TargetError> {
        let n = self.enter("put_record").await?;
        let answer = {
            let mut state = self.state();
            let found = state.records.get(&record.environment).map_or(0, |stored| stored.version);
            if found == record.version {
                record.version += 1;
                state.records.insert(record.environment.clone(), record.clone());
                Ok(record)
            } else {
                Err(TargetError::Conflict { what: "prod".to_owned(), found })
            }
        };
        self.leave(n, "put_record", answer).await
    }

    async fn environments(&self) -> Result<Vec<EnvironmentName>, TargetError> {
        Ok(self.state().records.keys().cloned().collect())
    }

    async fn observe(&self, _: &EnvironmentName) -> Result<Observation, TargetError> {
        let n = self.enter("observe").await?;
        let seen = self.state().observation();
        self.leave(n, "observe", Ok(seen)).await
    }

    /// Beside the gate: the calls that tests count are those of a target that does not drift.
    async fn drift(&self, environment: &EnvironmentName) -> Result<Vec<Drift>, TargetError> {
        let state = self.state();
        let mut found = state.records.get(environment).map(|record| differences(record, &state.observation())).unwrap_or_default();
        found.extend(state.changed.clone());
        Ok(found)
    }

    async fn place(&self, record: &ReleaseRecord, _: &Path) -> Result<(), TargetError> {
        let n = self.enter("place").await?;
        {
            let mut state = self.state();
            state.placed.retain(|placed| placed.release.digest != record.release.digest);
            state.placed.insert(0, record.clone());
        }
        self.leave(n, "place", Ok(())).await
    }

    async fn placed(&self, release: &Digest) -> Result<Option<ReleaseRecord>, TargetError> {
        let state = self.state();
        let there = state.placed.iter().find(|placed| placed.release.digest == *release && !state.gone.contains(release));
        Ok(there.cloned())
    }

    async fn releases(&self) -> Result<Vec<ReleaseRecord>, TargetError> {
        Ok(self.state().placed.clone())
    }

    async fn remove(&self, release: &Digest) -> Result<(), TargetError> {
        let mut state = self.state();
        if state.runs(release) {
            return Err(TargetError::NotPossible { reason: "it runs".to_owned() });
        }
        state.placed.retain(|placed| placed.release.digest != *release);
        state.removed.push(release.clone());
        Ok(())
    }

    async fn apply(
        &self,
        _: &EnvironmentName,
        fence: u64,
        effect: &Effect,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Applied, TargetError> {
        let n = self.enter("apply").await?;
        if matches!(effect, Effect::Start { .. }) {
            progress("starting".to_owned());
            let takes = self.state().start_takes;
            tokio::time::sleep(takes).await;
        }
        let in_steps = self.state().in_steps;
        let answer = if in_steps { self.carry_out_in_steps(fence, effect).await } else { self.state().carry_out(fence, effect) };
        self.leave(n, "apply", answer).await
    }
}
