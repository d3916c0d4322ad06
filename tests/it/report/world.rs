//! Runs made of their events, as an engine would write them.

use chrono::{DateTime, TimeDelta};
use hms::event::{
    Actor, Arm, AttemptId, AttemptResult, DeployOutcome, Digest, FORMAT, FailureReason, MetricEvidence, PlannedJob, ProcessName,
    ReleaseRef, RolloutCreated, RolloutEvent, RolloutId, RolloutKind, RolloutOutcome, RolloutState, RunCreated, RunEvent, RunId,
    RunOutcome, RunState, ScanSummary, Stamped, TargetIdentity, TestCounts, Verdict, VerdictClass, When,
};

pub(crate) const RUN: &str = "01JD3Z5V8QZ0A1B2C3D4E5F6G7";
pub(crate) const ROLLOUT: &str = "01JD3Z5V8QZ0A1B2C3D4E5F6G8";
pub(crate) const REVISION: &str = "8c4f2d3a8c4f2d3a8c4f2d3a8c4f2d3a8c4f2d3a";

/// A run and its rollouts with a name for messages.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) events: Vec<Stamped<RunEvent>>,
    pub(crate) rollout_events: Vec<Stamped<RolloutEvent>>,
    pub(crate) engine: &'static str,
}

impl Story {
    pub(crate) fn state(&self) -> RunState {
        RunState::fold(&self.events)
    }

    pub(crate) fn rollouts(&self) -> Vec<(RolloutId, RolloutState)> {
        if self.rollout_events.is_empty() {
            return Vec::new();
        }
        vec![(ROLLOUT.parse().unwrap(), RolloutState::fold(&self.rollout_events))]
    }

    /// The run's first events, up to this one and with it.
    pub(crate) fn prefix(&self, length: usize) -> RunState {
        RunState::fold(&self.events[..length])
    }

    fn new(name: &'static str, engine: &'static str, events: Vec<RunEvent>, rollout_events: Vec<RolloutEvent>) -> Self {
        Self { name, events: stamped(events), rollout_events: stamped(rollout_events), engine }
    }
}

pub(crate) fn stamped<E>(events: Vec<E>) -> Vec<Stamped<E>> {
    let start = DateTime::parse_from_rfc3339("2026-11-24T16:02:11.123Z").unwrap().to_utc();
    let time = |index: usize| start + TimeDelta::seconds(i64::try_from(index).unwrap());
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| Stamped { format: FORMAT, seq: index as u64 + 1, time: time(index), event })
        .collect()
}

pub(crate) fn actor(login: &str) -> Actor {
    Actor { uid: 1000, login: login.to_owned(), host: "jump".to_owned(), tty: None, ssh_client: None, via: "hms run".to_owned() }
}

pub(crate) fn release(tag: &str) -> ReleaseRef {
    ReleaseRef {
        digest: Digest::of(tag.as_bytes()),
        revision: Some(REVISION.parse().unwrap()),
        tag: tag.to_owned(),
        tag_object: None,
        run: Some(RUN.parse().unwrap()),
    }
}

pub(crate) fn job(name: &str) -> PlannedJob {
    let manual = name == "prod";
    PlannedJob {
        name: name.parse().unwrap(),
        base_name: name.to_owned(),
        stage: name.to_owned(),
        needs: manual.then(|| vec!["canary".parse().unwrap()]),
        when: if manual { When::Manual } else { When::OnSuccess },
        allow_failure: false,
        allow_failure_exit_codes: Vec::new(),
        environments: if manual || name == "canary" { vec![name.parse().unwrap()] } else { Vec::new() },
        blocking: manual,
        manual_confirmation: None,
    }
}

pub(crate) fn created(jobs: Vec<PlannedJob>) -> RunEvent {
    RunEvent::RunCreated(Box::new(RunCreated {
        before: None,
        config_path: None,
        run: RUN.parse().unwrap(),
        number: 42,
        app: "irs-api".parse().unwrap(),
        revision: REVISION.parse().unwrap(),
        ref_name: Some("main".to_owned()),
        ref_type: Some(hms::event::RefType::Branch),
        tag: "v1.2.0".to_owned(),
        title: "hot-fix: prevent negative credit".to_owned(),
        source: "push".to_owned(),
        actor: actor("amy"),
        repository: "/srv/irs-api".into(),
        jobs,
        notices: vec!["no container engine: `image: node:18` is not honoured".to_owned()],
        variables: std::collections::BTreeMap::new(),
        masked: Vec::new(),
        variable_file: None,
        pass_env: Vec::new(),
        dirty: false,
        protected: None,
        no_linger: false,
        concurrency: None,
    }))
}

