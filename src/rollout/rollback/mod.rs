//! Back: a rollout of its own that takes the environment in its first write and stops for nothing (`docs/decisions.md` 1.2, 6.2, 6.5).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

mod effects;

use effects::execute;
pub(super) use effects::{insist, take_away};

use super::abandoned;
use super::choice::{self, Aim, Choice};
use super::countdown::{Fired, Inside, count_down};
use super::crash::{self, CrashPoint};
use super::logbook::{DriveError, Hear, Insistence, Logbook, folder_of};
use super::ports::{ActionDraft, ActionKind, EvidenceRef, Recorder};
use super::reader;
use super::steps::{Claim, Clock, StepError, Steps, Tell};
use crate::deploy::{Target, differences};
use crate::event::{
    Actor, AppName, Arm, Digest, Drift, EnvironmentName, EnvironmentRecord, ReleaseRef, RolloutCreated, RolloutEvent, RolloutId,
    RolloutKind, RolloutOutcome, RunId, Step, TargetIdentity, Weight,
};
use crate::store::{Holder, socket_name, this_process};

/// How often the decision is made anew because somebody else's write came between.
const DECISIONS: u32 = 8;
/// A rollback that is under way on this host is waited for as long as its journal moves, and so long after.
const STANDSTILL: Duration = Duration::from_secs(2);
/// How long a look at what was changed without hms may take.
const DRIFT: Duration = Duration::from_secs(2);
/// How often its journal is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// What a rollback needs around it.
#[derive(Clone)]
pub struct RollbackSetup<T> {
    /// The target.
    pub target: Arc<T>,
    /// The ledger.
    pub recorder: Arc<dyn Recorder>,
    /// `STATE`.
    pub state: PathBuf,
    /// `RUNTIME`, for the countdown's socket.
    pub runtime: PathBuf,
    /// This host's name.
    pub host: String,
    /// Who is told of what happens.
    pub hear: Hear,
    /// Lines for the person who asked; UNRECORDED among them, so it belongs on stderr.
    pub tell: Tell,
    /// Wall time: `store::now`.
    pub clock: Clock,
    /// Whether a peer is inside a run.
    pub inside: Inside,
    /// How long a cold release may take until it answers its health check.
    pub start_timeout: Duration,
}

/// A rollback as it is asked for.
#[derive(Debug, Clone)]
pub struct RollbackRequest {
    /// The new rollout's id.
    pub rollout: RolloutId,
    /// The application.
    pub app: AppName,
    /// The environment whose traffic it is; `prod` for the canary of `prod`.
    pub environment: EnvironmentName,
    /// What the asker saw there: the current release, or the canary for [`Arm::Canary`].
    pub from: Option<Digest>,
    /// Where to; none for the last release that was healthy.
    pub to: Option<Aim>,
    /// The canary alone, or all of it.
    pub arm: Arm,
    /// How long it may be taken back before it fires.
    pub delay: Duration,
    /// Who asks.
    pub actor: Actor,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// The policy in force, for the ledger.
    pub policy_hash: Digest,
    /// The run it serves, if one does.
    pub run: Option<RunId>,
    /// What it rests on, where it is hms that asks.
    pub evidence: Option<EvidenceRef>,
}

