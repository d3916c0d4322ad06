//! The recorder over this user's ledger: each call takes the ledger's lock, checks, appends, and lets go.

use std::time::Duration;

use crate::event::{AppName, EnvironmentName, LedgerHead, Refusal, RefusalKind, RolloutId};
use crate::ledger::{
    Entry, Evidence, Fault, Ledger, LedgerError, LedgerPlaces, OnFault, Phase, Relation, Shares, entries, follows, keep_unrecorded,
    predecessors, unresolved,
};
use crate::rollout::ports::{ActionDraft, ActionResult, OutcomeDraft, Patience, RecordError, Recorder};
use crate::store::{chain, now};

/// How long a note waits for the ledger's lock.
const NOTE_PATIENCE: Duration = Duration::from_secs(10);

/// This user's ledger, as the driver sees it.
#[derive(Debug, Clone)]
pub struct LedgerRecorder {
    places: LedgerPlaces,
}

impl LedgerRecorder {
    /// The ledger at those places; it is begun by the first entry.
    #[must_use]
    pub fn new(places: LedgerPlaces) -> Self {
        Self { places }
    }

    fn open(&self, draft: &ActionDraft, patience: Duration, on_fault: OnFault) -> Result<Ledger, RecordError> {
        Ledger::open(&self.places, &draft.actor, patience, on_fault, now()).map_err(refused)
    }

    /// Whether the record at the target was written over entries that are not here: the ledger was cut, restored, forked or replaced.
    /// Another one's ledger there is a handover, and so is one that this ledger was begun after.
    fn check_pinned(&self, ledger: &Ledger, draft: &ActionDraft, entry: &mut Entry, on_fault: OnFault) -> Result<bool, RecordError> {
        let Some(pinned) = &draft.pinned else { return Ok(false) };
        let why = match ledger.relation(pinned) {
            Relation::Fits => return Ok(false),
            Relation::Forked => "cut, restored or forked",
            Relation::Another if self.is_ours(draft, pinned) && !self.goes_on_from(pinned)? => "replaced",
            Relation::Another => {
                entry.follows = Some(pinned.clone());
                return Ok(false);
            }
        };
        match on_fault {
            OnFault::Record => Ok(true),
            OnFault::Refuse => Err(RecordError::Refused(
                Refusal::new(
                    RefusalKind::LedgerForked,
                    format!("the ledger here was {why}: the target's record was written over {} entries that are not here", pinned.size),
                )
                .hint("hms ledger verify says what is missing; put it back, or `hms ledger new --reason TEXT` after moving this one aside"),
            )),
        }
    }

    /// Whether only this STATE's ledger can be named there: at this STATE's own target, and where the record names this owner.
    fn is_ours(&self, draft: &ActionDraft, pinned: &LedgerHead) -> bool {
        draft.target.kind == "local" || pinned.by.as_ref().is_some_and(|by| self.places.is_owner(by, &draft.actor.host))
    }

    fn goes_on_from(&self, pinned: &LedgerHead) -> Result<bool, RecordError> {
        let list = entries(&self.places).map_err(|error| RecordError::Unavailable(error.to_string()))?;
        Ok(follows(&predecessors(&list), pinned))
    }
}

impl Recorder for LedgerRecorder {
    fn intent(&self, draft: &ActionDraft, patience: Patience) -> Result<u64, RecordError> {
        let on_fault = on_fault(patience);
        let mut ledger = self.open(draft, patience.duration(), on_fault)?;
        let mut entry = entry_of(draft, Phase::Intent);
        if self.check_pinned(&ledger, draft, &mut entry, on_fault)? {
            let mut fork = Entry::new("fork", Phase::Note, draft.actor.clone());
            fork.app = Some(draft.app.clone());
            fork.environment = Some(draft.environment.clone());
            fork.follows.clone_from(&draft.pinned);
            fork.reason = Some("the target's record was written over entries that are not here".to_owned());
            append(&mut ledger, fork)?;
        }
        append(&mut ledger, entry)
    }

    fn outcome(&self, intent_seq: u64, outcome: &OutcomeDraft, patience: Patience) -> Result<(), RecordError> {
        let list = entries(&self.places).map_err(|error| RecordError::Unavailable(error.to_string()))?;
        let intent = list.into_iter().find(|entry| entry.seq == intent_seq);
        let Some(intent) = intent else { return Err(RecordError::Unavailable(format!("the ledger has no entry {intent_seq}"))) };
        let mut ledger = Ledger::open(&self.places, &intent.actor, patience.duration(), on_fault(patience), now()).map_err(refused)?;
        let mut entry =
            Entry { id: ulid::Ulid::generate().to_string(), phase: Phase::Outcome, intent_seq: Some(intent_seq), follows: None, ..intent };
        put_outcome(&mut entry, outcome);
        append(&mut ledger, entry).map(|_| ())
    }