pub(crate) fn five_jobs() -> RunEvent {
    created(["build", "test", "scan", "canary", "prod"].map(job).into())
}

pub(crate) fn attempt(name: &str) -> AttemptId {
    AttemptId::new(&RUN.parse::<RunId>().unwrap(), &name.parse().unwrap(), 1)
}

pub(crate) fn process() -> ProcessName {
    ProcessName { pid: 4711, start_ticks: 99, boot_id: "b".to_owned() }
}

pub(crate) fn starts(name: &str) -> Vec<RunEvent> {
    let job = || name.parse().unwrap();
    vec![
        RunEvent::JobQueued { job: job() },
        RunEvent::AttemptStarting { job: job(), attempt: attempt(name), number: 1, guarded: name == "canary" },
        RunEvent::AttemptStarted { attempt: attempt(name), keeper: process() },
    ]
}

/// How an attempt ends; the rest is as for a success of 9 s.
pub(crate) struct End {
    pub(crate) result: AttemptResult,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) failure_reason: Option<FailureReason>,
    pub(crate) duration_ms: u64,
    pub(crate) tests: Option<TestCounts>,
    pub(crate) message: Option<String>,
    pub(crate) again: bool,
    pub(crate) coverage: Option<f64>,
}

impl Default for End {
    fn default() -> Self {
        let result = AttemptResult::Success;
        Self {
            result,
            exit_code: Some(0),
            signal: None,
            failure_reason: None,
            duration_ms: 9_000,
            tests: None,
            message: None,
            again: false,
            coverage: None,
        }
    }
}

pub(crate) fn ends(name: &str, end: End) -> RunEvent {
    let End { result, exit_code, signal, failure_reason, duration_ms, tests, message, again, coverage } = end;
    let (job, attempt) = (name.parse().unwrap(), attempt(name));
    RunEvent::AttemptEnded { job, attempt, result, exit_code, signal, failure_reason, duration_ms, tests, message, again, coverage }
}

pub(crate) fn failed(reason: FailureReason) -> End {
    End { result: AttemptResult::Failed, exit_code: Some(1), failure_reason: Some(reason), ..End::default() }
}

fn scanned() -> RunEvent {
    let findings = [("critical", 0), ("high", 0), ("medium", 2)].map(|(level, number)| (level.to_owned(), number)).into();
    let summary = ScanSummary {
        fail_on: "high".to_owned(),
        clean: true,
        findings,
        secrets: 0,
        files: 41,
        packages: 214,
        advisories_checked: false,
        report_sha256: Digest::of(b"report"),
        scanned: std::collections::BTreeMap::new(),
    };
    RunEvent::ScanReported { attempt: attempt("scan"), summary }
}

fn built() -> Vec<RunEvent> {
    let mut events = vec![five_jobs(), RunEvent::EngineStarted { engine: process(), program: "0.1.0".to_owned() }];
    events.extend(starts("build"));
    events.push(ends("build", End { duration_ms: 72_000, ..End::default() }));
    events.extend(starts("test"));
    let tests = Some(TestCounts { passed: 402, failed: 0, skipped: 3 });
    events.push(ends("test", End { duration_ms: 123_000, tests, ..End::default() }));
    events.extend(starts("scan"));
    events.push(scanned());
    events.push(ends("scan", End::default()));
    events.push(RunEvent::ReleaseMade { release: release("v1.2.0"), files: 41, bytes: 70_000 });
    events.extend(starts("canary"));
    let (job, environment) = ("canary".parse().unwrap(), "prod".parse().unwrap());
    events.push(RunEvent::RolloutLinked { job, rollout: ROLLOUT.parse().unwrap(), environment, arm: Arm::Canary });
    events
}

