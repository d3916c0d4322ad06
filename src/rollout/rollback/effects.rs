//! What a rollback does at its target once it is decided: the environment taken, traffic moved, the end proven and written.

use std::time::Duration;

use super::super::choice;
use super::super::ports::{ActionResult, OutcomeDraft};
use super::super::steps::{Begun, Claim, StepError, Steps, failed};
use super::{Plan, RollbackEnd, RollbackRequest, RollbackSetup, draft};
use crate::deploy::{Applied, ArmName, Effect, Health, Observation, Target};
use crate::event::{
    Digest, EnvironmentRecord, ReleaseRef, RolloutEvent, RolloutKind, RolloutOutcome, Slot, TargetIdentity, Weight, Weights,
};

/// How often an effect is tried at a target that does not answer, and the pause between.
const EFFECT_TRIES: u32 = 4;
const EFFECT_PAUSE: Duration = Duration::from_millis(200);

/// Takes the environment, moves traffic and writes how it ended.
pub(super) async fn execute<T: Target + 'static>(
    setup: &RollbackSetup<T>,
    request: &RollbackRequest,
    plan: &Plan,
    claim: Claim,
    identity: &TargetIdentity,
    steps: &mut Steps<T>,
) -> Result<RollbackEnd, StepError> {
    let Some((release, draft)) = plan.release().cloned().zip(draft(request, plan, identity)) else {
        // A canary that no record names and no stable beside it: there is no release to write about, but the weight goes.
        steps.fence = steps.observe().await?.fence + 1;
        let applied = steps.carry_out(&Effect::Withdraw).await?;
        return Ok(reverted(plan, steps, &applied));
    };
    for gone in &plan.passed_over {
        steps.say(&format!("{} ({}) is passed over: what it is made of is not there any more", gone.tag, gone.digest.short()));
    }
    let slot = Slot { release, rollout: request.rollout.clone(), since: steps.now() };
    // What is put back where it is was left by nobody, and nothing was returned to.
    let bad = plan.from.as_ref().filter(|_| !plan.puts_back()).map(|release| release.digest.clone());
    let returns = plan.wanted.as_ref().filter(|_| plan.kind == RolloutKind::Rollback && !plan.puts_back());
    let returned_to = returns.map(|release| release.digest.clone());
    let begun = steps
        .begin(plan.step(), draft, claim, |record| {
            choice::take_over(record, slot.clone(), bad.as_ref(), returned_to.as_ref());
            let applied = record.weights.map_or(Weight::ZERO, |weights| weights.applied);
            record.weights = Some(Weights { requested: Weight::ZERO, applied });
        })
        .await?;
    match move_traffic(setup, plan, steps).await {
        Ok((applied, measured)) => finish(request, plan, steps, begun, applied, measured).await,
        Err(StepError::Superseded(by)) => {
            steps.close(begun.intent, &failed(ActionResult::Superseded, "superseded by another rollback".to_owned())).await;
            Err(StepError::Superseded(by))
        }
        Err(error) => {
            let outcome = failed(ActionResult::Failed, error.to_string());
            let _ = steps.settle(begun, outcome, |record| record.slot = None).await;
            Err(error)
        }
    }
}

/// Brings the environment to where `wanted` has all traffic, from whatever it is seen as. Each effect may be the second of its kind.
async fn move_traffic<T: Target + 'static>(
    setup: &RollbackSetup<T>,
    plan: &Plan,
    steps: &mut Steps<T>,
) -> Result<(Applied, Option<f64>), StepError> {
    let mut seen = steps.observe().await?;
    let measured = measured(&seen);
    if plan.kind == RolloutKind::Abort {
        let applied = take_away(plan.wanted.as_ref(), setup.start_timeout, steps).await?;
        prove(plan, &applied)?;
        return Ok((applied, measured));
    }
    let has_canary = choice::running(&seen, ArmName::Canary).is_some();
    let stays = choice::holds_the_fort(&seen);
    let mut last = None;
    if seen.weight > Weight::ZERO && !stays {
        let applied = insist(steps, &Effect::Weigh { weight: Weight::ZERO }).await?;
        seen = applied.observation.clone();
        last = Some(applied);
    }
    if let Some(wanted) = &plan.wanted {
        if !stays {
            if plan.puts_back() {
                // It runs, and is not as it was: what it was comes up beside it.
                seen.arms.retain(|view| view.arm != ArmName::Stable);
            }
            warm(wanted, setup.start_timeout, &seen, steps).await?;
        }
        last = Some(insist(steps, &Effect::Return { release: wanted.digest.clone() }).await?);
    }
    if has_canary {
        // It has no weight already; that it cannot be stopped is said, and is no failure of the rollback.
        if let Err(error) = steps.carry_out(&Effect::Withdraw).await {
            if matches!(error, StepError::Superseded(_)) {
                return Err(error);
            }
            steps.say(&format!("the canary has no traffic but could not be stopped: {error}"));
        }
    }
    let applied = last.ok_or_else(|| StepError::Unproven("the target was not asked for anything".to_owned()))?;
    prove(plan, &applied)?;
    Ok((applied, measured))
}

