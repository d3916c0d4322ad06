//! A fixed world: one run with one canary, told as journals, cut at named moments.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use ratatui::layout::Size;

use crate::console::log::Log;
use crate::console::message::{Effect, Message, Moment};
use crate::console::panes;
use crate::console::replay::Replay;
use crate::console::source::{Access, EngineLife, Graph, GraphPoint, Source, View};
use crate::console::theme::Theme;
use crate::console::ui::Ui;
use crate::console::update::update;
use crate::event::{
    Actor, Arm, AttemptId, AttemptResult, DeployOutcome, Digest, FailureReason, MetricEvidence, PlannedJob, ProcessName, ReleaseRef,
    RolloutCreated, RolloutEvent, RolloutKind, RolloutOutcome, RolloutState, RunCreated, RunEvent, RunOutcome, ScanSummary, Stamped, Step,
    TargetIdentity, TestCounts, Verdict, VerdictClass, Weight, When,
};

pub(super) const RUN: &str = "01KATE0000000000000000RNN1";
pub(super) const ROLLOUT: &str = "01KATE000000000000000RQXX1";
pub(super) const BACK: &str = "01KATE000000000000000RQXX2";
pub(super) const NEW: &str = "8c4f2d3e1b0a49f6a7c25d8e3f1b2a4c5d6e7f80";

/// Seconds into the story.
pub(super) fn at(second: i64) -> DateTime<Utc> {
    "2026-11-24T16:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(second)
}

pub(super) fn actor(login: &str) -> Actor {
    Actor { uid: 1000, login: login.into(), host: "jump".into(), tty: Some("/dev/pts/3".into()), ssh_client: None, via: "hms".into() }
}

pub(super) fn release(tag: &str, revision: &str) -> ReleaseRef {
    ReleaseRef {
        digest: Digest::of(tag.as_bytes()),
        revision: Some(revision.parse().unwrap()),
        tag: tag.into(),
        tag_object: None,
        run: Some(RUN.parse().unwrap()),
    }
}

pub(super) fn new_release() -> ReleaseRef {
    release("v1.42.0", NEW)
}

pub(super) fn old_release() -> ReleaseRef {
    release("v1.41.0", "71aa0c9d5e4f3021b6a7988c7d6e5f4a3b2c1d0e")
}

fn process() -> ProcessName {
    ProcessName { pid: 4711, start_ticks: 99, boot_id: "b".into() }
}

fn planned(name: &str, needs: Option<&[&str]>, when: When, environments: &[&str]) -> PlannedJob {
    PlannedJob {
        name: name.parse().unwrap(),
        base_name: name.into(),
        stage: name.into(),
        needs: needs.map(|needs| needs.iter().map(|need| need.parse().unwrap()).collect()),
        when,
        allow_failure: false,
        allow_failure_exit_codes: Vec::new(),
        environments: environments.iter().map(|name| name.parse().unwrap()).collect(),
        blocking: when == When::Manual,
        manual_confirmation: None,
    }
}

/// Events with their place and time.
pub(super) struct Journal<E>(pub(super) Vec<Stamped<E>>);

impl<E> Journal<E> {
    fn new() -> Self {
        Self(Vec::new())
    }
    pub(super) fn add(&mut self, second: i64, event: E) {
        let seq = u64::try_from(self.0.len()).unwrap() + 1;
        self.0.push(Stamped { format: 1, seq, time: at(second), event });
    }
}

pub(super) struct Story {
    pub(super) run: Journal<RunEvent>,
    pub(super) rollouts: Vec<Journal<RolloutEvent>>,
}

fn id(job: &str) -> AttemptId {
    AttemptId::new(&RUN.parse().unwrap(), &job.parse().unwrap(), 1)
}

