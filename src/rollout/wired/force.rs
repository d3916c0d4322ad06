//! The policy in force at a target, and how a commit's policy comes into force (`docs/decisions.md` 8.2).

use std::time::Duration;

use super::same_place::{elsewhere, known_elsewhere};
use crate::deploy::{Target, TargetError};
use crate::event::{AcceptedPolicy, Actor, AppRecord, Digest, Refusal, RefusalKind, Revision};
use crate::ledger::{Entry, Ledger, LedgerError, LedgerPlaces, OnFault, Phase, entries};
use crate::policy::{Difference, Floors, Policy, apply_floors, difference};
use crate::store::now;

/// Why a policy came into force that nobody looked at.
pub(super) const FIRST_USE: &str = "first use at this target";
/// How often a write at the target is tried when somebody else's came between.
const TRIES: u32 = 5;

/// The policy in force, floors applied, and how a commit differs from it.
#[derive(Debug, Clone)]
pub struct InForce {
    /// What decides.
    pub policy: Policy,
    /// The hash of the text that was accepted; what verdicts and yeses are bound to.
    pub hash: Digest,
    /// What the commit would have otherwise, and has not.
    pub differences: Vec<Difference>,
    /// It came into force just now, because none was.
    pub first_use: bool,
    /// What the operator's floors changed.
    pub floors: Vec<String>,
}

/// No policy is in force, or it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ForceError {
    /// The target did not answer.
    #[error("the target does not say which policy is in force")]
    Target(#[from] TargetError),
    /// The ledger cannot be written.
    #[error("the policy cannot be accepted without a ledger entry")]
    Ledger(#[from] LedgerError),
    /// A rule says no.
    #[error("{0}")]
    Refused(Refusal),
}

/// Who wants to know, and on whose behalf.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who.
    pub actor: Actor,
    /// The operator's floors.
    pub floors: Floors,
    /// The ledger.
    pub ledger: LedgerPlaces,
    /// The repository's first commit; none outside a clone.
    pub repository: Option<Revision>,
}

/// The policy in force. Where none is, the commit's is taken on first use and entered in the ledger; a commit that differs is
/// told so and changes nothing.
///
/// # Errors
/// When the target or the ledger does not answer, the text at the target has keys that this program does not know, or the app's name
/// belongs to another repository.
pub async fn in_force<T: Target>(target: &T, asker: &Asker, commits: &Policy) -> Result<InForce, ForceError> {
    let mut record = target.app_record().await?;
    let mut first_use = false;
    if record.policy.is_none() {
        let (here, known) = (target.identity().await?, ledger_of(asker).await?);
        if let Some(there) = known_elsewhere(&known, &record.app, &here) {
            return Err(ForceError::Refused(elsewhere(&record.app, there, &here)));
        }
        record = accept(target, asker, commits, Some(FIRST_USE), record).await?;
        first_use = true;
    }
    belongs(&record, asker)?;
    let Some(accepted) = &record.policy else { return Err(ForceError::Refused(no_policy())) };
    let stored = Policy::from_text(&accepted.text).map_err(|error| {
        ForceError::Refused(
            Refusal::new(RefusalKind::Stale, format!("the policy in force cannot be read: {error}")).hint("hms policy accept"),
        )
    })?;
    if let Some(key) = stored.unknown.first() {
        let message = format!("the policy in force sets `{key}`, which this hms does not know");
        return Err(ForceError::Refused(Refusal::new(RefusalKind::Stale, message).hint("use the hms that accepted it, or a later one")));
    }
    let (policy, floors) = apply_floors(&stored.policy, &asker.floors);
    Ok(InForce { differences: difference(&stored.policy, commits), policy, hash: accepted.hash.clone(), first_use, floors })
}

async fn ledger_of(asker: &Asker) -> Result<Vec<Entry>, LedgerError> {
    let places = asker.ledger.clone();
    let read = tokio::task::spawn_blocking(move || entries(&places)).await.map_err(|error| LedgerError::Entry(error.to_string()))?;
    read.map_err(|error| LedgerError::Entry(error.to_string()))
}

/// Puts a policy in force: ledger first, then the target's record.
///
/// # Errors
/// When the ledger cannot be written, the target does not answer, or somebody else's write came between too often.
pub async fn accept<T: Target>(
    target: &T,
    asker: &Asker,
    policy: &Policy,
    reason: Option<&str>,
    mut record: AppRecord,
) -> Result<AppRecord, ForceError> {
    belongs(&record, asker)?;
    let mut entry = Entry::new("policy.accept", Phase::Note, asker.actor.clone());
    entry.app = Some(record.app.clone());
    entry.target = Some(target.identity().await?);
    entry.policy_hash = Some(policy.hash());
    entry.reason = reason.map(str::to_owned);
    let (places, actor) = (asker.ledger.clone(), asker.actor.clone());
    let written = tokio::task::spawn_blocking(move || {
        Ledger::open(&places, &actor, Duration::from_secs(10), OnFault::Refuse, now())?.append(entry, now())
    });
    written.await.map_err(|error| LedgerError::Entry(error.to_string()))??;
    for _ in 0..TRIES {
        record.policy = Some(AcceptedPolicy { hash: policy.hash(), text: policy.text(), accepted_at: now(), by: asker.actor.clone() });
        record.repository = record.repository.or_else(|| asker.repository.clone());
        match target.put_app_record(record).await {
            Err(TargetError::Conflict { .. }) => record = target.app_record().await?,
            answer => return Ok(answer?),
        }
    }
    Err(ForceError::Refused(
        Refusal::new(RefusalKind::Stale, "somebody else changes this app's record at the same time").hint("look again: hms policy show"),
    ))
}

/// An app's name belongs to the repository that was first; a clone of it is the same.
fn belongs(record: &AppRecord, asker: &Asker) -> Result<(), ForceError> {
    match (&record.repository, &asker.repository) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(ForceError::Refused(
            Refusal::new(
                RefusalKind::Protected,
                format!("the app {} belongs to another repository (its first commit is {})", record.app, theirs.short()),
            )
            .hint("give this one a name of its own: .hms: {app: NAME}"),
        )),
        _ => Ok(()),
    }
}

fn no_policy() -> Refusal {
    Refusal::new(RefusalKind::Stale, "no policy is in force").hint("hms policy accept")
}