pub(crate) fn deploy_ended(outcome: DeployOutcome, message: &str) -> RunEvent {
    RunEvent::DeployEnded { job: "canary".parse().unwrap(), attempt: attempt("canary"), outcome, message: message.to_owned() }
}

pub(crate) fn verdict(class: VerdictClass, reason: &str) -> Verdict {
    let errors = MetricEvidence {
        name: "errors".to_owned(),
        slo: 0.01,
        threshold_seconds: None,
        canary_bad: 10,
        stable_bad: 900,
        harm_ln: -0.2,
        abs_ln: 4.0,
        passed: class == VerdictClass::Pass,
        harmed: class == VerdictClass::Rollback,
        detail: None,
    };
    Verdict {
        class,
        reason: reason.to_owned(),
        canary_requests: 4_912,
        stable_requests: 486_288,
        floor: 299,
        forecast_seconds: (class == VerdictClass::Hold).then_some(180),
        synthetic: false,
        measured_share: Some(0.01),
        metrics: vec![errors],
        forecast: Vec::new(),
    }
}

fn canary(verdict_reached: Verdict) -> Vec<RolloutEvent> {
    let one = "1%".parse().unwrap();
    vec![
        RolloutEvent::RolloutCreated(Box::new(RolloutCreated {
            rollout: ROLLOUT.parse().unwrap(),
            kind: RolloutKind::Release,
            app: "irs-api".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            target: TargetIdentity { kind: "local".to_owned(), id: "m/1000/irs-api".to_owned(), name: "this machine".to_owned() },
            release: release("v1.2.0"),
            previous: Some(release("v1.1.9")),
            run: Some(RUN.parse().unwrap()),
            policy_hash: Digest::of(b"policy"),
            actor: actor("amy"),
            reason: None,
            supersedes: None,
            allow_outdated: None,
        })),
        RolloutEvent::WeightApplied { requested: one, applied: one },
        RolloutEvent::WatchStarted {
            weight: one,
            threshold_seconds: Some(0.25),
            slow_share: Some(0.05),
            absolute_only: false,
            canary_version: "v1.2.0".to_owned(),
            stable_version: Some("v1.1.9".to_owned()),
            next: None,
            own: Vec::new(),
        },
        RolloutEvent::VerdictReached { verdict: verdict_reached },
    ]
}

/// A run that went no further than its creation.
pub(crate) fn only_created() -> Story {
    Story::new("created", "dead", vec![five_jobs()], Vec::new())
}

/// Jobs are going, and one waits for another release.
pub(crate) fn running() -> Story {
    let mut events = built();
    let why = "v1.1.9 holds prod since 15:40".to_owned();
    events.push(RunEvent::ResourceAwaited { job: "canary".parse().unwrap(), why });
    Story::new("running", "alive", events, Vec::new())
}

/// The canary passed; a person is asked.
pub(crate) fn at_the_gate() -> Story {
    let mut events = built();
    events.push(deploy_ended(DeployOutcome::Done, "PASS"));
    events.push(ends("canary", End::default()));
    events.push(RunEvent::GateReached { job: "prod".parse().unwrap() });
    Story::new("waiting", "alive", events, canary(verdict(VerdictClass::Pass, "no worse than stable")))
}

/// HOLD for too long: the weight stays.
pub(crate) fn held() -> Story {
    let mut events = built();
    events.push(deploy_ended(DeployOutcome::Held, "212 of 299 requests"));
    events.push(ends("canary", End { exit_code: Some(11), ..failed(FailureReason::CanaryHeld) }));
    events.push(RunEvent::JobSkipped { job: "prod".parse().unwrap(), why: "canary is held".to_owned() });
    events.push(RunEvent::RunEnded { outcome: RunOutcome::Held, exit_code: 11 });
    let hold = verdict(VerdictClass::Hold, "212 of 299 requests");
    let mut rollout = canary(hold.clone());
    rollout.push(RolloutEvent::HoldExpired { verdict: hold });
    rollout.push(RolloutEvent::DriftFound { drift: Vec::new() });
    rollout.push(RolloutEvent::WatchLeft);
    Story::new("held", "ended", events, rollout)
}