impl Story {
    /// The run exists.
    pub(super) fn begun() -> Self {
        let mut run = Journal::new();
        run.add(
            0,
            RunEvent::RunCreated(Box::new(RunCreated {
                before: None,
                config_path: None,
                run: RUN.parse().unwrap(),
                number: 42,
                app: "irs-api".parse().unwrap(),
                revision: NEW.parse().unwrap(),
                ref_name: Some("main".into()),
                ref_type: Some(crate::event::RefType::Branch),
                tag: "v1.42.0".into(),
                title: "hot-fix: prevent negative credit".into(),
                source: "push".into(),
                actor: actor("anna"),
                repository: "/srv/irs-api".into(),
                jobs: vec![
                    planned("build", None, When::OnSuccess, &[]),
                    planned("test", None, When::OnSuccess, &[]),
                    planned("scan", None, When::OnSuccess, &[]),
                    planned("canary", Some(&["scan"]), When::OnSuccess, &["canary"]),
                    planned("prod", Some(&["canary"]), When::Manual, &["prod"]),
                ],
                notices: Vec::new(),
                variables: BTreeMap::new(),
                masked: Vec::new(),
                variable_file: None,
                pass_env: Vec::new(),
                dirty: false,
                protected: None,
                no_linger: false,
                concurrency: None,
            })),
        );
        run.add(0, RunEvent::EngineStarted { engine: process(), program: "0.1.0".into() });
        Self { run, rollouts: Vec::new() }
    }

    fn start(&mut self, job: &str, second: i64) {
        let guarded = matches!(job, "canary" | "prod");
        self.run.add(second, RunEvent::AttemptStarting { job: job.parse().unwrap(), attempt: id(job), number: 1, guarded });
        self.run.add(second, RunEvent::AttemptStarted { attempt: id(job), keeper: process() });
    }

    fn end(&mut self, job: &str, second: i64, seconds: u64, exit: i32, tests: Option<TestCounts>, reason: Option<FailureReason>) {
        let result = if exit == 0 { AttemptResult::Success } else { AttemptResult::Failed };
        self.run.add(
            second,
            RunEvent::AttemptEnded {
                job: job.parse().unwrap(),
                attempt: id(job),
                result,
                exit_code: Some(exit),
                signal: None,
                failure_reason: reason,
                duration_ms: seconds * 1000,
                tests,
                message: (exit != 0 && reason == Some(FailureReason::ScriptFailure)).then(|| "`npm test` exited with 1".into()),
                again: false,
                coverage: None,
            },
        );
    }

    /// build, test, scan went well.
    pub(super) fn built() -> Self {
        let mut story = Self::begun();
        story.start("build", 1);
        story.end("build", 73, 72, 0, None, None);
        story.start("test", 74);
        story.end("test", 197, 123, 0, Some(TestCounts { passed: 402, failed: 0, skipped: 3 }), None);
        story.start("scan", 198);
        story.run.add(
            206,
            RunEvent::ScanReported {
                attempt: id("scan"),
                summary: ScanSummary {
                    fail_on: "high".into(),
                    clean: true,
                    findings: BTreeMap::new(),
                    secrets: 0,
                    files: 812,
                    packages: 0,
                    advisories_checked: false,
                    report_sha256: Digest::of(b"report"),
                    scanned: BTreeMap::new(),
                },
            },
        );
        story.end("scan", 207, 9, 0, None, None);
        story
    }

    /// The canary has 1 % and is watched; HOLD.
    pub(super) fn mid_canary() -> Self {
        let mut story = Self::built();
        story.start("canary", 210);
        story.run.add(211, RunEvent::ReleaseMade { release: new_release(), files: 120, bytes: 4_000_000 });
        story.run.add(
            211,
            RunEvent::RolloutLinked {
                job: "canary".parse().unwrap(),
                rollout: ROLLOUT.parse().unwrap(),
                environment: "prod".parse().unwrap(),
                arm: Arm::Canary,
            },
        );
        let mut rollout = Journal::new();
        rollout.add(211, RolloutEvent::RolloutCreated(Box::new(created(ROLLOUT, RolloutKind::Release, new_release(), old_release()))));
        rollout.add(211, RolloutEvent::DriverStarted { driver: process() });
        rollout.add(211, RolloutEvent::SlotTaken { previous: None });
        rollout.add(212, RolloutEvent::StepBegan { step: Step::Start, fence: 7, intent_seq: Some(101) });
        rollout.add(214, RolloutEvent::ReleaseHealthy { duration_ms: 1800 });
        rollout.add(214, RolloutEvent::StepBegan { step: Step::Weigh, fence: 8, intent_seq: Some(103) });
        let weight = Weight::from_thousandths(10).unwrap();
        rollout.add(215, RolloutEvent::WeightApplied { requested: weight, applied: weight });
        rollout.add(
            215,
            RolloutEvent::WatchStarted {
                weight,
                threshold_seconds: Some(0.25),
                slow_share: Some(0.05),
                absolute_only: false,
                canary_version: "v1.42.0".into(),
                stable_version: Some("v1.41.0".into()),
                next: None,
                own: Vec::new(),
            },
        );
        rollout.add(330, RolloutEvent::VerdictReached { verdict: verdict(VerdictClass::Hold, 212, "212 of 299 requests", Some(170)) });
        story.rollouts.push(rollout);
        story
    }