    fn note(&self, draft: &ActionDraft, rule: RefusalKind) -> Result<(), RecordError> {
        let mut ledger = self.open(draft, NOTE_PATIENCE, OnFault::Refuse)?;
        let mut entry = entry_of(draft, Phase::Note);
        entry.outcome = Some(rule.word());
        append(&mut ledger, entry).map(|_| ())
    }

    fn set_aside(&self, draft: &ActionDraft, outcome: Option<&OutcomeDraft>) -> Result<(), RecordError> {
        let mut entry = entry_of(draft, Phase::Note);
        if let Some(outcome) = outcome {
            put_outcome(&mut entry, outcome);
        }
        keep_unrecorded(&self.places, entry, now()).map_err(refused)
    }

    fn take_in(&self, waiting: &[serde_json::Value]) -> Result<(), RecordError> {
        for value in waiting {
            let draft: ActionDraft = serde_json::from_value(value.clone()).map_err(|error| RecordError::Unavailable(error.to_string()))?;
            // Opening takes in what was left beside the ledger: this very action, perhaps.
            let mut ledger = self.open(&draft, NOTE_PATIENCE, OnFault::Record)?;
            let known = entries(&self.places).map_err(|error| RecordError::Unavailable(error.to_string()))?;
            if known.iter().any(|entry| entry.id == draft.id) {
                continue;
            }
            let mut entry = entry_of(&draft, Phase::Note);
            if let Some(outcome) = value.get("outcome").and_then(|outcome| serde_json::from_value(outcome.clone()).ok()) {
                put_outcome(&mut entry, &outcome);
            }
            let reason = entry.reason.take().unwrap_or_default();
            entry.reason = Some(format!("{reason} (was UNRECORDED)").trim().to_owned());
            append(&mut ledger, entry)?;
        }
        Ok(())
    }

    fn unresolved(&self, rollout: &RolloutId) -> Result<Vec<u64>, RecordError> {
        let list = entries(&self.places).map_err(|error| RecordError::Unavailable(error.to_string()))?;
        Ok(unresolved(&list).into_iter().filter(|entry| entry.rollout.as_ref() == Some(rollout)).map(|entry| entry.seq).collect())
    }

    fn open_intents(&self, app: &AppName, environment: &EnvironmentName) -> Result<Vec<(RolloutId, u64)>, RecordError> {
        let list = entries(&self.places).map_err(|error| RecordError::Unavailable(error.to_string()))?;
        let here = |entry: &&Entry| entry.app.as_ref() == Some(app) && entry.environment.as_ref() == Some(environment);
        Ok(unresolved(&list).into_iter().filter(here).filter_map(|entry| Some((entry.rollout.clone()?, entry.seq))).collect())
    }

    fn head(&self) -> Option<LedgerHead> {
        crate::ledger::head(&self.places).ok().flatten()
    }
}

fn append(ledger: &mut Ledger, entry: Entry) -> Result<u64, RecordError> {
    ledger.append(entry, now()).map_err(refused)
}

/// A rollback is never refused for its ledger's sake; it records the fork and goes on.
fn on_fault(patience: Patience) -> OnFault {
    match patience {
        Patience::Deploy => OnFault::Refuse,
        Patience::Rollback => OnFault::Record,
    }
}

fn refused(error: LedgerError) -> RecordError {
    match error {
        LedgerError::Fault(fault @ (Fault::Changed { .. } | Fault::Pinned { .. } | Fault::Gone { .. })) => RecordError::Refused(
            Refusal::new(RefusalKind::LedgerForked, fault.to_string())
                .hint("hms ledger verify says what is missing; put it back, or `hms ledger new --reason TEXT` after moving this one aside"),
        ),
        LedgerError::Lock(error) => RecordError::Unavailable(error.to_string()),
        LedgerError::Disk(error) => RecordError::Unavailable(chain(&error)),
        LedgerError::Entry(why) => RecordError::Unavailable(why),
    }
}

