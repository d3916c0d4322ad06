//! The effects: each looks at the fence and changes the world under one lock, then is written down (`docs/decisions.md` 6.2).
//!
//! Forward effects that cannot be written are undone. Those that take traffic back are in force before they are written, and
//! stay so when they cannot be (6.6). No lock is held while a release starts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::instance::Instance;
use super::output;
use super::starting::NotStarted;
use super::supervisor::Supervisor;
use super::world::{Arms, Environment, Starting};
use crate::deploy::{Applied, ArmName, Effect, Health, TargetError};
use crate::event::{Digest, EnvironmentName, Weight};

/// How long an answer to whoever takes traffic back waits for the disk.
pub(super) const DISK: Duration = Duration::from_millis(500);

/// Between two words on a release that does not answer yet.
const NEWS: Duration = Duration::from_secs(5);
/// Who is told of what happens meanwhile.
pub(super) type Say<'a> = &'a (dyn Fn(String) + Send + Sync);

/// Whether an effect gives traffic or takes it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// What an effect was admitted with.
#[derive(Debug, Clone, Copy)]
struct Admission<'a> {
    environment: &'a EnvironmentName,
    fence: u64,
}

/// How a start begins.
enum Begun {
    /// It has its place already, or was moved there.
    Placed { before: Arms, leaving: Option<Arc<Instance>> },
    /// Another request with this fence is starting it.
    Joined(Arc<Instance>),
    /// This one starts it.
    New(Arc<Instance>),
}

impl Supervisor {
    /// Carries out one effect.
    pub(super) async fn apply(
        self: &Arc<Self>,
        environment: &EnvironmentName,
        fence: u64,
        effect: Effect,
        say: Say<'_>,
    ) -> Result<Applied, TargetError> {
        let admission = Admission { environment, fence };
        match effect {
            Effect::Start { release, arm, timeout_ms } => {
                self.start(admission, &release, arm, Duration::from_millis(timeout_ms), say).await?;
            }
            Effect::Weigh { weight } => {
                let direction = self.with_world(|world| {
                    let less = weight <= world.environment(environment).arms.weight;
                    if less { Direction::Back } else { Direction::Forward }
                });
                self.change(admission, direction, say, |found| weigh(found, weight)).await?;
            }
            Effect::Promote { release } => self.change(admission, Direction::Forward, say, |found| promote(found, &release)).await?,
            Effect::Withdraw => self.change(admission, Direction::Back, say, |found| Ok(withdraw(found))).await?,
            Effect::Return { release } => self.change(admission, Direction::Back, say, |found| go_back(found, &release)).await?,
            Effect::Retire { release } => self.change(admission, Direction::Forward, say, |found| retire(found, &release)).await?,
        }
        Ok(self.with_world(|world| {
            let metrics = world.metrics;
            let found = world.environment(environment);
            Applied { weight: found.arms.weight, observation: found.observation(metrics) }
        }))
    }

