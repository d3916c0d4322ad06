//! A fixed world: a target, ports that do as they are told, a folder, a clock that follows the paused one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::target::FakeTarget;
use crate::deploy::ReleaseRecord;
use crate::event::{
    Actor, AppName, Arm, Digest, EnvironmentName, EnvironmentRecord, LedgerHead, Refusal, RefusalKind, ReleaseRef, RolloutEvent, RolloutId,
    RolloutState, Sample, Verdict, VerdictClass, Weight, Yes, YesKind,
};
use crate::rollout::ports::{
    ActionDraft, Gatekeeper, Judge, Meter, OnHarm, OutcomeDraft, Patience, Ports, PromoteFacts, Protection, RecordError, Recorder, Rules,
    Scrape, SlotPolicy, StartFacts, Threshold, Unwatched, WatchFacts,
};
use crate::rollout::{Authority, Bytes, Driver, Hear, ReleaseRequest, RollbackRequest, RollbackSetup, Setup, folder_of, reader};
use crate::store;

/// A ledger in memory.
#[derive(Default)]
pub(crate) struct FakeRecorder {
    pub(crate) intents: Mutex<Vec<(ActionDraft, Option<OutcomeDraft>)>>,
    pub(crate) notes: Mutex<Vec<ActionDraft>>,
    pub(crate) aside: Mutex<Vec<ActionDraft>>,
    pub(crate) taken_in: Mutex<Vec<serde_json::Value>>,
    pub(crate) intent_error: Mutex<Option<RecordError>>,
    pub(crate) outcome_error: Mutex<Option<RecordError>>,
    pub(crate) patience: Mutex<Vec<Patience>>,
}

fn failing(place: &Mutex<Option<RecordError>>) -> Result<(), RecordError> {
    place.lock().unwrap().clone().map_or(Ok(()), Err)
}

impl Recorder for FakeRecorder {
    fn intent(&self, draft: &ActionDraft, patience: Patience) -> Result<u64, RecordError> {
        self.patience.lock().unwrap().push(patience);
        failing(&self.intent_error)?;
        let mut intents = self.intents.lock().unwrap();
        intents.push((draft.clone(), None));
        Ok(intents.len() as u64)
    }

    fn outcome(&self, intent_seq: u64, outcome: &OutcomeDraft, _: Patience) -> Result<(), RecordError> {
        failing(&self.outcome_error)?;
        self.intents.lock().unwrap()[intent_seq as usize - 1].1 = Some(outcome.clone());
        Ok(())
    }

    fn note(&self, draft: &ActionDraft, _: RefusalKind) -> Result<(), RecordError> {
        self.notes.lock().unwrap().push(draft.clone());
        Ok(())
    }

    fn set_aside(&self, draft: &ActionDraft, _: Option<&OutcomeDraft>) -> Result<(), RecordError> {
        self.aside.lock().unwrap().push(draft.clone());
        Ok(())
    }

    fn take_in(&self, waiting: &[serde_json::Value]) -> Result<(), RecordError> {
        failing(&self.intent_error)?;
        self.taken_in.lock().unwrap().extend_from_slice(waiting);
        Ok(())
    }

    fn unresolved(&self, rollout: &RolloutId) -> Result<Vec<u64>, RecordError> {
        let intents = self.intents.lock().unwrap();
        let open = intents.iter().enumerate().filter(|(_, (draft, outcome))| draft.rollout == *rollout && outcome.is_none());
        Ok(open.map(|(n, _)| n as u64 + 1).collect())
    }

    fn open_intents(&self, app: &AppName, environment: &EnvironmentName) -> Result<Vec<(RolloutId, u64)>, RecordError> {
        let intents = self.intents.lock().unwrap();
        let here = |draft: &ActionDraft| draft.app == *app && draft.environment == *environment;
        let open = intents.iter().enumerate().filter(|(_, (draft, outcome))| outcome.is_none() && here(draft));
        Ok(open.map(|(n, (draft, _))| (draft.rollout.clone(), n as u64 + 1)).collect())
    }

    fn head(&self) -> Option<LedgerHead> {
        let size = self.intents.lock().unwrap().len() as u64;
        Some(LedgerHead { id: ulid::Ulid::nil().to_string().parse().unwrap(), size, root: "0".repeat(64), by: None })
    }
}

/// A meter that may be told to fail.
pub(crate) struct FakeMeter {
    pub(crate) failing: Mutex<Option<String>>,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl Meter for FakeMeter {
    fn scrape(&self) -> Scrape<'_> {
        Box::pin(async {
            match self.failing.lock().unwrap().clone() {
                Some(reason) => Err(reason),
                None => Ok(Sample { at: (self.clock)(), versions: std::collections::BTreeMap::new(), source: None }),
            }
        })
    }
}