fn entry_of(draft: &ActionDraft, phase: Phase) -> Entry {
    let kind = serde_json::to_value(draft.kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    let mut entry = Entry::new(&kind, phase, draft.actor.clone());
    entry.id.clone_from(&draft.id);
    entry.app = Some(draft.app.clone());
    entry.environment = Some(draft.environment.clone());
    entry.target = Some(draft.target.clone());
    entry.run.clone_from(&draft.run);
    entry.rollout = Some(draft.rollout.clone());
    entry.tag = Some(draft.tag.clone());
    entry.tag_object.clone_from(&draft.tag_object);
    entry.revision = draft.revision.as_deref().and_then(|revision| revision.parse().ok());
    entry.digest = Some(draft.digest.clone());
    entry.previous.clone_from(&draft.previous);
    entry.weights = draft.requested.map(|requested| Shares { requested: Some(requested), applied: None, measured: None });
    entry.scan_report.clone_from(&draft.scan_report);
    entry.evidence = draft
        .evidence
        .as_ref()
        .map(|evidence| Evidence { sha256: evidence.sha256.hex().to_owned(), verdict: evidence.verdict.to_string() });
    entry.yeses.clone_from(&draft.yeses);
    entry.policy_hash = Some(draft.policy_hash.clone());
    entry.reason.clone_from(&draft.reason);
    entry.synthetic = draft.synthetic.then_some(true);
    entry
}

fn put_outcome(entry: &mut Entry, outcome: &OutcomeDraft) {
    entry.outcome = Some(
        match outcome.result {
            ActionResult::Done => "done",
            ActionResult::Failed => "failed",
            ActionResult::Resolved => "resolved",
            ActionResult::Superseded => "superseded",
        }
        .to_owned(),
    );
    entry.reason = Some(outcome.message.clone());
    let requested = outcome.requested.or(entry.weights.and_then(|weights| weights.requested));
    if requested.is_some() || outcome.applied.is_some() || outcome.measured.is_some() {
        entry.weights = Some(Shares { requested, applied: outcome.applied, measured: outcome.measured });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, Digest, LedgerOwner, TargetIdentity, Weight};
    use crate::rollout::ports::ActionKind;
    use crate::store::Places;

    struct World {
        recorder: LedgerRecorder,
        places: LedgerPlaces,
        _folder: tempfile::TempDir,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let places = LedgerPlaces::of(&Places { state: at("state"), runtime: at("run"), data: at("data") });
        World { recorder: LedgerRecorder::new(places.clone()), places, _folder: folder }
    }

    fn draft(kind: &str, pinned: Option<LedgerHead>) -> ActionDraft {
        ActionDraft {
            id: ulid::Ulid::generate().to_string(),
            kind: ActionKind::Deploy,
            actor: Actor { uid: 1, login: "ana".to_owned(), host: "here".to_owned(), tty: None, ssh_client: None, via: "hms".to_owned() },
            app: "shop".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            target: TargetIdentity { kind: kind.to_owned(), id: "t".to_owned(), name: "there".to_owned() },
            run: None,
            rollout: RolloutId::from_ulid(ulid::Ulid::generate()),
            tag: "v1".to_owned(),
            tag_object: None,
            revision: None,
            digest: Digest::of(b"v1"),
            previous: None,
            requested: Some(Weight::FULL),
            scan_report: Some(Digest::of(b"report")),
            evidence: None,
            yeses: Vec::new(),
            policy_hash: Digest::of(b"policy"),
            reason: None,
            synthetic: false,
            pinned,
        }
    }

    fn another(by: Option<LedgerOwner>) -> LedgerHead {
        LedgerHead { id: ulid::Ulid::generate().to_string().parse().unwrap(), size: 9, root: "0".repeat(64), by }
    }

    #[test]
    fn another_ledger_at_our_own_target_is_ours_replaced_and_elsewhere_a_handover() {
        let world = world();
        let elsewhere = LedgerOwner { host: "there".to_owned(), ..world.places.owner("here") };
        for (kind, by, accepted) in [
            ("local", None, false),
            ("local", Some(elsewhere.clone()), false),
            ("kubernetes", None, true),
            ("kubernetes", Some(elsewhere), true),
            ("kubernetes", Some(world.places.owner("here")), false),
        ] {
            let draft = draft(kind, Some(another(by)));
            match world.recorder.intent(&draft, Patience::Deploy) {
                Ok(seq) => {
                    assert!(accepted, "{draft:?}");
                    let entry = &entries(&world.places).unwrap()[usize::try_from(seq).unwrap()];
                    assert_eq!((&entry.follows, &entry.scan_report), (&draft.pinned, &draft.scan_report));
                }
                Err(RecordError::Refused(refusal)) => {
                    assert!(!accepted && refusal.kind == RefusalKind::LedgerForked && refusal.message.contains("replaced"), "{refusal:?}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_rollback_over_a_replaced_ledger_records_the_fork_and_goes_on() {
        let world = world();
        let held = another(None);
        world.recorder.intent(&draft("local", Some(held.clone())), Patience::Rollback).unwrap();
        let list = entries(&world.places).unwrap();
        assert!(list.iter().any(|entry| entry.kind == "fork" && entry.follows.as_ref() == Some(&held)), "{list:?}");
    }

    #[test]
    fn a_ledger_begun_anew_after_the_one_at_the_target_goes_on() {
        let world = world();
        let held = another(None);
        let draft = draft("local", Some(LedgerHead { size: 7, ..held.clone() }));
        drop(Ledger::begin_anew(&world.places, &draft.actor, "the disk died", &[held], now()).unwrap());
        world.recorder.intent(&draft, Patience::Deploy).unwrap();
    }

    #[test]
    fn the_head_for_a_record_says_whose_it_is() {
        let world = world();
        assert_eq!(world.recorder.head(), None);
        world.recorder.intent(&draft("local", None), Patience::Deploy).unwrap();
        assert_eq!(world.recorder.head().unwrap().by, Some(world.places.owner("here")));
    }
}
