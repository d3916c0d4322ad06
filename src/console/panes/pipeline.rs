//! The jobs: a mark, a name, what is to be said of it in words, how long it took.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::rollback::is_gone;
use crate::console::source::SourceState;
use crate::console::ui::Focus;
use crate::console::words;
use crate::event::{Arm, AttemptResult, AttemptState, FailureReason, JobState, JobStatus, RolloutState, RunState, ScanSummary, Weight};

use super::frame::{self, Focused};
use super::{Scene, columns, put};

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let (ui, view) = (scene.ui, scene.view);
    let focused = if ui.focus == Focus::Pipeline { Focused::Yes } else { Focused::No };
    let Some(run) = &view.run else {
        let inner = frame::draw(buffer, area, "Pipeline", focused, ui.theme);
        return no_run(buffer, inner, scene);
    };
    let (width, height) = (area.width.saturating_sub(2), usize::from(area.height.saturating_sub(2)));
    let rows: Vec<Vec<Row>> = run.jobs.iter().map(|job| rows(job, run, scene, width)).collect();
    let selected = run.jobs.iter().position(|job| Some(&job.plan.name) == ui.selected.job());
    let above = first(&rows, selected.unwrap_or(0), height);
    let inner = frame::draw(buffer, area, &title(&rows, above, height), focused, ui.theme);
    let mut y = 0;
    for (index, rows) in rows.iter().enumerate().skip(above) {
        for row in rows {
            if y >= inner.height {
                return;
            }
            draw_row(buffer, inner, y, row);
            if selected == Some(index) {
                buffer.set_style(Rect::new(inner.x, inner.y + y, inner.width, 1), ui.theme.selected());
            }
            y += 1;
        }
    }
}

/// The pane's name, with how many jobs lie above and below what is shown.
fn title(rows: &[Vec<Row>], above: usize, height: usize) -> String {
    let mut used = 0;
    let shown = rows.iter().skip(above).take_while(|rows| {
        used += rows.len();
        used <= height
    });
    let below = rows.len().saturating_sub(above + shown.count());
    let mut title = "Pipeline".to_owned();
    for (count, arrow) in [(above, "↑"), (below, "↓")] {
        if count > 0 {
            title = format!("{title} {arrow} {count} more");
        }
    }
    title
}

fn no_run(buffer: &mut Buffer, inner: Rect, scene: Scene<'_>) {
    let (view, theme) = (scene.view, scene.ui.theme);
    if view.state == SourceState::Loading {
        return;
    }
    put(buffer, inner, 0, 0, "no run yet", theme.strong());
    let watching = match &view.watching {
        Some(name) => format!("a commit on {} starts one", words::plain(name)),
        None => "nothing is watched".into(),
    };
    put(buffer, inner, 0, 1, &watching, Style::new());
    put(buffer, inner, 0, 2, "s starts one now", Style::new());
    for (y, run) in (4..inner.height).zip(&view.runs) {
        let text =
            format!("#{} {} {} {}", run.number, run.revision.short(), super::status::outcome(run.outcome).0, words::plain(&run.title));
        put(buffer, inner, 0, y, &text, theme.muted());
    }
}

/// The first job shown, so that the selected one is.
fn first(rows: &[Vec<Row>], selected: usize, height: usize) -> usize {
    let mut used = 0;
    let mut first = selected;
    for index in (0..=selected.min(rows.len().saturating_sub(1))).rev() {
        used += rows.get(index).map_or(0, Vec::len);
        if used > height {
            return first;
        }
        first = index;
    }
    0
}