/// A judge that says what it is told; or PASS so long after the last weight.
pub(crate) struct FakeJudge {
    pub(crate) says: Mutex<Option<VerdictClass>>,
    pub(crate) passes_after: Mutex<Duration>,
    pub(crate) asked: Mutex<Option<(WatchFacts, usize)>>,
    /// Nothing tells it what is slow.
    pub(crate) blind: Mutex<bool>,
}

impl Judge for FakeJudge {
    fn assess(&self, facts: &WatchFacts, samples: &[Sample], now: DateTime<Utc>) -> Verdict {
        *self.asked.lock().unwrap() = Some((facts.clone(), samples.len()));
        let since = facts.spans.last().unwrap().since;
        let passes = facts.missed == 0 && now - since >= TimeDelta::from_std(*self.passes_after.lock().unwrap()).unwrap();
        let class = self.says.lock().unwrap().unwrap_or(if passes { VerdictClass::Pass } else { VerdictClass::Hold });
        Verdict {
            class,
            reason: facts.missed_reason.clone().unwrap_or_else(|| format!("{} samples", samples.len())),
            canary_requests: samples.len() as u64,
            stable_requests: 0,
            floor: 299,
            forecast_seconds: None,
            synthetic: false,
            measured_share: facts.spans.last().map(|span| span.weight.fraction()),
            metrics: Vec::new(),
            forecast: Vec::new(),
        }
    }

    fn threshold(&self, _: Option<&Sample>, stable_version: Option<&str>) -> Option<Threshold> {
        let told = stable_version.filter(|_| !*self.blind.lock().unwrap());
        told.map(|_| Threshold { seconds: 0.25, slow_share: 0.1 })
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({"judge": "fake"})
    }
}

#[derive(Default)]
pub(crate) struct FakeGatekeeper {
    pub(crate) start: Mutex<Option<Refusal>>,
    pub(crate) promote: Mutex<Option<Refusal>>,
}

