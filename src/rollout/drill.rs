//! The rehearsal of a rollback: what it would go to is started beside production, or found running there, answers its health check, and is
//! stopped again. No traffic moves, no fence is taken, and whatever begins meanwhile comes first.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::choice::{self, Aim, Choice};
use super::logbook::{DriveError, Logbook};
use super::ports::{ActionDraft, ActionKind, ActionResult, OutcomeDraft, Patience, RecordError, Recorder};
use super::steps::{Clock, Steps, Tell, blocking, failed, told};
use crate::deploy::{ArmName, Effect, Health, Target, TargetError};
use crate::event::{
    Actor, AppName, Arm, Digest, Drill, DrillResult, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, RolloutId,
};

/// How often the record is written when somebody else's write came between.
const TRIES: u32 = 8;

/// How much of a rollback a target lets one rehearse without touching what serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// The release is started beside production.
    Start,
    /// What it needs is looked for, and the change is tried without being made.
    Check,
}

/// What a drill needs around it.
#[derive(Clone)]
pub struct DrillSetup<T> {
    /// The target.
    pub target: Arc<T>,
    /// The ledger.
    pub recorder: Arc<dyn Recorder>,
    /// Lines for the person who asked.
    pub tell: Tell,
    /// Wall time.
    pub clock: Clock,
    /// How long the release may take until it answers its health check.
    pub start_timeout: Duration,
    /// How much is rehearsed.
    pub rehearsal: Rehearsal,
}

/// A drill as it is asked for.
#[derive(Debug, Clone)]
pub struct DrillRequest {
    /// The application.
    pub app: AppName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Where to; none for where a rollback would go.
    pub to: Option<Aim>,
    /// Who asks.
    pub actor: Actor,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// The policy in force, for the ledger.
    pub policy_hash: Digest,
}

/// How a drill ended.
#[derive(Debug, Clone, PartialEq)]
pub enum DrillEnd {
    /// It was carried out; the result says how it went.
    Rehearsed(Box<Drill>),
    /// A rollback would have nowhere to go, and why.
    NoTarget(String),
    /// Not now.
    Refused(Refusal),
}

/// Rehearses.
///
/// # Errors
/// When the target cannot be asked.
pub async fn drill<T: Target + 'static>(setup: &DrillSetup<T>, request: &DrillRequest) -> Result<DrillEnd, DriveError> {
    let environment = &request.environment;
    let (record, seen) = (setup.target.record(environment).await?, setup.target.observe(environment).await?);
    if let Some(slot) = &record.slot {
        let message = format!("{} holds {environment}: a drill waits for it to end", slot.release.tag);
        return Ok(DrillEnd::Refused(Refusal::new(RefusalKind::SlotTaken, message).hint("hms status says how it stands")));
    }
    let placed: Vec<Digest> = setup.target.releases().await?.into_iter().map(|found| found.release.digest).collect();
    let chosen = choice::choose(&record, &seen, &placed, None, request.to.as_ref(), Arm::Whole);
    let to = match chosen {
        Choice::Return { to, .. } | Choice::AlreadyReverted { further_back: Some(to), .. } => to,
        Choice::AlreadyReverted { to, further_back: None } => {
            return Ok(DrillEnd::NoTarget(format!("{environment} is on {} already, and nothing is further back", to.tag)));
        }
        Choice::NoTarget { why } => return Ok(DrillEnd::NoTarget(why)),
        Choice::NothingToRevert { .. } | Choice::Moved { .. } | Choice::Withdraw { .. } => {
            return Ok(DrillEnd::NoTarget(format!("nothing is released in {environment} that a rollback would leave")));
        }
    };
    let intent = match intend(setup, request, &record, &to).await {
        Ok(seq) => seq,
        Err(RecordError::Refused(refusal)) => return Ok(DrillEnd::Refused(refusal)),
        Err(RecordError::Unavailable(why)) => {
            let message = format!("the ledger cannot be written, so nothing was rehearsed: {why}");
            return Ok(DrillEnd::Refused(Refusal::new(RefusalKind::LedgerUnwritten, message)));
        }
    };
    let began = Instant::now();
    let result = match setup.rehearsal {
        Rehearsal::Start => start(setup, request, &record, &to).await,
        Rehearsal::Check => check(setup, &to).await,
    };
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let done = Drill { at: (setup.clock)(), release: to, by: request.actor.clone(), result, duration_ms };
    let outcome = match &done.result {
        DrillResult::Failed { reason } => failed(ActionResult::Failed, format!("rehearsed: {reason}")),
        DrillResult::Healthy | DrillResult::Warm | DrillResult::Checked => failed(ActionResult::Done, done.to_string()),
    };
    conclude(setup, intent, outcome).await;
    keep(setup, request, &done).await;
    Ok(DrillEnd::Rehearsed(Box::new(done)))
}

