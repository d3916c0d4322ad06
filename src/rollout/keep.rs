//! After a promotion: older standbys are stopped, releases that nobody can need are removed. Best effort; traffic is untouched.

use super::choice::{self, removable};
use super::crash::{self, CrashPoint};
use super::ports::{ActionDraft, ActionKind, ActionResult};
use super::steps::{StepError, failed};
use super::worker::Worker;
use crate::deploy::{ArmName, Effect, ReleaseRecord, Target};
use crate::event::{Digest, EnvironmentRecord};

impl<T: Target + 'static> Worker<T> {
    /// What fails here is said and tried again after the next promotion.
    pub(super) async fn clean_up(&mut self) {
        if let Err(error) = self.retire_standbys().await {
            self.steps.say(&format!("an older standby still runs: {error}"));
        }
        if let Err(error) = self.remove_old().await {
            self.steps.say(&format!("older releases are still kept: {error}"));
        }
    }

    /// Stops what runs without traffic, but for the one that a rollback would go to.
    async fn retire_standbys(&mut self) -> Result<(), StepError> {
        let record = self.steps.record().await?;
        let seen = self.steps.observe().await?;
        let Some(current) = &record.current else { return Ok(()) };
        let here = |release: &crate::event::ReleaseRef| seen.arms.iter().any(|view| view.release == release.digest);
        let next = choice::next_back(&record, current, &here);
        for view in seen.arms.iter().filter(|view| view.arm == ArmName::Standby) {
            let kept = next.as_ref().or(record.previous.as_ref()).is_some_and(|next| next.digest == view.release);
            if !kept {
                self.steps.carry_out(&Effect::Retire { release: view.release.clone() }).await?;
            }
        }
        Ok(())
    }

    async fn remove_old(&mut self) -> Result<(), StepError> {
        let releases = self.steps.target.releases().await?;
        let mut records: Vec<EnvironmentRecord> = Vec::new();
        let mut runs: Vec<Digest> = Vec::new();
        for environment in self.steps.target.environments().await? {
            records.push(self.steps.target.record(&environment).await?);
            runs.extend(self.steps.target.observe(&environment).await?.arms.into_iter().map(|view| view.release));
        }
        let digests: Vec<Digest> = releases.iter().map(|record| record.release.digest.clone()).collect();
        for digest in removable(&digests, self.rules.keep, &records, &runs) {
            if let Some(record) = releases.iter().find(|record| record.release.digest == digest) {
                self.remove(record).await?;
            }
        }
        Ok(())
    }

    /// A control action of its own: intent, effect, outcome.
    async fn remove(&mut self, gone: &ReleaseRecord) -> Result<(), StepError> {
        let release = &gone.release;
        let draft = ActionDraft {
            tag: release.tag.clone(),
            tag_object: release.tag_object.clone(),
            revision: release.revision.clone().map(String::from),
            digest: release.digest.clone(),
            previous: None,
            synthetic: false,
            ..self.draft(ActionKind::ReleaseRemove, &self.own_actor(), Some(format!("the newest {} are kept", self.rules.keep)))
        };
        let intent = self.steps.intend(&draft).await?;
        crash::reach(CrashPoint::BeforeRemove).await;
        let removed = self.steps.target.remove(&release.digest).await;
        crash::reach(CrashPoint::AfterRemove).await;
        let (result, message) = match &removed {
            Ok(()) => (ActionResult::Done, format!("{} was removed", release.tag)),
            Err(error) => (ActionResult::Failed, error.to_string()),
        };
        self.steps.close(Some(intent), &failed(result, message)).await;
        removed?;
        // The list is for people; where a rollback goes is decided by what is there. A conflict leaves it for the next time.
        let mut record = self.steps.record().await?;
        record.releases.retain(|kept| kept.digest != release.digest);
        record.healthy.retain(|healthy| healthy.digest != release.digest);
        let _ = self.steps.target.put_record(record).await;
        Ok(())
    }
}
