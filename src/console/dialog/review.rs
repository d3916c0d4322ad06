//! The review of a promotion: exactly what will change, what it rests on, and the way back.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use crate::console::panes::Scene;
use crate::console::source::FreezeView;
use crate::console::ui::Review;
use crate::console::update::{rollout_of, stale};
use crate::console::words;
use crate::event::{ReleaseRef, Verdict};

use super::{ROLLS_BACK, field_row, framed, row};

/// As wide as is read well.
const WIDTH: u16 = 100;
/// Where the facts stand beside their names.
const INDENT: u16 = 9;

/// A name, what is so, and how it looks.
type Fact = (&'static str, String, Style);

pub(super) fn draw(buffer: &mut Buffer, body: Rect, review: &Review, scene: Scene<'_>) -> Position {
    let theme = scene.ui.theme;
    let width = WIDTH.min(body.width.saturating_sub(4));
    let lines = wrapped(lines(review, scene), usize::from(width.saturating_sub(INDENT)));
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(3);
    let title = format!("Promote to {}", review.environment.as_str().to_uppercase());
    let bottom = format!(" Enter promotes when it matches  Esc leaves {ROLLS_BACK}");
    let inner = framed(buffer, body, (width, rows), &title, &bottom, theme.production_border());
    // A low screen keeps the field: the facts above it are cut, from the last.
    let shown = inner.height.saturating_sub(2);
    for (y, (name, text, style)) in (0..shown).zip(&lines) {
        row(buffer, inner, y, name, theme.muted());
        let right = Rect { x: inner.x + INDENT.min(inner.width), width: inner.width.saturating_sub(INDENT), ..inner };
        row(buffer, right, y, text, *style);
    }
    let field_y = inner.height.saturating_sub(2);
    let complaint = stale(review, scene.view).or_else(|| review.blocked.clone()).or_else(|| review.field.complaint.clone());
    if let Some(complaint) = complaint {
        row(buffer, inner, field_y + 1, &complaint, theme.bad());
    }
    let prompt = format!("type {} : ", words::plain(&review.to.tag));
    field_row(buffer, inner, field_y, &prompt, &review.field)
}

/// A fact is read whole, or it is not one that a yes can rest on.
fn wrapped(lines: Vec<Fact>, width: usize) -> Vec<Fact> {
    let rows = |(name, text, style): Fact| {
        let name = move |index| if index == 0 { name } else { "" };
        words::wrap(&text, width.max(1)).into_iter().enumerate().map(move |(index, line)| (name(index), line, style)).collect::<Vec<_>>()
    };
    lines.into_iter().flat_map(rows).collect()
}

fn lines(review: &Review, scene: Scene<'_>) -> Vec<Fact> {
    let (view, theme) = (scene.view, scene.ui.theme);
    let plain = Style::new();
    let strong = plain.add_modifier(Modifier::BOLD);
    let place = view.target.as_ref().map_or(String::new(), |target| format!(" at {}", words::plain(&target.name)));
    let mut lines = vec![
        ("where", format!("{}{place}", review.environment), plain),
        ("from", review.from.as_ref().map_or("nothing".into(), release), plain),
        ("to", release(&review.to), strong),
    ];
    if let Some(created) = view.run.as_ref().and_then(|run| run.created.as_ref()) {
        lines.push(("", format!("run {}  “{}”", created.number, words::plain(&created.title)), plain));
    }
    let rollout = rollout_of(view, &review.environment);
    match rollout.and_then(|rollout| rollout.verdict.as_ref()) {
        Some(verdict) => {
            let synthetic = if verdict.synthetic { "  on synthetic traffic" } else { "" };
            lines.push(("verdict", format!("{}{synthetic}  {}", verdict.class, words::plain(&verdict.reason)), strong));
            lines.push(("evidence", evidence(verdict, theme.dot()), plain));
        }
        None => lines.push(("verdict", "none known here; without PASS or an override it will be refused".into(), strong)),
    }
    if let Some((actor, why)) = rollout.and_then(|rollout| rollout.overridden.as_ref()) {
        lines.push(("override", format!("{}: {}", words::plain(&actor.login), words::plain(why)), strong));
    }
    if let Some(FreezeView::Frozen { line, .. }) =
        view.environments.iter().find(|known| known.name == review.environment).map(|known| &known.freeze)
    {
        lines.push(("freeze", format!("{}; it will be refused until somebody breaks it: hms freeze break", words::plain(line)), strong));
    }
    lines.push(("yeses", yeses(review, scene), plain));
    if let Some(text) = view.run.as_ref().and_then(|run| run.job(&review.job)?.plan.manual_confirmation.as_deref()) {
        lines.push(("asks", words::plain(text), strong));
    }
    let back = match &review.from {
        Some(from) => format!("R then means {} {} {} {}", review.environment, short(&review.to), theme.arrow(), short(from)),
        None => "none: there is nothing there yet".into(),
    };
    lines.push(("back", back, plain));
    lines
}

fn release(release: &ReleaseRef) -> String {
    let revision = release.revision.as_ref().map_or(String::new(), |revision| format!("  commit {}", revision.short()));
    format!("{}  sha256:{}{revision}", words::plain(&release.tag), release.digest.short())
}

fn short(release: &ReleaseRef) -> String {
    words::cut(&words::plain(&release.tag), 20)
}

fn evidence(verdict: &Verdict, dot: &str) -> String {
    let mut parts = vec![words::several(verdict.canary_requests, "canary request", "canary requests")];
    for metric in &verdict.metrics {
        let bad = words::count(metric.canary_bad);
        parts.push(match metric.threshold_seconds {
            Some(limit) => format!("{bad} over {}", words::latency(limit)),
            None => format!("{} {bad}", words::plain(&metric.name)),
        });
    }
    if let Some(share) = verdict.measured_share {
        parts.push(format!("measured {}", words::share(share)));
    }
    parts.join(&format!(" {dot} "))
}

fn yeses(review: &Review, scene: Scene<'_>) -> String {
    let run = scene.view.run.as_ref();
    let job = run.and_then(|run| run.jobs.iter().find(|job| job.plan.name == review.job));
    let mut given: Vec<String> =
        job.map(|job| job.yeses.iter().map(|(actor, ..)| words::plain(&actor.login)).collect()).unwrap_or_default();
    given.dedup();
    let names = if given.is_empty() { "none given".into() } else { format!("given by {}", given.join(", ")) };
    match scene.view.yeses_needed {
        Some(needed) => format!("{names}; {} needed", words::several(needed.into(), "is", "are")),
        None => names,
    }
}