async fn start<T: Target + 'static>(
    setup: &DrillSetup<T>,
    request: &DrillRequest,
    record: &EnvironmentRecord,
    to: &ReleaseRef,
) -> DrillResult {
    let why = |error: TargetError| DrillResult::Failed { reason: error.to_string() };
    let seen = match setup.target.observe(&request.environment).await {
        Ok(seen) => seen,
        Err(error) => return why(error),
    };
    let running = seen.arms.iter().find(|view| view.arm == ArmName::Standby && view.release == to.digest);
    match running.map(|view| &view.health) {
        Some(Health::Healthy) => return DrillResult::Warm,
        Some(Health::Failing { reason, .. }) => return DrillResult::Failed { reason: reason.clone() },
        Some(Health::Starting) | None => {}
    }
    (setup.tell)(&format!("starting {} beside production, without traffic", to.tag));
    let mut steps = Steps {
        target: Arc::clone(&setup.target),
        environment: request.environment.clone(),
        rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
        recorder: Arc::clone(&setup.recorder),
        book: Logbook::in_memory(),
        tell: Arc::clone(&setup.tell),
        clock: Arc::clone(&setup.clock),
        // The number in force, and no new one: whatever begins meanwhile takes a higher one and ends this.
        fence: record.fence.max(seen.fence),
    };
    let timeout_ms = u64::try_from(setup.start_timeout.as_millis()).unwrap_or(u64::MAX);
    if let Err(error) = steps.carry_out(&Effect::Start { release: to.digest.clone(), arm: ArmName::Standby, timeout_ms }).await {
        let (reason, last_lines) = told(&error);
        for line in last_lines {
            (setup.tell)(&format!("  | {line}"));
        }
        return DrillResult::Failed { reason };
    }
    if let Err(error) = steps.carry_out(&Effect::Retire { release: to.digest.clone() }).await {
        (setup.tell)(&format!("{} runs beside production and was not stopped: {error}", to.tag));
    }
    DrillResult::Healthy
}

/// What can be known without starting anything: its record, template and images are there, and the change is one that the target would take.
async fn check<T: Target + 'static>(setup: &DrillSetup<T>, to: &ReleaseRef) -> DrillResult {
    match setup.target.placed(&to.digest).await {
        Ok(Some(_)) => {}
        Ok(None) => return DrillResult::Failed { reason: format!("{} or one of its images is not there any more", to.tag) },
        Err(error) => return DrillResult::Failed { reason: error.to_string() },
    }
    match setup.target.preview(&to.digest, ArmName::Stable, None).await {
        Ok(lines) => {
            for line in lines {
                (setup.tell)(&format!("would change: {line}"));
            }
            DrillResult::Checked
        }
        Err(error) => DrillResult::Failed { reason: error.to_string() },
    }
}

async fn intend<T: Target + 'static>(
    setup: &DrillSetup<T>,
    request: &DrillRequest,
    record: &EnvironmentRecord,
    to: &ReleaseRef,
) -> Result<u64, RecordError> {
    let target = setup.target.identity().await.map_err(|error| RecordError::Unavailable(error.to_string()))?;
    let draft = ActionDraft {
        id: ulid::Ulid::generate().to_string(),
        kind: ActionKind::Drill,
        actor: request.actor.clone(),
        app: request.app.clone(),
        environment: request.environment.clone(),
        target,
        run: None,
        rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
        tag: to.tag.clone(),
        tag_object: to.tag_object.clone(),
        revision: to.revision.clone().map(String::from),
        digest: to.digest.clone(),
        previous: record.current.as_ref().map(|current| current.digest.clone()),
        requested: None,
        scan_report: None,
        evidence: None,
        yeses: Vec::new(),
        policy_hash: request.policy_hash.clone(),
        reason: request.reason.clone(),
        synthetic: false,
        pinned: record.ledger.clone(),
    };
    let recorder = Arc::clone(&setup.recorder);
    blocking(Patience::Deploy, move || recorder.intent(&draft, Patience::Deploy)).await
}

async fn conclude<T: Target + 'static>(setup: &DrillSetup<T>, intent: u64, outcome: OutcomeDraft) {
    let recorder = Arc::clone(&setup.recorder);
    if let Err(error) = blocking(Patience::Deploy, move || recorder.outcome(intent, &outcome, Patience::Deploy)).await {
        (setup.tell)(&format!("the outcome is not in the ledger: {error}"));
    }
}

/// Keeps the result in the record, for whoever looks; that it cannot be kept is said.
async fn keep<T: Target + 'static>(setup: &DrillSetup<T>, request: &DrillRequest, done: &Drill) {
    let head = setup.recorder.head();
    let mut last = String::new();
    for _ in 0..TRIES {
        let mut record = match setup.target.record(&request.environment).await {
            Ok(record) => record,
            Err(error) => return (setup.tell)(&format!("the result could not be kept: {error}")),
        };
        record.drill = Some(Box::new(done.clone()));
        if head.is_some() {
            record.ledger.clone_from(&head);
        }
        match setup.target.put_record(record).await {
            Ok(_) => return,
            Err(error) => last = error.to_string(),
        }
    }
    (setup.tell)(&format!("the result could not be kept: {last}"));
}