    /// PASS; the gate waits.
    pub(super) fn at_gate() -> Self {
        let mut story = Self::mid_canary();
        let reason = "errors and latency are within the SLO and no worse than stable's";
        story.rollouts[0].add(520, RolloutEvent::VerdictReached { verdict: verdict(VerdictClass::Pass, 4912, reason, None) });
        story.deploy_ended(521, DeployOutcome::Done, "1% traffic healthy");
        story.end("canary", 521, 311, 0, None, None);
        story.run.add(522, RunEvent::GateReached { job: "prod".parse().unwrap() });
        story
    }

    fn deploy_ended(&mut self, second: i64, outcome: DeployOutcome, message: &str) {
        self.run
            .add(second, RunEvent::DeployEnded { job: "canary".parse().unwrap(), attempt: id("canary"), outcome, message: message.into() });
    }

    /// HOLD for too long.
    pub(super) fn held() -> Self {
        let mut story = Self::mid_canary();
        let verdict = verdict(VerdictClass::Hold, 260, "260 of 299 requests in 30 min", None);
        story.rollouts[0].add(2015, RolloutEvent::HoldExpired { verdict });
        story.deploy_ended(2015, DeployOutcome::Held, "on HOLD for 30 min");
        story.end("canary", 2016, 1806, 11, None, Some(FailureReason::CanaryHeld));
        story
    }

    /// Harm was proven.
    pub(super) fn rolled_back() -> Self {
        let mut story = Self::mid_canary();
        let reason = "errors: 19 of 240 canary requests failed, 31 of 23,800 of stable's";
        let rollout = &mut story.rollouts[0];
        rollout.add(360, RolloutEvent::VerdictReached { verdict: verdict(VerdictClass::Rollback, 240, reason, None) });
        rollout.add(360, RolloutEvent::StepBegan { step: Step::Withdraw, fence: 9, intent_seq: Some(105) });
        let weight = Weight::ZERO;
        rollout.add(361, RolloutEvent::WeightApplied { requested: weight, applied: weight });
        rollout.add(361, RolloutEvent::RolledBack { to: Some(old_release()), reason: reason.into() });
        rollout.add(361, RolloutEvent::RolloutEnded { outcome: RolloutOutcome::RolledBack });
        story.deploy_ended(362, DeployOutcome::RolledBack, reason);
        story.end("canary", 362, 152, 12, None, Some(FailureReason::CanaryHarm));
        story.run.add(363, RunEvent::RunEnded { outcome: RunOutcome::RolledBack, exit_code: 12 });
        story
    }

    /// The new release has all the traffic.
    pub(super) fn promoted() -> Self {
        let mut story = Self::at_gate();
        story.start("prod", 600);
        let rollout = &mut story.rollouts[0];
        rollout.add(601, RolloutEvent::StepBegan { step: Step::Promote, fence: 9, intent_seq: Some(109) });
        rollout.add(602, RolloutEvent::WeightApplied { requested: Weight::FULL, applied: Weight::FULL });
        rollout.add(602, RolloutEvent::Promoted);
        rollout.add(602, RolloutEvent::RolloutEnded { outcome: RolloutOutcome::Promoted });
        story.end("prod", 603, 3, 0, None, None);
        story.run.add(604, RunEvent::RunEnded { outcome: RunOutcome::Success, exit_code: 0 });
        story
    }

    /// A rollback of production counts down.
    pub(super) fn armed() -> Self {
        let mut story = Self::promoted();
        let mut back = Journal::new();
        back.add(700, RolloutEvent::RolloutCreated(Box::new(created(BACK, RolloutKind::Rollback, old_release(), new_release()))));
        back.add(700, RolloutEvent::RollbackArmed { from: new_release(), to: old_release(), fires_at: at(703) });
        story.rollouts.push(back);
        story
    }

