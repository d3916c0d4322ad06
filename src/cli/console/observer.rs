//! What the target says of the environments: asked when its store changed, and once a minute, since freezes begin and end by themselves.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::console::{EnvironmentView, FreezeView, Waker};
use crate::deploy::{Observation, Target};
use crate::event::{AppName, Digest, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, RolloutId, TargetIdentity};
use crate::policy::{Floors, FreezeWindow, Policy, Protection, apply_floors, freeze_at, resolve_environment};
use crate::rollout::reconcile;
use crate::rollout::wired::Targets;
use crate::store::Places;

use crate::cli::environment::environment_variable;
use crate::cli::freeze::frozen_line;

/// How often a cluster is looked at, and this machine, which says by itself when its store changed.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_HERE: Duration = Duration::from_mins(1);

/// What was last observed.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    pub(super) target: Option<TargetIdentity>,
    pub(super) environments: Vec<EnvironmentView>,
    pub(super) policy_hash: Option<Digest>,
    pub(super) yeses_needed: Option<u32>,
    pub(super) slo_p95: Option<f64>,
    pub(super) slo_errors: Option<f64>,
    /// How long a rollback of production may be taken back before it fires; none while no policy was seen.
    pub(super) rollback_delay: Option<Duration>,
}

/// Asks the target on a thread of its own.
#[derive(Debug)]
pub(super) struct Observer {
    asks: SyncSender<AppName>,
    observed: Arc<Mutex<Observed>>,
}

impl Observer {
    pub(super) fn start(places: Places, program: PathBuf, floors: Floors, waker: Waker) -> Self {
        let (asks, inbox) = sync_channel(1);
        let observed = Arc::new(Mutex::new(Observed::default()));
        let shared = Arc::clone(&observed);
        std::thread::spawn(move || serve(&places, &program, &floors, &inbox, &shared, &waker));
        Self { asks, observed }
    }