/// How a rollback ended. All but `NoTarget`, `Failed` and `Superseded` exit 0.
#[derive(Debug, Clone, PartialEq)]
pub enum RollbackEnd {
    /// A rollback brought it here before.
    AlreadyReverted {
        /// What has the traffic.
        to: ReleaseRef,
        /// Where one more step would go: `--to`.
        further_back: Option<ReleaseRef>,
    },
    /// There is no canary, or nothing was ever released.
    NothingToRevert {
        /// What has the traffic.
        stable: Option<ReleaseRef>,
    },
    /// What the asker saw is not what is there; nothing was done.
    Moved {
        /// What is there.
        now: Option<ReleaseRef>,
    },
    /// There is nowhere to go; nothing was done.
    NoTarget {
        /// Why, with names.
        why: String,
    },
    /// A person took it back before it fired.
    Cancelled {
        /// Who.
        by: Actor,
    },
    /// Done, and proven by the target.
    Reverted {
        /// The rollout that did it.
        rollout: RolloutId,
        /// What was taken back.
        from: Option<ReleaseRef>,
        /// What has the traffic now.
        to: Option<ReleaseRef>,
        /// The canary's weight in force.
        applied: Weight,
        /// Requests that went to canary and stable since, as the target counts.
        served: Option<(u64, u64)>,
        /// The ledger lacks the entry.
        unrecorded: bool,
    },
    /// It was begun and could not be finished; traffic is as the target shows it.
    Failed {
        /// What failed, and why.
        reason: String,
        /// The release's last lines, if it would not start.
        last_lines: Vec<String>,
        /// Another release that could be tried: `--to`.
        further_back: Option<ReleaseRef>,
    },
    /// Another rollback took its place.
    Superseded {
        /// Which.
        by: Option<RolloutId>,
    },
}

/// What has to be done, decided.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    kind: RolloutKind,
    from: Option<ReleaseRef>,
    wanted: Option<ReleaseRef>,
    /// What has the traffic by the record that was decided on.
    current: Option<Digest>,
    further_back: Option<ReleaseRef>,
    /// What runs there beside the record: it is said, and stops nothing.
    drift: Vec<Drift>,
    /// Who holds the environment now.
    supersedes: Option<RolloutId>,
    /// Releases that it would have gone to, and whose bytes are nowhere any more.
    passed_over: Vec<ReleaseRef>,
}

impl Plan {
    /// Whether it goes to the release that is there by the record: what somebody changed of it is undone.
    fn puts_back(&self) -> bool {
        self.kind == RolloutKind::Rollback && self.from.is_some() && self.from == self.wanted
    }

    fn step(&self) -> Step {
        match self.kind {
            RolloutKind::Rollback => Step::Return,
            RolloutKind::Abort | RolloutKind::Release => Step::Withdraw,
        }
    }

    /// The release that the rollout's journal is about.
    fn release(&self) -> Option<&ReleaseRef> {
        self.wanted.as_ref().or(self.from.as_ref())
    }
}

/// Goes back: decides, counts down, takes the environment, moves traffic, proves it. Pressed twice, the second changes nothing.
///
/// # Errors
/// When the target cannot be asked. A journal or ledger that cannot be written is no error: it goes on without.
pub async fn roll_back<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest) -> Result<RollbackEnd, DriveError> {
    let end = Box::pin(go_back(setup, request)).await?;
    // Traffic is where it belongs: now there is time for what the drivers before left open.
    let folder = folder_of(&setup.state, &request.app, &request.rollout);
    if let Some(rollouts) = folder.parent() {
        abandoned::close(&setup.recorder, rollouts, &request.app, &request.environment, &request.rollout).await;
    }
    Ok(end)
}