/// One line of a job.
struct Row {
    mark: (&'static str, Style),
    text: String,
    detail: String,
    right: String,
    style: Style,
}

fn draw_row(buffer: &mut Buffer, area: Rect, y: u16, row: &Row) {
    put(buffer, area, 0, y, row.mark.0, row.mark.1);
    let end = area.width.saturating_sub(columns(&row.right));
    let room = Rect { width: end.saturating_sub(1), ..area };
    let used = 2 + put(buffer, room, 2, y, &row.text, row.style);
    put(buffer, room, used + 1, y, &row.detail, Style::new());
    put(buffer, area, end, y, &row.right, Style::new());
}

/// A job in one line, or in two when its words do not fit beside its name.
fn rows(job: &JobState, run: &RunState, scene: Scene<'_>, width: u16) -> Vec<Row> {
    let theme = scene.ui.theme;
    let mark = theme.job(job.status, job.warned());
    let again = job.attempts.len();
    let name = words::plain(job.plan.name.as_str());
    let text = if again > 1 { format!("{name} #{again}") } else { name };
    let right = took(job, scene).map_or(String::new(), words::duration);
    let detail = detail(job, run, scene);
    let strong = matches!(job.status, JobStatus::Running | JobStatus::Manual | JobStatus::Failed);
    let style = if strong { theme.strong() } else { Style::new() };
    let fits = 2 + columns(&text) + 1 + columns(&detail) + 1 + columns(&right) <= width;
    if fits || detail.is_empty() {
        return vec![Row { mark, text, detail, right, style }];
    }
    let blank = (" ", Style::new());
    let mut rows = vec![Row { mark, text, detail: String::new(), right, style }];
    let lines = words::wrap(&detail, usize::from(width.saturating_sub(3)));
    let selected = Some(&job.plan.name) == scene.ui.selected.job();
    let shown = if selected { 3 } else { 1 };
    let rest = lines.len() > shown;
    for (index, line) in lines.into_iter().take(shown).enumerate() {
        let line = if rest && index + 1 == shown { format!("{line} …") } else { line };
        rows.push(Row { mark: blank, text: line, detail: String::new(), right: String::new(), style: Style::new() });
    }
    rows
}

fn took(job: &JobState, scene: Scene<'_>) -> Option<Duration> {
    let attempt = job.attempts.last()?;
    match attempt.duration_ms {
        Some(milliseconds) if job.status.is_finished() => Some(Duration::from_millis(milliseconds)),
        _ if matches!(job.status, JobStatus::Running | JobStatus::Preparing) => Some(whole(words::between(attempt.started_at, scene.now))),
        _ => None,
    }
}

/// What runs is counted in whole seconds.
fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

fn detail(job: &JobState, run: &RunState, scene: Scene<'_>) -> String {
    let why = job.why.as_deref().map(words::plain);
    match job.status {
        JobStatus::Created => why.unwrap_or_else(|| waits_for(job, run)),
        JobStatus::WaitingForResource => why.unwrap_or_else(|| "waits for its turn".into()),
        JobStatus::Pending => "queued".into(),
        JobStatus::Preparing => "checking out".into(),
        JobStatus::Running => canary(job, run, scene).unwrap_or_else(|| "running".into()),
        JobStatus::Success => success(job, run),
        JobStatus::Failed => job.attempts.last().map_or("failed".into(), failure),
        JobStatus::Canceled => "canceled".into(),
        JobStatus::Skipped => why.map_or("skipped".into(), |why| format!("skipped: {why}")),
        JobStatus::Manual if job.gate_open => "starts".into(),
        JobStatus::Manual => "waits for a yes: P".into(),
        JobStatus::Scheduled => {
            job.starts_at.map_or("scheduled".into(), |at| format!("starts in {}", words::duration(whole(words::between(scene.now, at)))))
        }
    }
}

fn waits_for(job: &JobState, run: &RunState) -> String {
    let open = |other: &&JobState| !matches!(other.status, JobStatus::Success) && !other.warned();
    let before = match &job.plan.needs {
        Some(needs) => run.jobs.iter().filter(|other| needs.contains(&other.plan.name)).find(open),
        None => run.jobs.iter().take_while(|other| other.plan.stage != job.plan.stage).filter(open).last(),
    };
    before.map_or("waits".into(), |before| format!("after {}", words::plain(before.plan.name.as_str())))
}

fn success(job: &JobState, run: &RunState) -> String {
    if job.warned() {
        return job.deploy.as_ref().map_or("overridden".into(), |end| words::plain(&end.message));
    }
    let Some(attempt) = job.attempts.last() else {
        return "passed".into();
    };
    if let Some((_, scan)) = run.scans.iter().rev().find(|(id, _)| *id == attempt.id) {
        return scanned(scan);
    }
    let tests = attempt.tests.map(|tests| match tests.failed {
        0 => format!("{} passed", words::count(tests.passed)),
        failed => format!("{} passed, {} failed", words::count(tests.passed), words::count(failed)),
    });
    tests.into_iter().chain(attempt.coverage.map(|percent| format!("coverage {percent} %"))).collect::<Vec<_>>().join(" · ")
}

/// What a scan found at its own level and above, and what it did not look up.
fn scanned(scan: &ScanSummary) -> String {
    let bad: u64 = ["critical", "high", "medium", "low"]
        .iter()
        .scan(false, |past, level| {
            let within = !*past;
            *past = *past || *level == scan.fail_on;
            within.then(|| scan.findings.get(*level).copied().unwrap_or_default())
        })
        .sum();
    let found = format!("{} {}", words::count(bad), words::plain(&scan.fail_on));
    if scan.packages > 0 && !scan.advisories_checked {
        return format!("{found}, {} NOT CHECKED", words::several(scan.packages, "package", "packages"));
    }
    if scan.secrets > 0 { format!("{found}, {}", words::several(scan.secrets, "secret", "secrets")) } else { found }
}

fn failure(attempt: &AttemptState) -> String {
    if attempt.result == Some(AttemptResult::Interrupted) {
        return "interrupted: nobody knows how it ended".into();
    }
    let reason = match attempt.failure_reason {
        Some(FailureReason::CanaryHeld) => "held".into(),
        Some(FailureReason::CanaryHarm | FailureReason::CanaryTakenBack) => "rolled back".into(),
        Some(FailureReason::JobExecutionTimeout) => "timed out".into(),
        Some(FailureReason::Refused) => "refused".into(),
        Some(FailureReason::RunnerSystemFailure) => "could not run".into(),
        Some(FailureReason::MissingDependencyFailure) => "something it needs is gone".into(),
        Some(FailureReason::Interrupted) => "interrupted".into(),
        Some(FailureReason::ScriptFailure) | None => match (attempt.exit_code, attempt.signal) {
            (_, Some(signal)) => format!("killed by signal {signal}"),
            (Some(code), None) => format!("exit {code}"),
            (None, None) => "failed".into(),
        },
    };
    let tests =
        attempt.tests.filter(|tests| tests.failed > 0).map(|tests| format!(", {} failed", words::several(tests.failed, "test", "tests")));
    // The driver's sentence may begin with what is said already.
    let said = format!("{reason}: ");
    let message = attempt.message.as_deref().map(|message| message.strip_prefix(said.as_str()).unwrap_or(message));
    let message = message.map(|message| format!(": {}", words::plain(message)));
    format!("{reason}{}{}", tests.unwrap_or_default(), message.unwrap_or_default())
}

/// A canary job shows the weight that is in force, and its p95.
fn canary(job: &JobState, run: &RunState, scene: Scene<'_>) -> Option<String> {
    let (id, ..) = run.rollouts.iter().rev().find(|(_, _, arm, name)| *arm == Arm::Canary && *name == job.plan.name)?;
    let has_id = |rollout: &&RolloutState| rollout.created.as_ref().is_some_and(|created| &created.rollout == id);
    let rollout = scene.view.rollouts.iter().map(AsRef::as_ref).find(has_id).filter(|rollout| !is_gone(scene.view, rollout))?;
    let weight = rollout.applied.filter(|weight| *weight > Weight::ZERO)?;
    let p95 = scene.view.graph.canary.iter().rev().find_map(|point| point.p95);
    Some(p95.map_or(weight.to_string(), |p95| format!("{weight} p95 {}", words::latency(p95))))
}