/// The canary's traffic away, and all of it at `base`, whatever a promotion that was under way made of stable. Where stable was begun to be
/// changed, the arm keeps the traffic until stable is `base` again.
pub(in crate::rollout) async fn take_away<T: Target + 'static>(
    base: Option<&ReleaseRef>,
    start_timeout: Duration,
    steps: &mut Steps<T>,
) -> Result<Applied, StepError> {
    let is_base = |seen: &Observation| base.is_none_or(|base| choice::running(seen, ArmName::Stable) == Some(&base.digest));
    // Without a look it is weight 0 all the same: a target knows by itself what it may not lower.
    let seen = steps.observe().await.ok();
    if seen.is_none_or(|seen| is_base(&seen) || !choice::holds_the_fort(&seen)) {
        let applied = insist(steps, &Effect::Withdraw).await?;
        let Some(base) = base.filter(|_| !is_base(&applied.observation)) else { return Ok(applied) };
        // The promotion won against the withdrawal; under our fence it can win no more.
        warm(base, start_timeout, &applied.observation, steps).await?;
    }
    match base {
        Some(base) => insist(steps, &Effect::Return { release: base.digest.clone() }).await,
        None => insist(steps, &Effect::Withdraw).await,
    }
}

/// The share that a canary had since its weight was set; none without one.
fn measured(seen: &Observation) -> Option<f64> {
    let (canary, stable) = seen.served.filter(|_| seen.weight > Weight::ZERO)?;
    let (canary, stable) = (u32::try_from(canary).ok()?, u32::try_from(stable).ok()?);
    let all = canary.checked_add(stable).filter(|all| *all > 0)?;
    Some(f64::from(canary) / f64::from(all))
}

/// Starts a release that does not run, with progress; its bytes are checked by the target first.
async fn warm<T: Target + 'static>(
    wanted: &ReleaseRef,
    start_timeout: Duration,
    seen: &Observation,
    steps: &mut Steps<T>,
) -> Result<(), StepError> {
    let hot =
        |arm: ArmName| seen.arms.iter().any(|view| view.arm == arm && view.release == wanted.digest && view.health == Health::Healthy);
    if hot(ArmName::Standby) || hot(ArmName::Stable) {
        return Ok(());
    }
    steps.say(&format!("starting {} again", wanted.tag));
    let timeout_ms = u64::try_from(start_timeout.as_millis()).unwrap_or(u64::MAX);
    let began = tokio::time::Instant::now();
    let started = insist(steps, &Effect::Start { release: wanted.digest.clone(), arm: ArmName::Standby, timeout_ms }).await?;
    // A target without room for it brings it back in the place of what runs.
    if started.observation.arms.iter().any(|view| view.release == wanted.digest && view.health == Health::Healthy) {
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _ = steps.note(RolloutEvent::ReleaseHealthy { duration_ms });
    }
    Ok(())
}

/// Carries out an effect, again when the target does not answer.
pub(in crate::rollout) async fn insist<T: Target + 'static>(steps: &mut Steps<T>, effect: &Effect) -> Result<Applied, StepError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match steps.carry_out(effect).await {
            Err(StepError::Target(crate::deploy::TargetError::Unreachable { reason })) if tries < EFFECT_TRIES => {
                steps.say(&format!("the target does not answer ({reason}); trying again"));
                tokio::time::sleep(EFFECT_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

fn prove(plan: &Plan, applied: &Applied) -> Result<(), StepError> {
    if applied.weight != Weight::ZERO {
        return Err(StepError::Unproven(format!("the target still gives the canary {}", applied.weight)));
    }
    if let Some(wanted) = &plan.wanted {
        let stable = choice::running(&applied.observation, ArmName::Stable);
        if stable != Some(&wanted.digest) {
            let found = stable.map_or("nothing", Digest::short);
            return Err(StepError::Unproven(format!("the target shows {found} where {} was to be", wanted.digest.short())));
        }
    }
    Ok(())
}

async fn finish<T: Target + 'static>(
    request: &RollbackRequest,
    plan: &Plan,
    steps: &mut Steps<T>,
    begun: Begun,
    applied: Applied,
    measured: Option<f64>,
) -> Result<RollbackEnd, StepError> {
    let reason = request.reason.clone().unwrap_or_else(|| format!("asked for by {}", request.actor.login));
    let _ = steps.note(RolloutEvent::WeightApplied { requested: Weight::ZERO, applied: applied.weight });
    let _ = steps.note(RolloutEvent::RolledBack { to: plan.wanted.clone(), reason });
    let outcome = OutcomeDraft {
        result: ActionResult::Done,
        message: plan.wanted.as_ref().map_or_else(|| "the canary was taken back".to_owned(), |to| format!("reverted to {}", to.tag)),
        requested: Some(Weight::ZERO),
        applied: Some(applied.weight),
        measured,
    };
    steps.settle(begun, outcome, |record| arrived(record, plan)).await?;
    let end = reverted(plan, steps, &applied);
    let _ = steps.note(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::RolledBack });
    Ok(end)
}

/// The record after a rollback.
fn arrived(record: &mut EnvironmentRecord, plan: &Plan) {
    record.slot = None;
    record.watch = None;
    record.weights = None;
    if plan.kind == RolloutKind::Rollback && record.current != plan.wanted {
        record.previous = record.current.take();
        record.current.clone_from(&plan.wanted);
        record.adopted.clear();
    }
}

fn reverted<T>(plan: &Plan, steps: &Steps<T>, applied: &Applied) -> RollbackEnd {
    RollbackEnd::Reverted {
        rollout: steps.rollout.clone(),
        from: plan.from.clone(),
        to: plan.wanted.clone(),
        applied: applied.weight,
        served: applied.observation.served,
        unrecorded: steps.book.state().unrecorded || steps.book.trouble().is_some(),
    }
}