    /// Has the target asked again; asks that come while one is waiting are that one.
    pub(super) fn ask(&self, app: &AppName) {
        match self.asks.try_send(app.clone()) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    pub(super) fn observed(&self) -> Observed {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(places: &Places, program: &std::path::Path, floors: &Floors, inbox: &Receiver<AppName>, shared: &Mutex<Observed>, waker: &Waker) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let mut asked: Option<AppName> = None;
    let mut drifts = Drifts::default();
    loop {
        let remote = asked.as_ref().is_some_and(|app| places.state.join("homes").join(format!("{app}.json")).exists());
        let app = match inbox.recv_timeout(if remote { LOOK } else { LOOK_HERE }) {
            Ok(app) => app,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => match &asked {
                Some(app) => app.clone(),
                None => continue,
            },
        };
        asked = Some(app.clone());
        // Nothing was ever released here: there is nothing to ask, and nothing is started for a look.
        if !remote && !places.state.join("local").join(app.as_str()).exists() {
            continue;
        }
        let targets = Targets::of_app(places, program, &app, environment_variable);
        let Ok(found) = runtime.block_on(look(&targets, floors, &mut drifts)) else { continue };
        let mut observed = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            observed.environments == found.environments && observed.policy_hash == found.policy_hash && observed.target == found.target;
        *observed = found;
        drop(observed);
        if !same {
            waker.changed();
        }
    }
}

/// What was found when what runs was last compared with each record. That reads every byte of a release, so it is done once a minute, and when
/// something of the record changed that it depends on.
#[derive(Debug, Default)]
struct Drifts(Vec<(EnvironmentName, Instant, Compared, Vec<Drift>)>);

/// What of a record a comparison rests on.
type Compared = (Option<ReleaseRef>, Option<RolloutId>, Vec<Drift>);

impl Drifts {
    /// What cannot be told now is told as it was: a target that does not answer is said to be that elsewhere.
    async fn of(&mut self, target: &impl Target, record: &EnvironmentRecord) -> Vec<Drift> {
        let slot = record.slot.as_ref().map(|slot| slot.rollout.clone());
        let compared: Compared = (record.current.clone(), slot, record.adopted.clone());
        let known = self.0.iter().position(|(name, ..)| *name == record.environment);
        let last = known.and_then(|at| self.0.get(at));
        if let Some((_, at, of, found)) = last
            && at.elapsed() < LOOK_HERE
            && *of == compared
        {
            return found.clone();
        }
        let before = last.map(|(.., found)| found.clone()).unwrap_or_default();
        let found = target.drift(&record.environment).await.unwrap_or(before);
        self.0.retain(|(name, ..)| *name != record.environment);
        self.0.push((record.environment.clone(), Instant::now(), compared, found.clone()));
        found
    }
}

async fn look(targets: &Targets, floors: &Floors, drifts: &mut Drifts) -> Result<Observed, crate::deploy::TargetError> {
    let home = targets.home(None).await?;
    let app = home.app_record().await?;
    let policy =
        app.policy.as_ref().and_then(|accepted| Policy::from_text(&accepted.text).ok()).map(|stored| stored.policy).unwrap_or_default();
    let target = targets.of(&policy, &resolve_environment(&policy, &EnvironmentName::prod())).await?;
    let stopped = target.was_stopped()?;
    let freeze = freeze_view(&apply_floors(&policy, floors).0.freeze);
    let mut environments = Vec::new();
    for name in target.environments().await? {
        let record = target.record(&name).await?;
        let observation = target.observe(&name).await?;
        let mut view = EnvironmentView::of(as_seen(&record, &observation));
        view.measured = observation.served.and_then(|(canary, stable)| share(canary, stable));
        view.stopped = stopped;
        view.freeze = freeze.clone();
        view.drift = drifts.of(&target, &record).await;
        environments.push(view);
    }
    let production: Option<EnvironmentName> = "prod".parse().ok();
    environments.sort_by_key(|view| Some(&view.name) != production.as_ref());
    let yeses_needed = production.map(|name| match resolve_environment(&policy, &name).protection() {
        Protection::Open => 0,
        Protection::Protected { approvals } => approvals + 1,
    });
    Ok(Observed {
        target: Some(target.identity().await?),
        environments,
        policy_hash: app.policy.map(|accepted| accepted.hash),
        yeses_needed,
        slo_p95: policy.canary.slo.p95.map(|p95| p95.duration().as_secs_f64()),
        slo_errors: Some(policy.canary.slo.error_rate),
        rollback_delay: Some(policy.rollback.delay.duration()),
    })
}

/// How the windows in force stand now.
fn freeze_view(windows: &[FreezeWindow]) -> FreezeView {
    let now = crate::store::now();
    let state = freeze_at(windows, now);
    match (state.holding.first().zip(state.until), &state.next) {
        (Some(((_, window), until)), _) => {
            FreezeView::Frozen { until: window.shown(until, now), line: frozen_line(windows, now).unwrap_or_default() }
        }
        (None, Some((span, window))) => FreezeView::Coming { from: window.shown(span.from, now) },
        (None, None) => FreezeView::Open,
    }
}

/// The record with what is seen in it: traffic moves before the record is written, and a screen that waits for that contradicts itself.
fn as_seen(record: &EnvironmentRecord, observation: &Observation) -> EnvironmentRecord {
    let mut seen = reconcile(record, observation);
    if seen.current != record.current {
        (seen.slot, seen.weights) = (None, None);
    }
    seen
}

fn share(canary: u64, stable: u64) -> Option<f64> {
    let small = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    (canary + stable > 0).then(|| small(canary) / small(canary + stable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::{ArmName, ArmView, Health};
    use crate::event::{ReleaseRef, Slot, Weight, Weights};

    fn release(tag: &str) -> ReleaseRef {
        ReleaseRef { digest: Digest::of(tag.as_bytes()), revision: None, tag: tag.to_owned(), tag_object: None, run: None }
    }

    #[test]
    fn traffic_that_has_moved_is_shown_before_the_record_says_so() {
        let (old, new) = (release("v1"), release("v2"));
        let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
        let weight = Weight::from_thousandths(100).unwrap();
        record.current = Some(old.clone());
        record.slot =
            Some(Slot { release: new.clone(), rollout: "01KATE000000000000000RQXX1".parse().unwrap(), since: crate::store::now() });
        record.weights = Some(Weights { requested: Weight::FULL, applied: weight });
        let stable = |release: &ReleaseRef, weight| Observation {
            at: crate::store::now(),
            arms: vec![ArmView {
                arm: ArmName::Stable,
                release: release.digest.clone(),
                version: release.tag.clone(),
                health: Health::Healthy,
                restarts: 0,
            }],
            weight,
            fence: 1,
            address: None,
            metrics: None,
            served: None,
        };
        assert_eq!(as_seen(&record, &stable(&old, weight)), record);
        let seen = as_seen(&record, &stable(&new, Weight::ZERO));
        assert_eq!((seen.current, seen.slot, seen.weights), (Some(new), None, None));
    }
}
