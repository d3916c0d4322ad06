//! Drift as a driver sees it: looked for at the start and once a minute, told when it changes, and no promotion over it.

use std::time::Duration;

use tokio::time::Instant;

use super::steps::StepError;
use super::worker::Worker;
use crate::deploy::Target;
use crate::event::{Drift, Refusal, RefusalKind, RolloutEvent};

/// How often what runs is compared with the record.
const EVERY: Duration = Duration::from_mins(1);

impl<T: Target + 'static> Worker<T> {
    /// Compares when a minute has passed. A target that cannot tell is one that does not answer, which the watch says by itself.
    pub(super) async fn compare_when_due(&mut self) -> Result<(), StepError> {
        let now = Instant::now();
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.drift_at <= now) else { return Ok(()) };
        watch.drift_at = now + EVERY;
        self.compare().await.map(drop)
    }

    /// Compares, and writes it down when it is not as it was.
    async fn compare(&mut self) -> Result<Vec<Drift>, StepError> {
        let found = self.steps.target.drift(&self.created.environment).await?;
        if found != self.steps.book.state().drift {
            let environment = &self.created.environment;
            let lines: Vec<String> = if found.is_empty() {
                vec![format!("what runs in {environment} is as recorded again")]
            } else {
                found.iter().map(|drift| format!("DRIFT in {environment}: {drift}")).collect()
            };
            for line in lines {
                (self.steps.tell)(&line);
            }
            self.steps.note(RolloutEvent::DriftFound { drift: found.clone() })?;
        }
        Ok(found)
    }

    /// Nothing is built on what nobody knows: neither a canary that is compared with it, nor a promotion that would take it away.
    pub(super) async fn refuse_drift(&mut self) -> Result<(), StepError> {
        match self.compare().await?.first() {
            None => Ok(()),
            Some(first) => {
                let environment = &self.created.environment;
                let message = format!("{environment} has drifted: {first}");
                let hint = format!("hms drift show --env {environment} says what there is to do: adopt it, or restore what was recorded");
                Err(StepError::Refused(Refusal::new(RefusalKind::Drifted, message).hint(hint)))
            }
        }
    }
}