async fn go_back<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest) -> Result<RollbackEnd, DriveError> {
    await_other(setup, request).await;
    let identity = setup.target.identity().await?;
    let mut plan = match decide(setup, request).await? {
        Ok(plan) => plan,
        Err(answer) => return Ok(answer),
    };
    let mut steps = open(setup, request, &plan, identity.clone());
    tell_drift(request, &plan, &mut steps);
    crash::reach(CrashPoint::Created).await;
    if !request.delay.is_zero()
        && let Some(cancelled) = armed(setup, request, &plan, &mut steps).await
    {
        return Ok(cancelled);
    }
    let seen_by_asker = narrowed(request, &plan);
    for turn in 0..DECISIONS {
        if turn > 0 {
            await_other(setup, request).await;
        }
        match decide(setup, &seen_by_asker).await? {
            // The second look asks for what the first one found, so it passes nothing over.
            Ok(next) => plan = Plan { passed_over: plan.passed_over, ..next },
            Err(answer) => {
                let _ = steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Cancelled });
                return Ok(answer);
            }
        }
        // Another rollback that came since is of the same mind as a rule: it is let finish. Somebody who comes again and again is not.
        let claim = if turn < DECISIONS / 2 {
            Claim::Replacing(plan.current.clone(), plan.supersedes.clone())
        } else {
            Claim::TakingFrom(plan.current.clone())
        };
        match execute(setup, request, &plan, claim, &identity, &mut steps).await {
            Err(StepError::Changed) => {}
            Ok(end) => return Ok(end),
            Err(error @ StepError::Superseded(_)) => {
                let end = broken(&plan, &mut steps, error);
                return Ok(done_by_another(setup, &seen_by_asker).await.unwrap_or(end));
            }
            Err(error) => return Ok(broken(&plan, &mut steps, error)),
        }
    }
    Ok(broken(&plan, &mut steps, StepError::Changed))
}

/// A rollback goes from whatever is there; that it is not what was recorded is for whoever asks why afterwards.
fn tell_drift<T: Target + 'static>(request: &RollbackRequest, plan: &Plan, steps: &mut Steps<T>) {
    if plan.drift.is_empty() {
        return;
    }
    for drift in &plan.drift {
        (steps.tell)(&format!("DRIFT in {}: {drift}; going back all the same", request.environment));
    }
    let _ = steps.note(RolloutEvent::DriftFound { drift: plan.drift.clone() });
}

/// What was asked for may have been done by whoever took this one's place.
async fn done_by_another<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest) -> Option<RollbackEnd> {
    await_other(setup, request).await;
    match decide(setup, request).await {
        Ok(Err(end @ (RollbackEnd::AlreadyReverted { .. } | RollbackEnd::NothingToRevert { .. }))) => Some(end),
        Ok(_) | Err(_) => None,
    }
}

/// The request with what was decided in place of what was left open, so that a second look decides the same or answers.
fn narrowed(request: &RollbackRequest, plan: &Plan) -> RollbackRequest {
    let from = plan.from.as_ref().map(|release| release.digest.clone());
    let (arm, to) = match plan.kind {
        RolloutKind::Rollback => (Arm::Whole, plan.wanted.as_ref().map(|release| Aim::Digest(release.digest.clone()))),
        RolloutKind::Abort | RolloutKind::Release => (Arm::Canary, None),
    };
    RollbackRequest { from, to, arm, ..request.clone() }
}

/// Looks, and decides; `Err` is an answer that needs no rollout.
async fn decide<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest) -> Result<Result<Plan, RollbackEnd>, DriveError> {
    let record = setup.target.record(&request.environment).await?;
    let seen = setup.target.observe(&request.environment).await?;
    let mut placed: Vec<Digest> = setup.target.releases().await?.into_iter().map(|record| record.release.digest).collect();
    let mut passed_over = Vec::new();
    let chosen = loop {
        let chosen = choice::choose(&record, &seen, &placed, request.from.as_ref(), request.to.as_ref(), request.arm);
        let Choice::Return { to, .. } = &chosen else { break chosen };
        let runs = seen.arms.iter().any(|view| view.release == to.digest);
        // A record is no image: what was collected is found before the environment is taken, and not by a start that fails.
        if runs || !placed.contains(&to.digest) || !matches!(setup.target.placed(&to.digest).await, Ok(None)) {
            break chosen;
        }
        placed.retain(|digest| *digest != to.digest);
        passed_over.push(to.clone());
    };
    let chosen = if wants_current(&record, request) && is_changed(setup, &request.environment).await {
        choice::put_back(&record, chosen)
    } else {
        chosen
    };
    let current = record.current.as_ref().map(|release| release.digest.clone());
    let supersedes = record.slot.as_ref().map(|slot| slot.rollout.clone());
    // A target where nothing runs was stopped, or is coming up: that is told elsewhere.
    let drift = differences(&record, &seen).into_iter().filter(|drift| !matches!(drift, Drift::Stable { found: None, .. })).collect();
    Ok(match chosen {
        Choice::Return { from, to } => {
            let further_back = choice::next_back(&record, &to, &|release| placed.contains(&release.digest));
            Ok(Plan { kind: RolloutKind::Rollback, from, wanted: Some(to), current, further_back, drift, supersedes, passed_over })
        }
        Choice::Withdraw { from, stable } => {
            Ok(Plan { kind: RolloutKind::Abort, from, wanted: stable, current, further_back: None, drift, supersedes, passed_over })
        }
        Choice::AlreadyReverted { to, further_back } => Err(RollbackEnd::AlreadyReverted { to, further_back }),
        Choice::NothingToRevert { stable } => Err(RollbackEnd::NothingToRevert { stable }),
        Choice::Moved { now } => Err(RollbackEnd::Moved { now }),
        Choice::NoTarget { why } => Err(RollbackEnd::NoTarget { why }),
    })
}

