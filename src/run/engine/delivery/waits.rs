//! A deploy that waits for another release to let go says so in the run's journal.

use std::time::Duration;

use crate::event::{RolloutPhase, RunEvent};
use crate::rollout::reader::RolloutReader;
use crate::rollout::{Answer, Driver};

use super::DeployOrder;
use super::setup::Work;

/// How often the rollout's journal is looked at before it has the environment.
const LOOK: Duration = Duration::from_millis(200);

impl Work {
    /// Waits for a driver's answer, and tells for whom the driver waits meanwhile.
    pub(super) async fn tell_waits(&self, order: &DeployOrder, driver: &Driver, asked: impl Future<Output = Answer>) -> Answer {
        let mut reader = RolloutReader::at(driver.folder());
        let mut told: Option<String> = None;
        tokio::pin!(asked);
        loop {
            let answer = tokio::select! {
                answer = &mut asked => Some(answer),
                () = tokio::time::sleep(LOOK) => None,
            };
            let _ = reader.poll();
            let why = if let (RolloutPhase::AwaitingSlot(holder), None) = (&reader.state().phase, &answer) {
                reader.state().created.as_ref().map(|created| holder.awaited(&created.environment, &created.app))
            } else {
                None
            };
            match &why {
                Some(why) if told.as_ref() != Some(why) => {
                    self.record(RunEvent::ResourceAwaited { job: order.job.clone(), why: why.clone() }).await;
                }
                None if told.is_some() => self.record(RunEvent::ResourceTaken { job: order.job.clone() }).await,
                Some(_) | None => {}
            }
            told = why;
            match answer {
                Some(answer) => return answer,
                None if told.is_none() && reader.state().phase != RolloutPhase::New => return asked.await,
                None => {}
            }
        }
    }
}