impl Gatekeeper for FakeGatekeeper {
    fn may_start(&self, _: &StartFacts<'_>) -> Result<(), Refusal> {
        self.start.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn may_promote(&self, _: &PromoteFacts<'_>) -> Result<(), Refusal> {
        self.promote.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) target: FakeTarget,
    pub(crate) recorder: Arc<FakeRecorder>,
    pub(crate) meter: Arc<FakeMeter>,
    pub(crate) judge: Arc<FakeJudge>,
    pub(crate) gatekeeper: Arc<FakeGatekeeper>,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    pub(crate) rules: Rules,
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

pub(crate) fn percent(percent: u16) -> Weight {
    Weight::from_thousandths(percent * 10).unwrap()
}

pub(crate) fn digest(n: u32) -> Digest {
    Digest::of(format!("release {n}").as_bytes())
}

pub(crate) fn release(n: u32) -> ReleaseRef {
    ReleaseRef {
        digest: digest(n),
        revision: Some(format!("{n:040x}").parse().unwrap()),
        tag: format!("v{n}"),
        tag_object: None,
        run: None,
    }
}

pub(crate) fn record(n: u32) -> ReleaseRecord {
    ReleaseRecord {
        must_be_scanned: std::collections::BTreeMap::new(),
        images: Vec::new(),
        format: 1,
        release: release(n),
        app: "shop".parse().unwrap(),
        created_at: DateTime::default(),
        files: 1,
        bytes: 1,
        start: None,
        scan: None,
    }
}

pub(crate) fn actor() -> Actor {
    Actor { uid: 1000, login: "ana".to_owned(), host: "here".to_owned(), tty: None, ssh_client: None, via: "hms".to_owned() }
}

pub(crate) fn new_id() -> RolloutId {
    RolloutId::from_ulid(ulid::Ulid::generate())
}

pub(crate) fn policy() -> Digest {
    Digest::of(b"policy")
}

pub(crate) fn authority() -> Authority {
    Authority { actor: actor(), yeses: Vec::new(), reason: None }
}

pub(crate) fn override_for(n: u32) -> Authority {
    let yes = Yes {
        kind: YesKind::Override,
        actor: actor(),
        release: digest(n),
        policy_hash: policy(),
        reason: Some("known".to_owned()),
        at: DateTime::default(),
    };
    Authority { yeses: vec![yes], ..authority() }
}

impl World {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        let clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync> = Arc::new(move || {
            let base: DateTime<Utc> = "2026-11-24T16:00:00Z".parse().unwrap();
            base + TimeDelta::from_std(began.elapsed()).unwrap()
        });
        Self {
            folder: tempfile::tempdir().unwrap(),
            target: FakeTarget::new("shop".parse().unwrap()),
            recorder: Arc::default(),
            meter: Arc::new(FakeMeter { failing: Mutex::new(None), clock: Arc::clone(&clock) }),
            judge: Arc::new(FakeJudge {
                says: Mutex::new(None),
                passes_after: Mutex::new(Duration::from_secs(600)),
                asked: Mutex::new(None),
                blind: Mutex::new(false),
            }),
            gatekeeper: Arc::default(),
            said: Arc::default(),
            rules: Rules {
                steps: vec![percent(1), percent(5), percent(25)],
                on_harm: OnHarm::Rollback,
                on_hold: Duration::from_secs(1800),
                unwatched: Unwatched::Keep,
                scrape: Duration::from_secs(5),
                keep: 5,
                slot_timeout: Duration::from_secs(1800),
                slot: SlotPolicy::Wait,
                start_timeout: Duration::from_secs(60),
                protection: Protection::Protected,
                after: None,
            },
            clock,
        }
    }

    pub(crate) fn environment() -> EnvironmentName {
        "prod".parse().unwrap()
    }

    pub(crate) fn record(&self) -> EnvironmentRecord {
        let empty = || EnvironmentRecord::empty("shop".parse().unwrap(), Self::environment());
        self.target.state().records.get(&Self::environment()).cloned().unwrap_or_else(empty)
    }

    pub(crate) fn amend(&self, change: impl FnOnce(&mut EnvironmentRecord)) {
        let mut record = self.record();
        change(&mut record);
        record.version += 1;
        self.target.state().records.insert(Self::environment(), record);
    }

    pub(crate) fn setup(&self) -> Setup<FakeTarget> {
        self.setup_at(&self.target)
    }

    pub(crate) fn setup_at(&self, target: &FakeTarget) -> Setup<FakeTarget> {
        let said = Arc::clone(&self.said);
        Setup {
            target: Arc::new(target.clone()),
            ports: Ports {
                recorder: Arc::clone(&self.recorder) as _,
                meter: Arc::clone(&self.meter) as _,
                judge: Arc::clone(&self.judge) as _,
                gatekeeper: Arc::clone(&self.gatekeeper) as _,
            },
            rules: self.rules.clone(),
            state: self.state(),
            host: "here".to_owned(),
            socket: None,
            hear: Hear::nobody(),
            hearing: None,
            tell: Arc::new(move |line| said.lock().unwrap().push(line.to_owned())),
            clock: Arc::clone(&self.clock),
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn request(&self, n: u32) -> ReleaseRequest {
        ReleaseRequest {
            rollout: new_id(),
            app: "shop".parse().unwrap(),
            environment: Self::environment(),
            bytes: Bytes { record: record(n), tree: Some(PathBuf::from("/nowhere")) },
            run: None,
            policy_hash: policy(),
            actor: actor(),
            reason: None,
            allow_outdated: None,
        }
    }

    pub(crate) async fn begin(&self, n: u32) -> Driver {
        Driver::begin(self.setup(), self.request(n)).await.unwrap()
    }

    /// A release that went the whole way.
    pub(crate) async fn promoted(&self, n: u32) {
        let driver = self.begin(n).await;
        let answer = driver.promote(override_for(n)).await;
        assert_eq!(answer.outcome, crate::event::DeployOutcome::Done, "{answer:?}");
        self.end(driver).await;
    }

    /// Drops a driver and waits until its lock is free.
    pub(crate) async fn end(&self, driver: Driver) {
        let folder = driver.folder().to_owned();
        drop(driver);
        for _ in 0..1000 {
            if reader::holder(&folder).is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the driver's lock is still held");
    }

    pub(crate) fn rollback_setup(&self) -> RollbackSetup<FakeTarget> {
        self.rollback_setup_at(&self.target.other_client())
    }

    pub(crate) fn rollback_setup_at(&self, target: &FakeTarget) -> RollbackSetup<FakeTarget> {
        let setup = self.setup_at(target);
        RollbackSetup {
            target: setup.target,
            recorder: setup.ports.recorder,
            state: setup.state,
            runtime: self.state(),
            host: setup.host,
            hear: setup.hear,
            tell: setup.tell,
            clock: setup.clock,
            inside: Arc::new(|_| false),
            start_timeout: Duration::from_secs(60),
        }
    }

    pub(crate) fn back(&self, arm: Arm) -> RollbackRequest {
        RollbackRequest {
            rollout: new_id(),
            app: "shop".parse().unwrap(),
            environment: Self::environment(),
            from: None,
            to: None,
            arm,
            delay: Duration::ZERO,
            actor: actor(),
            reason: None,
            policy_hash: policy(),
            run: None,
            evidence: None,
        }
    }

    pub(crate) fn fold(&self, rollout: &RolloutId) -> RolloutState {
        reader::read(&folder_of(&self.state(), &"shop".parse().unwrap(), rollout)).unwrap().unwrap()
    }

    pub(crate) fn events(&self, rollout: &RolloutId) -> Vec<RolloutEvent> {
        let path = folder_of(&self.state(), &"shop".parse().unwrap(), rollout).join("journal");
        store::read(&path).unwrap().into_iter().map(|stamped| stamped.event).collect()
    }

    pub(crate) fn verdict(&self, class: VerdictClass) {
        *self.judge.says.lock().unwrap() = Some(class);
    }
}