/// Whether what is asked for is what the record says is there: something to do only where it is not as it was left.
fn wants_current(record: &EnvironmentRecord, request: &RollbackRequest) -> bool {
    let wanted = request.to.as_ref().filter(|_| request.arm == Arm::Whole).and_then(|aim| choice::resolve(record, aim));
    wanted.is_some_and(|wanted| record.current.as_ref().is_some_and(|current| current.digest == wanted.digest))
}

/// Whether the recorded release is not as it was brought, as far as that is told in no time: a rollback waits for no look.
async fn is_changed<T: Target + 'static>(setup: &RollbackSetup<T>, environment: &EnvironmentName) -> bool {
    let looked = tokio::time::timeout(DRIFT, setup.target.drift(environment)).await;
    looked.is_ok_and(|found| found.is_ok_and(|found| !found.is_empty()))
}

/// Lets a rollback that is under way on this host finish, so that a second press finds it done. One that stands still is not waited for.
async fn await_other<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest) {
    let mut last_seq = None;
    let mut since = tokio::time::Instant::now();
    while since.elapsed() < STANDSTILL {
        let Ok(record) = setup.target.record(&request.environment).await else { return };
        let Some(holder) = record.slot.map(|slot| slot.rollout) else { return };
        let folder = folder_of(&setup.state, &request.app, &holder);
        let Some(state) = reader::read(&folder).ok().flatten() else { return };
        let back = state.created.as_ref().is_some_and(|created| created.kind != RolloutKind::Release);
        let alive = reader::holder(&folder).is_some();
        if !back || !alive {
            return;
        }
        if last_seq != Some(state.seq) {
            last_seq = Some(state.seq);
            since = tokio::time::Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn holder_here<T>(setup: &RollbackSetup<T>, socket: Option<PathBuf>) -> Holder {
    Holder { process: this_process(), host: setup.host.clone(), role: "driver".to_owned(), socket }
}

fn open<T: Target + 'static>(setup: &RollbackSetup<T>, request: &RollbackRequest, plan: &Plan, target: TargetIdentity) -> Steps<T> {
    let now = (setup.clock)();
    let folder = folder_of(&setup.state, &request.app, &request.rollout);
    let mut book = Logbook::open_or_keep(&folder, &holder_here(setup, None), now);
    if let Some(trouble) = book.trouble() {
        (setup.tell)(&format!("UNRECORDED: the rollback's journal cannot be written: {trouble}"));
    }
    book.insist(Insistence::Tolerant);
    book.heard_by(setup.hear.clone());
    if let Some(release) = plan.release() {
        let created = RolloutCreated {
            rollout: request.rollout.clone(),
            kind: plan.kind,
            app: request.app.clone(),
            environment: request.environment.clone(),
            target,
            release: release.clone(),
            previous: plan.from.clone(),
            run: request.run.clone(),
            policy_hash: request.policy_hash.clone(),
            actor: request.actor.clone(),
            reason: request.reason.clone(),
            supersedes: plan.supersedes.clone(),
            allow_outdated: None,
        };
        let _ = book.append(now, RolloutEvent::RolloutCreated(Box::new(created)));
    }
    let _ = book.append(now, RolloutEvent::DriverStarted { driver: this_process() });
    Steps {
        target: Arc::clone(&setup.target),
        environment: request.environment.clone(),
        rollout: request.rollout.clone(),
        recorder: Arc::clone(&setup.recorder),
        book,
        tell: Arc::clone(&setup.tell),
        clock: Arc::clone(&setup.clock),
        fence: 0,
    }
}

/// Counts down; gives an answer when a person took it back.
async fn armed<T: Target + 'static>(
    setup: &RollbackSetup<T>,
    request: &RollbackRequest,
    plan: &Plan,
    steps: &mut Steps<T>,
) -> Option<RollbackEnd> {
    let socket = setup.runtime.join(socket_name(steps.book.folder()));
    let fires_at: DateTime<Utc> = steps.now() + TimeDelta::from_std(request.delay).unwrap_or_default();
    if let (Some(from), Some(to)) = (plan.from.clone(), plan.release().cloned()) {
        let _ = steps.note(RolloutEvent::RollbackArmed { from, to, fires_at });
    }
    let book = &steps.book;
    let described = || {
        let _ = book.describe(&holder_here(setup, Some(socket.clone())));
    };
    match count_down(&socket, request.delay, Arc::clone(&setup.inside), described).await {
        Fired::Now => None,
        Fired::Cancelled(actor) => {
            let _ = steps.note(RolloutEvent::RollbackCancelled { actor: actor.clone() });
            let _ = steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Cancelled });
            Some(RollbackEnd::Cancelled { by: actor })
        }
    }
}