    /// The tests failed.
    pub(super) fn failed() -> Self {
        let mut story = Self::begun();
        story.start("build", 1);
        story.end("build", 73, 72, 0, None, None);
        story.start("test", 74);
        story.end("test", 90, 16, 1, Some(TestCounts { passed: 400, failed: 2, skipped: 0 }), Some(FailureReason::ScriptFailure));
        for job in ["scan", "canary", "prod"] {
            story.run.add(91, RunEvent::JobSkipped { job: job.parse().unwrap(), why: "test failed".into() });
        }
        story.run.add(91, RunEvent::RunEnded { outcome: RunOutcome::Failed, exit_code: 1 });
        story
    }

    pub(super) fn replay(&self) -> Replay {
        let rollouts = self.rollouts.iter().map(|rollout| rollout.0.clone()).collect();
        Replay::new(self.run.0.clone(), rollouts, BTreeMap::<_, PathBuf>::new(), Box::new(graph))
    }

    /// What a live console would show at the end of the journals.
    pub(super) fn view(&self) -> View {
        live(self.replay().view())
    }
}

/// The same view, of the present.
pub(super) fn live(view: View) -> View {
    let mut view = View { access: Access::Full, at: None, yeses_needed: Some(1), watching: Some("main".into()), ..view };
    view.policy_hash = Some(Digest::of(b"policy"));
    if view.environments.is_empty() {
        let mut record = crate::event::EnvironmentRecord::empty("irs-api".parse().unwrap(), "prod".parse().unwrap());
        record.current = Some(old_release());
        record.healthy = vec![old_release(), release("v1.40.2", "5d8e1f0a5e4f3021b6a7988c7d6e5f4a3b2c1d0e")];
        view.environments = vec![crate::console::EnvironmentView::of(record)];
    }
    for environment in &mut view.environments {
        environment.measured = environment.record.as_ref().and_then(|record| record.slot.as_ref()).map(|_| 0.0104);
    }
    if view.run.as_ref().is_none_or(|run| run.ended.is_some()) {
        view.engine = EngineLife::Ended;
    }
    view.target = Some(target());
    view
}

pub(super) fn target() -> TargetIdentity {
    TargetIdentity { kind: "kubernetes".into(), id: "uid".into(), name: "onprem-east/irs".into() }
}

pub(super) fn created(id: &str, kind: RolloutKind, release: ReleaseRef, previous: ReleaseRef) -> RolloutCreated {
    RolloutCreated {
        rollout: id.parse().unwrap(),
        kind,
        app: "irs-api".parse().unwrap(),
        environment: "prod".parse().unwrap(),
        target: target(),
        release,
        previous: Some(previous),
        run: (kind == RolloutKind::Release).then(|| RUN.parse().unwrap()),
        policy_hash: Digest::of(b"policy"),
        actor: actor("anna"),
        reason: None,
        supersedes: None,
        allow_outdated: None,
    }
}

pub(super) fn verdict(class: VerdictClass, requests: u64, reason: &str, forecast_seconds: Option<u64>) -> Verdict {
    let metric = |name: &str, threshold_seconds, canary_bad| MetricEvidence {
        name: name.into(),
        slo: 0.01,
        threshold_seconds,
        canary_bad,
        stable_bad: 31,
        harm_ln: -1.0,
        abs_ln: 2.0,
        passed: class == VerdictClass::Pass,
        harmed: class == VerdictClass::Rollback,
        detail: None,
    };
    Verdict {
        class,
        reason: reason.into(),
        canary_requests: requests,
        stable_requests: requests * 99,
        floor: 299,
        forecast_seconds,
        synthetic: false,
        measured_share: Some(0.0104),
        metrics: vec![metric("errors", None, 1), metric("latency", Some(0.25), 3)],
        forecast: Vec::new(),
    }
}

