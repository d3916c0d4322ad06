//! How a run ends, from how its jobs ended. Pure.

use crate::event::{AttemptResult, CancelCause, DeployOutcome, FailureReason, JobState, JobStatus, RunOutcome, RunState};

/// The outcome of a run in which nothing goes on by itself any more (`docs/decisions.md` 10.2): a failure beats a gate, and 11, 12
/// and 13 count only where the driver recorded them. A job that a cancel ended, and that was not run again, is no success either.
pub(in crate::run) fn settled_outcome(state: &RunState) -> RunOutcome {
    // One that its own job's failure cancelled is a failed run, as at GitLab.
    if state.cancel.is_some() && state.cancel_cause != CancelCause::JobFailed {
        return RunOutcome::Canceled;
    }
    let failed = || state.jobs.iter().filter(|job| job.status == JobStatus::Failed && !job.failure_allowed());
    // Also where a failure is allowed: until somebody decides nobody knows that it is one, and what comes after it has not run.
    if state.jobs.iter().any(|job| job.interrupted().is_some()) {
        return RunOutcome::Interrupted;
    }
    let canceled = state.jobs.iter().filter(|job| job.status == JobStatus::Canceled && !job.plan.allow_failure);
    let worst = failed().map(failure).chain(canceled.map(|_| RunOutcome::Canceled)).max_by_key(|outcome| rank(*outcome));
    if let Some(outcome) = worst {
        return outcome;
    }
    if state.jobs.iter().any(was_taken_back) {
        return RunOutcome::RolledBack;
    }
    if state.jobs.iter().any(|job| job.status == JobStatus::Manual && job.plan.blocking) {
        return RunOutcome::Waiting;
    }
    if state.jobs.is_empty() { RunOutcome::None } else { RunOutcome::Success }
}

fn failure(job: &JobState) -> RunOutcome {
    match job.attempts.last().and_then(|attempt| attempt.failure_reason) {
        // Held, and then taken back: nothing is held any more.
        Some(FailureReason::CanaryHeld) if is_taken_back(job) => RunOutcome::RolledBack,
        Some(FailureReason::CanaryHeld) => RunOutcome::Held,
        Some(FailureReason::CanaryHarm | FailureReason::CanaryTakenBack) => RunOutcome::RolledBack,
        Some(FailureReason::Refused) => RunOutcome::Refused,
        Some(
            FailureReason::ScriptFailure
            | FailureReason::JobExecutionTimeout
            | FailureReason::RunnerSystemFailure
            | FailureReason::MissingDependencyFailure
            | FailureReason::Interrupted,
        )
        | None => RunOutcome::Failed,
    }
}

/// A canary that had passed and was taken back afterwards: its job stays a success, its run is none.
fn was_taken_back(job: &JobState) -> bool {
    job.status == JobStatus::Success && is_taken_back(job)
}

fn is_taken_back(job: &JobState) -> bool {
    job.deploy.as_ref().is_some_and(|end| matches!(end.outcome, DeployOutcome::RolledBack | DeployOutcome::TakenBack))
}

fn rank(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Failed => 5,
        RunOutcome::RolledBack => 4,
        RunOutcome::Held => 3,
        RunOutcome::Refused => 2,
        RunOutcome::Canceled => 1,
        RunOutcome::Running | RunOutcome::Waiting | RunOutcome::Success | RunOutcome::Interrupted | RunOutcome::None => 0,
    }
}

