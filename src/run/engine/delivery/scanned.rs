//! A scan's report: kept with its attempt, told to the ledger where packages were let pass, and answered with what policy in force
//! wants of advisories. A commit's own policy counts only where none is in force yet.

use crate::deploy::Target;
use crate::event::{JobName, RunState, ScanSummary};
use crate::ledger::{Entry, Phase};
use crate::policy::{Advisories, Floors, Policy, apply_floors};
use crate::rollout::wired::Targets;
use crate::run::control::Reply;
use crate::store::replace;

use super::super::socket::Replies;
use super::{Delivery, append, setup};

impl Delivery {
    /// Takes a scan's report, beside the engine.
    pub(in crate::run::engine) fn scanned(
        &mut self,
        state: &RunState,
        job: &JobName,
        number: u32,
        report: &serde_json::Value,
        summary: &ScanSummary,
        replies: Replies,
    ) {
        let path = self.setup.folder.attempt(job, number).join("scan.json");
        if let Ok(bytes) = serde_json_canonicalizer::to_vec(report) {
            let _ = replace(&path, &bytes);
        }
        let commits = setup::commit_settings(&self.setup.folder).map(|settings| settings.policy).unwrap_or_default();
        let (targets, setup) = (self.targets(state), self.setup.clone());
        let mut entry = Entry::new("scan", Phase::Note, setup.actor.clone());
        if let Some(created) = &state.created {
            entry.app = Some(created.app.clone());
            entry.run = Some(created.run.clone());
            entry.revision = Some(created.revision.clone());
            entry.tag = Some(created.tag.clone());
        }
        entry.scan_report = Some(summary.report_sha256.clone());
        entry.reason = Some(format!("job {job}: {} packages NOT CHECKED, as scan.advisories: optional says", summary.packages));
        let unchecked = summary.packages > 0 && !summary.advisories_checked;
        tokio::spawn(async move {
            let wanted = advisories(targets, &setup.floors, commits).await;
            let reply = match wanted {
                Advisories::Required => Reply::Taken { advisories: "required".to_owned() },
                Advisories::Optional if unchecked => match append(&setup.places, entry).await {
                    Ok(_) => Reply::Taken { advisories: "optional".to_owned() },
                    Err(why) => Reply::Failed { message: format!("the ledger does not take that packages were let pass: {why}") },
                },
                Advisories::Optional => Reply::Taken { advisories: "optional".to_owned() },
            };
            let _ = replies.send(reply).await;
        });
    }
}

/// What the policy in force wants; the commit's where none is. A target that does not answer lets nothing pass.
async fn advisories(targets: Option<Targets>, floors: &Floors, commits: Policy) -> Advisories {
    let Some(targets) = targets else { return Advisories::Required };
    let Ok(target) = targets.home(Some(&commits)).await else { return Advisories::Required };
    let policy = match target.app_record().await.map(|record| record.policy) {
        Err(_) => return Advisories::Required,
        Ok(None) => commits,
        Ok(Some(accepted)) => match Policy::from_text(&accepted.text) {
            Ok(stored) => stored.policy,
            Err(_) => return Advisories::Required,
        },
    };
    apply_floors(&policy, floors).0.scan.advisories
}