/// Numbers that look like a service's, with a gap in the canary's.
fn graph(rollout: &RolloutState) -> Graph {
    let Some(start) = rollout.watch_started_at else {
        return Graph::default();
    };
    let points = |base: f64, swing: f64, gap: bool, requests: u64| -> Vec<GraphPoint> {
        (1..=24)
            .map(|step: i32| {
                let wave = swing * (f64::from(step) * 0.7).sin();
                let silent = gap && (9..12).contains(&step);
                GraphPoint {
                    at: start + TimeDelta::seconds(i64::from(step) * 5),
                    p95: (!silent).then_some(base + wave),
                    p95_at_least: false,
                    error_rate: (!silent).then_some(if step % 6 == 0 { 0.004 } else { 0.0 }),
                    requests: if silent { 0 } else { requests },
                    seconds: 5.0,
                }
            })
            .collect()
    };
    Graph {
        canary: points(0.110, 0.02, true, 10),
        stable: points(0.108, 0.008, false, 990),
        slo_p95: Some(0.25),
        slow_above: Some(0.25),
        slo_errors: Some(0.01),
        floor: Some(299),
        told: rollout.course.told.clone(),
        marks: rollout.course.marks.clone(),
    }
}

/// A console at rest, looked at and typed into by hand.
pub(super) struct Desk {
    pub(super) ui: Ui,
    pub(super) view: View,
    pub(super) now: Moment,
    pub(super) effects: Vec<Effect>,
}

impl Desk {
    pub(super) fn new(view: View, width: u16, height: u16) -> Self {
        let zone = FixedOffset::east_opt(0).unwrap();
        let ended = view.run.as_ref().and_then(|run| run.last_at);
        let last = ended.into_iter().chain(view.rollouts.iter().filter_map(|rollout| {
            if let crate::event::RolloutPhase::Armed { fires_at, .. } = &rollout.phase {
                Some(*fires_at - TimeDelta::milliseconds(2400))
            } else {
                rollout.verdict_at
            }
        }));
        let wall = last.max().unwrap_or(at(0)) + TimeDelta::milliseconds(200);
        let now = Moment { monotonic: std::time::Duration::from_secs(100), wall };
        let mut desk = Self { ui: Ui::new(Size::new(width, height), Theme::default(), zone), view, now, effects: Vec::new() };
        desk.tell(Message::Changed);
        desk.tell(Message::Drawn);
        desk.effects.clear();
        desk
    }

    pub(super) fn with_log(mut self, text: &str) -> Self {
        let job = self.ui.selected.job().unwrap().clone();
        self.tell(Message::LogOpened(job, Ok(Some(Log::new(Box::new(text.as_bytes().to_vec()))))));
        self
    }

    pub(super) fn tell(&mut self, message: Message) {
        let effects = update(&mut self.ui, &self.view, message, self.now);
        for effect in effects {
            // Work in pieces is done at once.
            if effect == Effect::Continue {
                self.tell(Message::Tick);
            } else {
                self.effects.push(effect);
            }
        }
    }

    pub(super) fn show(&mut self, view: View) {
        self.view = view;
        self.tell(Message::Changed);
        self.tell(Message::Drawn);
    }

    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.now.monotonic += std::time::Duration::from_millis(milliseconds);
        self.now.wall += TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap());
    }

    pub(super) fn screen(&self) -> panes::Screen {
        panes::render(&self.ui, &self.view, self.now.wall)
    }

    /// The screen as lines of text.
    pub(super) fn text(&self) -> String {
        text(&self.screen())
    }

    pub(super) fn sent(&mut self) -> Vec<crate::console::Request> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send(_, request) => Some((**request).clone()),
            Effect::OpenLog(_) | Effect::Continue | Effect::Suspend | Effect::Leave(_) => None,
        });
        let sent = sent.collect();
        self.effects.clear();
        sent
    }
}

pub(super) fn text(screen: &panes::Screen) -> String {
    let area = screen.buffer.area;
    let mut text = String::new();
    for y in area.top()..area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in area.left()..area.right() {
            let symbol = screen.buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
            }
            skip = unicode_width::UnicodeWidthStr::width(symbol).max(skip).saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A rollout state changed in place, for what the story does not tell.
pub(super) fn change_rollout(view: &mut View, index: usize, change: impl FnOnce(&mut RolloutState)) {
    change(Arc::make_mut(&mut view.rollouts[index]));
}