/// What an attempt's end means for GitLab's words, given what the driver recorded for that attempt. A number that a script exits
/// with proves nothing of a deploy.
pub(super) fn failure_reason(result: AttemptResult, reason: Option<FailureReason>, deploy: Option<DeployOutcome>) -> Option<FailureReason> {
    match (result, deploy) {
        (AttemptResult::Failed, Some(DeployOutcome::Held)) => Some(FailureReason::CanaryHeld),
        (AttemptResult::Failed, Some(DeployOutcome::RolledBack)) => Some(FailureReason::CanaryHarm),
        (AttemptResult::Failed, Some(DeployOutcome::TakenBack)) => Some(FailureReason::CanaryTakenBack),
        (AttemptResult::Failed, Some(DeployOutcome::Refused)) => Some(FailureReason::Refused),
        (AttemptResult::Failed, Some(DeployOutcome::Done | DeployOutcome::Overridden | DeployOutcome::Failed) | None) => {
            reason.or(Some(FailureReason::ScriptFailure))
        }
        (AttemptResult::Interrupted, _) => Some(FailureReason::Interrupted),
        (AttemptResult::Success | AttemptResult::Canceled, _) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AttemptId, PlannedJob, RunEvent, Stamped, When};

    fn job(name: &str, status: JobStatus) -> JobState {
        let plan = PlannedJob {
            name: name.parse().unwrap(),
            base_name: name.to_owned(),
            stage: "test".to_owned(),
            needs: None,
            when: When::OnSuccess,
            allow_failure: false,
            allow_failure_exit_codes: Vec::new(),
            environments: Vec::new(),
            blocking: false,
            manual_confirmation: None,
        };
        let (attempts, yeses) = (Vec::new(), Vec::new());
        JobState {
            plan,
            status,
            why: None,
            attempts,
            yeses,
            gate_open: false,
            given: std::collections::BTreeMap::new(),
            starts_at: None,
            cancel_asked: None,
            deploy: None,
            overridden: None,
        }
    }

    fn outcome(jobs: Vec<JobState>) -> RunOutcome {
        settled_outcome(&RunState { jobs, ..RunState::default() })
    }

    fn ends(result: AttemptResult, failure_reason: FailureReason) -> [RunEvent; 2] {
        let job = || "c".parse().unwrap();
        let (exit_code, signal, tests, message) = (None, None, None, None);
        [
            RunEvent::AttemptStarting { job: job(), attempt: id(), number: 1, guarded: true },
            RunEvent::AttemptEnded {
                job: job(),
                attempt: id(),
                result,
                exit_code,
                signal,
                failure_reason: Some(failure_reason),
                duration_ms: 1,
                tests,
                message,
                again: false,
                coverage: None,
            },
        ]
    }

    fn after(mut jobs: Vec<JobState>, events: impl IntoIterator<Item = RunEvent>) -> RunOutcome {
        jobs.push(job("last", JobStatus::Success));
        let mut state = RunState { jobs, ..RunState::default() };
        for (seq, event) in (1..).zip(events) {
            state.apply(&Stamped { format: 1, seq, time: crate::store::now(), event });
        }
        settled_outcome(&state)
    }

    #[test]
    fn a_canary_that_was_held_and_then_taken_back_is_rolled_back() {
        let held = |outcome: DeployOutcome| {
            let end = RunEvent::DeployEnded { job: "c".parse().unwrap(), attempt: id(), outcome, message: String::new() };
            let events = ends(AttemptResult::Failed, FailureReason::CanaryHeld).into_iter().chain([end]);
            after(vec![job("c", JobStatus::Created)], events)
        };
        assert_eq!(held(DeployOutcome::Held), RunOutcome::Held);
        assert_eq!(held(DeployOutcome::RolledBack), RunOutcome::RolledBack);
    }

    #[test]
    fn an_interruption_that_nobody_decided_about_is_no_allowed_failure() {
        let mut allowed = job("c", JobStatus::Created);
        allowed.plan.allow_failure = true;
        let events = ends(AttemptResult::Interrupted, FailureReason::Interrupted);
        assert_eq!(after(vec![allowed.clone()], events.clone()), RunOutcome::Interrupted);
        let decision = crate::event::InterruptedDecision::Fail;
        let actor =
            crate::event::Actor { uid: 1, login: String::new(), host: String::new(), tty: None, ssh_client: None, via: String::new() };
        let answered = RunEvent::InterruptionAnswered { job: "c".parse().unwrap(), decision, actor };
        assert_eq!(after(vec![allowed], events.into_iter().chain([answered])), RunOutcome::Success);
    }

    fn id() -> AttemptId {
        "01JD3Z5V8QZ0A1B2C3D4E5F6G7.c.1".parse().unwrap()
    }

    #[test]
    fn a_job_that_was_cancelled_and_not_run_again_is_no_success() {
        let (done, canceled) = (|| job("a", JobStatus::Success), || job("b", JobStatus::Canceled));
        assert_eq!(outcome(vec![done(), canceled()]), RunOutcome::Canceled);
        assert_eq!(outcome(vec![canceled(), job("c", JobStatus::Failed)]), RunOutcome::Failed, "a failure says more");
        let mut gate = job("gate", JobStatus::Manual);
        gate.plan.blocking = true;
        assert_eq!(outcome(vec![canceled(), gate]), RunOutcome::Canceled, "no gate is left open behind it");
        let mut allowed = canceled();
        allowed.plan.allow_failure = true;
        assert_eq!(outcome(vec![done(), allowed]), RunOutcome::Success);
    }
}