/// Proven worse: the weight is 0 again.
pub(crate) fn rolled_back() -> Story {
    let mut events = built();
    events.push(deploy_ended(DeployOutcome::RolledBack, "errors 4.1 % against 0.2 %"));
    events.push(ends("canary", End { exit_code: Some(12), ..failed(FailureReason::CanaryHarm) }));
    events.push(RunEvent::RunEnded { outcome: RunOutcome::RolledBack, exit_code: 12 });
    let reason = "errors 4.1 % against 0.2 %".to_owned();
    let mut rollout = canary(verdict(VerdictClass::Rollback, &reason));
    rollout.push(RolloutEvent::RolledBack { to: Some(release("v1.1.9")), reason });
    rollout.push(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::RolledBack });
    Story::new("rolled back", "ended", events, rollout)
}

/// All went well.
pub(crate) fn success() -> Story {
    let mut story = at_the_gate();
    let mut events: Vec<RunEvent> = story.events.into_iter().map(|stamped| stamped.event).collect();
    let prod = || "prod".parse().unwrap();
    events.push(RunEvent::GateAnswered {
        job: prod(),
        actor: actor("ben"),
        release: None,
        policy_hash: None,
        missing: 0,
        variables: std::collections::BTreeMap::new(),
    });
    events.extend(starts("prod"));
    let (rollout, environment) = (ROLLOUT.parse().unwrap(), prod_environment());
    events.push(RunEvent::RolloutLinked { job: prod(), rollout, environment, arm: Arm::Whole });
    events.push(ends("prod", End { duration_ms: 2_000, ..End::default() }));
    events.push(RunEvent::RunEnded { outcome: RunOutcome::Success, exit_code: 0 });
    story.events = stamped(events);
    let mut rollout: Vec<RolloutEvent> = story.rollout_events.into_iter().map(|stamped| stamped.event).collect();
    rollout.push(RolloutEvent::Promoted);
    rollout.push(RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted });
    story.rollout_events = stamped(rollout);
    Story { name: "success", engine: "ended", ..story }
}

fn prod_environment() -> hms::event::EnvironmentName {
    "prod".parse().unwrap()
}

/// Neither keeper nor exit record was left of the canary's attempt.
pub(crate) fn interrupted() -> Story {
    let mut events = built();
    let end = End { result: AttemptResult::Interrupted, exit_code: None, duration_ms: 0, ..failed(FailureReason::Interrupted) };
    events.push(ends("canary", end));
    events.push(RunEvent::Parked { waiting: Vec::new(), unwatched: false });
    Story::new("interrupted", "parked", events, Vec::new())
}

/// Somebody cancelled the run.
pub(crate) fn cancelled() -> Story {
    let mut events = built();
    events.push(RunEvent::CancelRequested { actor: actor("amy"), cause: hms::event::CancelCause::Asked });
    let end = End { result: AttemptResult::Canceled, exit_code: None, signal: Some(15), ..End::default() };
    events.push(ends("canary", end));
    events.push(RunEvent::JobSkipped { job: "prod".parse().unwrap(), why: "the run was cancelled".to_owned() });
    events.push(RunEvent::RunEnded { outcome: RunOutcome::Canceled, exit_code: 130 });
    Story::new("cancelled", "ended", events, Vec::new())
}

/// A test failed, and what came after it was skipped.
pub(crate) fn failed_test() -> Story {
    let mut events = vec![created(["test", "lint", "scan"].map(job).into())];
    events.extend(starts("test"));
    let tests = Some(TestCounts { passed: 400, failed: 2, skipped: 0 });
    let message = Some("npm test: line 1".to_owned());
    events.push(ends("test", End { tests, message, duration_ms: 65_000, ..failed(FailureReason::ScriptFailure) }));
    events.extend(starts("lint"));
    events.push(ends("lint", End { exit_code: None, signal: Some(9), ..failed(FailureReason::ScriptFailure) }));
    events.push(RunEvent::JobSkipped { job: "scan".parse().unwrap(), why: "test failed".to_owned() });
    events.push(RunEvent::RunEnded { outcome: RunOutcome::Failed, exit_code: 1 });
    Story::new("failed", "ended", events, Vec::new())
}

pub(crate) fn all() -> Vec<Story> {
    vec![only_created(), running(), at_the_gate(), held(), rolled_back(), success(), interrupted(), cancelled(), failed_test()]
}
