//! What people who do not look are told of: six kinds of events, each with what it is about. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    AppName, Digest, EnvironmentName, JobName, Revision, RolloutEvent, RolloutId, RolloutKind, RolloutOutcome, RolloutPhase, RolloutState,
    RunEvent, RunId, RunOutcome, RunState, VerdictClass,
};

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A manual job waits for a yes.
    Gate,
    /// A canary was on HOLD for too long.
    Hold,
    /// A canary does harm.
    Harm,
    /// Something was taken back.
    Rollback,
    /// A run failed, or a rollback could not be carried out.
    Failure,
    /// A canary has weight and nobody watches it.
    Unwatched,
}

impl NoticeKind {
    /// The words for them, as they are written.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("gate", Self::Gate),
        ("hold", Self::Hold),
        ("harm", Self::Harm),
        ("rollback", Self::Rollback),
        ("failure", Self::Failure),
        ("unwatched", Self::Unwatched),
    ];
}

/// A word that is no kind of notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of gate, hold, harm, rollback, failure, unwatched")]
pub struct BadNoticeKind(String);

impl std::str::FromStr for NoticeKind {
    type Err = BadNoticeKind;
    fn from_str(text: &str) -> Result<Self, BadNoticeKind> {
        let known = Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind);
        known.ok_or_else(|| BadNoticeKind(text.chars().take(40).collect()))
    }
}

/// What is told: format 1 of what a command gets on standard input and a server in a POST. No variable, log line or credential is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// 1.
    pub format: u32,
    /// Names this event for good: the journal's owner and the event's place in it.
    pub id: String,
    /// Why.
    pub event: NoticeKind,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The application.
    pub app: Option<AppName>,
    /// The environment, where it is about one.
    pub environment: Option<EnvironmentName>,
    /// The run's id.
    pub run: Option<RunId>,
    /// The run's number in its repository.
    pub run_number: Option<u64>,
    /// The rollout.
    pub rollout: Option<RolloutId>,
    /// The job, where it is about one.
    pub job: Option<JobName>,
    /// The release's tag.
    pub tag: Option<String>,
    /// The release's digest.
    pub digest: Option<Digest>,
    /// The commit.
    pub revision: Option<Revision>,
    /// One plain sentence.
    pub message: String,
    /// What to do, as a command where there is one.
    pub hint: Option<String>,
}

impl Notice {
    /// What an event of a run is told as; `state` has the event folded in. None for most.
    #[must_use]
    pub fn of_run(state: &RunState, event: &RunEvent, at: DateTime<Utc>) -> Option<Self> {
        let created = state.created.as_ref()?;
        let number = created.number;
        let told = |event, job: Option<&JobName>, message: String, hint: Option<String>| Self {
            format: 1,
            id: format!("{}.{}", created.run, state.seq),
            event,
            at,
            app: Some(created.app.clone()),
            environment: job.and_then(|job| state.job(job)?.plan.environments.first().cloned()),
            run: Some(created.run.clone()),
            run_number: Some(number),
            rollout: None,
            job: job.cloned(),
            tag: Some(created.tag.clone()),
            digest: state.release.as_ref().map(|release| release.digest.clone()),
            revision: Some(created.revision.clone()),
            message,
            hint,
        };
        if let RunEvent::GateReached { job } = event {
            let message = format!("{job} of run {number} waits for a yes");
            return Some(told(NoticeKind::Gate, Some(job), message, Some(format!("hms approve {number} '{job}'"))));
        }
        let RunEvent::RunEnded { outcome: outcome @ (RunOutcome::Failed | RunOutcome::Interrupted), .. } = event else { return None };
        let word = if *outcome == RunOutcome::Failed { "failed" } else { "was interrupted" };
        let failed = state.jobs.iter().find(|job| job.status == super::JobStatus::Failed && !job.failure_allowed());
        let job = failed.map(|job| &job.plan.name);
        let which = job.map_or_else(String::new, |job| format!(": {job}"));
        let message = format!("run {number} of {} {word}{which}", created.revision.short());
        Some(told(NoticeKind::Failure, job, message, Some(format!("hms status {number}"))))
    }

    /// What an event of a rollout is told as; `before` is the rollout without it. None for most.
    #[must_use]
    pub fn of_rollout(before: &RolloutState, event: &RolloutEvent, at: DateTime<Utc>) -> Option<Self> {
        let created = before.created.as_ref()?;
        let (environment, tag) = (&created.environment, &created.release.tag);
        let status = format!("hms canary explain {}", created.rollout);
        let harm_is_new = before.verdict_class() != Some(VerdictClass::Rollback);
        let what =
            if before.production.is_some() { format!("{tag} in {environment}") } else { format!("the canary {tag} of {environment}") };
        let (kind, message, hint) = if let RolloutEvent::HoldExpired { verdict } = event {
            (NoticeKind::Hold, format!("the canary {tag} of {environment} is held: {}", verdict.reason), Some(status))
        } else if let RolloutEvent::VerdictReached { verdict } = event
            && verdict.class == VerdictClass::Rollback
            && harm_is_new
        {
            (NoticeKind::Harm, format!("{what} does harm: {}", verdict.reason), Some(status))
        } else if let RolloutEvent::RolledBack { to, reason } = event
            // Out of production another rollout brings it, which tells it.
            && before.phase != RolloutPhase::Promoted
        {
            let to = to.as_ref().map_or("no release", |to| to.tag.as_str());
            (NoticeKind::Rollback, format!("{environment} is on {to}: {reason}"), None)
        } else if matches!(event, RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Failed }) && created.kind != RolloutKind::Release {
            let message = format!("{environment} could not be rolled back to {tag}");
            (NoticeKind::Failure, message, Some(format!("hms rollback --env {environment} --app {}", created.app)))
        } else if *event == RolloutEvent::WatchLeft {
            (NoticeKind::Unwatched, format!("{what} has traffic, and nobody watches it"), Some(status))
        } else {
            return None;
        };
        Some(Self {
            format: 1,
            id: format!("{}.{}", created.rollout, before.seq + 1),
            event: kind,
            at,
            app: Some(created.app.clone()),
            environment: Some(environment.clone()),
            run: created.run.clone(),
            run_number: None,
            rollout: Some(created.rollout.clone()),
            job: None,
            tag: Some(tag.clone()),
            digest: Some(created.release.digest.clone()),
            revision: created.release.revision.clone(),
            message,
            hint,
        })
    }
}