fn draft(request: &RollbackRequest, plan: &Plan, target: &TargetIdentity) -> Option<ActionDraft> {
    let release = plan.release()?.clone();
    Some(ActionDraft {
        id: ulid::Ulid::generate().to_string(),
        kind: match plan.kind {
            RolloutKind::Rollback => ActionKind::Rollback,
            RolloutKind::Abort | RolloutKind::Release => ActionKind::Abort,
        },
        actor: request.actor.clone(),
        app: request.app.clone(),
        environment: request.environment.clone(),
        target: target.clone(),
        run: request.run.clone(),
        rollout: request.rollout.clone(),
        tag: release.tag,
        tag_object: release.tag_object,
        revision: release.revision.map(String::from),
        digest: release.digest,
        previous: plan.from.as_ref().map(|release| release.digest.clone()),
        requested: Some(Weight::ZERO),
        scan_report: None,
        evidence: request.evidence.clone(),
        yeses: Vec::new(),
        policy_hash: request.policy_hash.clone(),
        reason: request.reason.clone(),
        synthetic: false,
        pinned: None,
    })
}

/// Writes down that it could not be finished, and says so.
fn broken<T: Target + 'static>(plan: &Plan, steps: &mut Steps<T>, error: StepError) -> RollbackEnd {
    if let StepError::Superseded(by) = error {
        if let Some(by) = by.clone() {
            let _ = steps.note(RolloutEvent::Superseded { by });
        }
        let _ = steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Superseded });
        return RollbackEnd::Superseded { by };
    }
    let (reason, last_lines) = super::steps::told(&error);
    let _ = steps.note(RolloutEvent::StepFailed { step: plan.step(), reason: reason.clone(), last_lines: last_lines.clone() });
    let _ = steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Failed });
    RollbackEnd::Failed { reason, last_lines, further_back: plan.further_back.clone() }
}