    /// Changes who has which place, in one step for requests, and writes it down.
    async fn change(
        self: &Arc<Self>,
        admission: Admission<'_>,
        direction: Direction,
        say: Say<'_>,
        change: impl FnOnce(&mut Environment) -> Result<Vec<Arc<Instance>>, TargetError>,
    ) -> Result<(), TargetError> {
        let (before, leaving, told) = self.with_world(|world| {
            let found = world.environment(admission.environment);
            found.admit(admission.fence)?;
            let before = found.arms.clone();
            let leaving = change(found)?;
            found.leaving.extend(leaving.iter().cloned());
            let told = difference(&before, &found.arms).map(|text| format!("{}: {text}", admission.environment));
            Ok::<_, TargetError>((before, leaving, told))
        })?;
        if let Some(text) = told {
            say(text.clone());
            self.happened(text);
        }
        match direction {
            Direction::Forward => self.written_or_undone(admission, before, &leaving).await?,
            Direction::Back => match tokio::time::timeout(DISK, self.store_now()).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => say(format!("in force, but not written down: {reason}")),
                Err(_) => say("in force, but not written down yet: the disk is slow".to_owned()),
            },
        }
        for instance in leaving {
            self.let_go(instance);
        }
        Ok(())
    }

    /// Waits for the disk; what cannot be written is undone, unless a later fence came meanwhile.
    async fn written_or_undone(&self, admission: Admission<'_>, before: Arms, leaving: &[Arc<Instance>]) -> Result<(), TargetError> {
        let Err(reason) = self.store_now().await else { return Ok(()) };
        self.with_world(|world| {
            let found = world.environment(admission.environment);
            if found.highest_fence() <= admission.fence {
                found.leaving.retain(|instance| !leaving.iter().any(|other| other.id == instance.id));
                let weight = before.weight;
                let changed = found.arms.weight;
                found.arms = Arms { weight: changed, ..before };
                found.set_weight(weight);
            }
        });
        Err(TargetError::Unreachable { reason: format!("the local target could not write its store, so nothing was changed: {reason}") })
    }

    async fn start(
        self: &Arc<Self>,
        admission: Admission<'_>,
        release: &Digest,
        arm: ArmName,
        patience: Duration,
        say: Say<'_>,
    ) -> Result<(), TargetError> {
        let deadline = Instant::now() + patience;
        let begun = self.with_world(|world| {
            let found = world.environment(admission.environment);
            found.admit(admission.fence)?;
            begin(found, admission, release, arm)
        })?;
        let instance = match begun {
            Begun::Placed { before, leaving } => {
                self.written_or_undone(admission, before, leaving.as_slice()).await?;
                if let Some(instance) = leaving {
                    self.let_go(instance);
                }
                return self.healthy_within(admission.environment, release, deadline).await;
            }
            Begun::Joined(instance) => {
                let mut outcome = instance.outcome.subscribe();
                let waited = tokio::time::timeout_at(deadline, outcome.wait_for(Option::is_some)).await;
                let late = || TargetError::StartFailed { reason: "it was not healthy in time".to_owned(), last_lines: Vec::new() };
                return waited.ok().and_then(Result::ok).and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(late()));
            }
            Begun::New(instance) => instance,
        };
        say(format!("starting {} on this machine", instance.series.version));
        let (since, version) = (Instant::now(), &instance.series.version);
        let starting = self.bring_up(admission, &instance, arm, deadline);
        tokio::pin!(starting);
        let started = loop {
            if let Ok(started) = tokio::time::timeout(NEWS, &mut starting).await {
                break started;
            }
            let last = output::last_lines(&output::log_of(&self.folder, version), instance.now().log_from).pop();
            let last = last.map_or_else(|| "it wrote nothing".to_owned(), |line| format!("its last line: {line}"));
            say(format!("{version} does not answer after {} s; {last}", since.elapsed().as_secs()));
        };
        match &started {
            Ok(()) => say(format!("{} answers its health check", instance.series.version)),
            Err(error) => self.happened(format!("{}: {} did not start: {error}", admission.environment, instance.series.version)),
        }
        instance.outcome.send_replace(Some(started.clone()));
        started
    }

    async fn bring_up(
        self: &Arc<Self>,
        admission: Admission<'_>,
        instance: &Arc<Instance>,
        arm: ArmName,
        deadline: Instant,
    ) -> Result<(), TargetError> {
        let launched = match self.prepare(instance).await {
            Ok(prepared) => self.launch(instance, &prepared, deadline).await,
            Err(error) => Err(NotStarted::Failed(error)),
        };
        let process = match launched {
            Ok(process) => process,
            Err(not_started) => {
                self.forget(instance).await;
                return Err(match not_started {
                    NotStarted::Failed(error) => error,
                    NotStarted::Ended => self.with_world(|world| world.environment(admission.environment).superseded()),
                });
            }
        };
        // From here on its task owns the process, whatever becomes of the start.
        tokio::spawn(Arc::clone(self).keep(Arc::clone(instance), Some(process)));
        let settled = self.with_world(|world| {
            let found = world.environment(admission.environment);
            found.starting.retain(|starting| starting.instance.id != instance.id);
            if admission.fence < found.highest_fence() || instance.is_ending() {
                found.leaving.push(Arc::clone(instance));
                return Err(found.superseded());
            }
            let before = found.arms.clone();
            let leaving = take_place(found, instance, arm);
            found.leaving.extend(leaving.iter().cloned());
            Ok((before, leaving))
        });
        let written = match settled {
            Ok((before, leaving)) => {
                let written = self.written_or_undone(admission, before, leaving.as_slice()).await;
                if written.is_ok() {
                    if let Some(instance) = leaving {
                        self.let_go(instance);
                    }
                    self.happened(format!("{}: {} runs as {}", admission.environment, instance.series.version, arm_text(arm)));
                    return Ok(());
                }
                self.with_world(|world| world.environment(admission.environment).leaving.push(Arc::clone(instance)));
                written
            }
            Err(error) => Err(error),
        };
        self.let_go(Arc::clone(instance));
        written
    }

    /// Waits until a release that has a place answers: it may be starting again.
    async fn healthy_within(&self, environment: &EnvironmentName, release: &Digest, deadline: Instant) -> Result<(), TargetError> {
        loop {
            let health = self.with_world(|world| {
                let arms = world.environment(environment).arms();
                arms.into_iter().find(|(_, instance)| instance.release == *release).map(|(_, instance)| instance.now().health)
            });
            match health {
                Some(Health::Healthy) => return Ok(()),
                Some(Health::Starting | Health::Failing { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Some(Health::Failing { reason, last_lines }) => return Err(TargetError::StartFailed { reason, last_lines }),
                Some(Health::Starting) | None => {
                    return Err(TargetError::StartFailed { reason: "it was not healthy in time".to_owned(), last_lines: Vec::new() });
                }
            }
        }
    }
}

fn begin(found: &mut Environment, admission: Admission<'_>, release: &Digest, arm: ArmName) -> Result<Begun, TargetError> {
    let before = found.arms.clone();
    let is = |instance: &Arc<Instance>| instance.release == *release;
    let here = Begun::Placed { before: before.clone(), leaving: None };
    let has_canary = found.arms.canary.as_ref().is_some_and(is);
    let has_stable = found.arms.stable.as_ref().is_some_and(is);
    match arm {
        ArmName::Stable => return Err(refused("a release becomes stable by promotion or return, not by a start")),
        ArmName::Canary if has_stable => return Err(refused(format!("{} is stable already", release.short()))),
        ArmName::Standby if has_stable || has_canary || found.arms.standby.iter().any(is) => return Ok(here),
        ArmName::Canary if has_canary => return Ok(here),
        ArmName::Canary | ArmName::Standby => {}
    }
    if arm == ArmName::Canary
        && let Some(other) = &found.arms.canary
        && found.arms.weight > Weight::ZERO
    {
        let weight = found.arms.weight;
        return Err(refused(format!("{} is the canary and has {weight}; withdraw it first", other.series.version)));
    }
    if arm == ArmName::Canary
        && let Some(place) = found.arms.standby.iter().position(is)
    {
        let instance = found.arms.standby.remove(place);
        let leaving = found.arms.canary.replace(instance);
        found.leaving.extend(leaving.iter().cloned());
        return Ok(Begun::Placed { before, leaving });
    }
    let same = |starting: &&Starting| is(&starting.instance) && starting.fence == admission.fence && starting.arm == arm;
    if let Some(starting) = found.starting.iter().find(same) {
        return Ok(Begun::Joined(Arc::clone(&starting.instance)));
    }
    let instance = Instance::new(admission.environment, release);
    found.starting.push(Starting { instance: Arc::clone(&instance), arm, fence: admission.fence });
    Ok(Begun::New(instance))
}

/// Gives a healthy instance its place; the canary that it takes the place of leaves.
fn take_place(found: &mut Environment, instance: &Arc<Instance>, arm: ArmName) -> Option<Arc<Instance>> {
    match arm {
        ArmName::Canary => {
            found.set_weight(Weight::ZERO);
            found.arms.canary.replace(Arc::clone(instance))
        }
        ArmName::Stable | ArmName::Standby => {
            found.arms.standby.push(Arc::clone(instance));
            None
        }
    }
}

fn weigh(found: &mut Environment, weight: Weight) -> Result<Vec<Arc<Instance>>, TargetError> {
    if weight > Weight::ZERO {
        let canary = found.arms.canary.as_ref().ok_or_else(|| refused("there is no canary to give traffic to"))?;
        if weight > found.arms.weight {
            refuse_failing(canary)?;
        }
    }
    found.set_weight(weight);
    Ok(Vec::new())
}

fn promote(found: &mut Environment, release: &Digest) -> Result<Vec<Arc<Instance>>, TargetError> {
    if found.arms.canary.is_none() && found.arms.stable.as_ref().is_some_and(|stable| stable.release == *release) {
        return Ok(Vec::new());
    }
    match found.arms.canary.take() {
        Some(canary) if canary.release == *release => {
            if let Err(error) = refuse_failing(&canary) {
                found.arms.canary = Some(canary);
                return Err(error);
            }
            found.arms.standby.extend(found.arms.stable.replace(canary));
            found.set_weight(Weight::ZERO);
            Ok(Vec::new())
        }
        Some(canary) => {
            let reason = format!("{} is the canary, not {}", canary.series.version, release.short());
            found.arms.canary = Some(canary);
            Err(refused(reason))
        }
        None => Err(refused(format!("{} is no canary", release.short()))),
    }
}

fn withdraw(found: &mut Environment) -> Vec<Arc<Instance>> {
    found.set_weight(Weight::ZERO);
    for starting in found.starting.iter().filter(|starting| starting.arm == ArmName::Canary) {
        starting.instance.end();
    }
    found.arms.canary.take().into_iter().collect()
}

fn go_back(found: &mut Environment, release: &Digest) -> Result<Vec<Arc<Instance>>, TargetError> {
    let is = |instance: &Arc<Instance>| instance.release == *release;
    if found.arms.stable.as_ref().is_some_and(is) {
        found.set_weight(Weight::ZERO);
        return Ok(Vec::new());
    }
    let ready = |instance: &Arc<Instance>| is(instance) && instance.now().process.is_some();
    let instance = if found.arms.canary.as_ref().is_some_and(ready) {
        found.arms.canary.take()
    } else {
        found.arms.standby.iter().position(ready).map(|place| found.arms.standby.remove(place))
    };
    let Some(instance) = instance else {
        return Err(refused(format!("{} does not run; start it as standby first", release.short())));
    };
    let leaving = found.arms.stable.replace(instance);
    found.set_weight(Weight::ZERO);
    Ok(leaving.into_iter().collect())
}

fn retire(found: &mut Environment, release: &Digest) -> Result<Vec<Arc<Instance>>, TargetError> {
    let is = |instance: &Arc<Instance>| instance.release == *release;
    if found.arms.stable.as_ref().is_some_and(is) || found.arms.canary.as_ref().is_some_and(is) {
        return Err(refused(format!("{} is no standby: it is stable or the canary", release.short())));
    }
    let (leaving, standby) = std::mem::take(&mut found.arms.standby).into_iter().partition(is);
    found.arms.standby = standby;
    Ok(leaving)
}

fn refuse_failing(instance: &Instance) -> Result<(), TargetError> {
    match instance.now().health {
        Health::Healthy => Ok(()),
        Health::Starting => Err(refused(format!("{} is starting again", instance.series.version))),
        Health::Failing { reason, .. } => Err(refused(format!("{} is not healthy: {reason}", instance.series.version))),
    }
}

pub(super) fn refused(reason: impl Into<String>) -> TargetError {
    TargetError::NotPossible { reason: reason.into() }
}

/// What changed for users, in words; none when nothing did.
fn difference(before: &Arms, after: &Arms) -> Option<String> {
    let version = |instance: &Option<Arc<Instance>>| instance.as_ref().map_or("nothing", |found| found.series.version.as_str()).to_owned();
    let id = |instance: &Option<Arc<Instance>>| instance.as_ref().map(|found| found.id.clone());
    let mut parts = Vec::new();
    if id(&before.stable) != id(&after.stable) {
        parts.push(format!("stable is {} instead of {}", version(&after.stable), version(&before.stable)));
    }
    if id(&before.canary) != id(&after.canary) && after.canary.is_none() {
        parts.push(format!("{} is no canary any more", version(&before.canary)));
    }
    if before.weight != after.weight {
        parts.push(format!("the canary's weight is {}", after.weight));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn arm_text(arm: ArmName) -> &'static str {
    match arm {
        ArmName::Stable => "stable",
        ArmName::Canary => "canary",
        ArmName::Standby => "standby",
    }
}
