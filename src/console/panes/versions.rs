//! Which release has which share of the traffic, as the target says it, not as it was asked for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::console::rollback::{Back, Next, is_held_by_rollback};
use crate::console::source::{EnvironmentView, FreezeView, View};
use crate::console::words;
use crate::event::{DrillResult, Weight};

use super::frame::{self, Focused};
use super::{Scene, columns, put};

/// Rows with the frame.
pub(super) fn rows(view: &View) -> u16 {
    let lines: usize = view.environments.iter().map(|environment| lines(environment, view, "", "").len()).sum();
    u16::try_from(lines.max(1)).unwrap_or(u16::MAX).saturating_add(2)
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: Scene<'_>) {
    let theme = scene.ui.theme;
    let inner = frame::draw(buffer, area, "Versions", Focused::No, theme);
    let mut y = 0;
    for environment in &scene.view.environments {
        let since = environment.record.as_ref().and_then(|record| record.slot.as_ref());
        let since = since.map_or(String::new(), |slot| format!("since {}", words::time_of_day(slot.since, scene.now, scene.ui.zone)));
        for (left, right, weak) in lines(environment, scene.view, theme.arrow(), &since) {
            let style = if weak { theme.muted() } else { Style::new() };
            let at = inner.width.saturating_sub(columns(&right));
            // A share is never cut away; what only explains it may be.
            if weak && columns(&left) >= at {
                put(buffer, inner, 0, y, &left, style);
            } else {
                put(buffer, Rect { width: at.saturating_sub(1), ..inner }, 0, y, &left, style);
                put(buffer, inner, at, y, &right, style);
            }
            y += 1;
        }
    }
    if scene.view.environments.is_empty() {
        put(buffer, inner, 0, 0, "nothing observed yet", theme.muted());
    }
}

/// Left text, right text, and whether it matters less.
fn lines(environment: &EnvironmentView, view: &View, arrow: &str, since: &str) -> Vec<(String, String, bool)> {
    let name = environment.name.as_str();
    let Some(record) = &environment.record else {
        return vec![(format!("{name:<6} ?"), environment.stale.as_deref().map_or("not observed".into(), words::plain), true)];
    };
    let canary = record.weights.filter(|weights| weights.applied > Weight::ZERO);
    let stable = canary.map_or(Weight::FULL, |weights| {
        Weight::from_thousandths(Weight::FULL.thousandths() - weights.applied.thousandths()).unwrap_or(Weight::FULL)
    });
    let tag = |release: &crate::event::ReleaseRef| words::plain(&release.tag);
    let mut lines = vec![match &record.current {
        Some(current) => (format!("{name:<6} {}", tag(current)), stable.to_string(), false),
        None => (format!("{name:<6} nothing deployed"), String::new(), true),
    }];
    if let (Some(slot), Some(weights)) = (&record.slot, record.weights)
        && (canary.is_some() || weights.requested > Weight::ZERO)
    {
        let canary = if is_held_by_rollback(view, record) { "taken back".to_owned() } else { tag(&slot.release) };
        lines.push((format!("canary {canary}"), weights.applied.to_string(), false));
        let mut more = Vec::new();
        if weights.requested != weights.applied {
            more.push(format!("asked {}", weights.requested));
        }
        if let Some(measured) = environment.measured {
            more.push(format!("measured {}", words::share(measured)));
        }
        lines.push((format!("       {}", more.join(", ")), since.to_owned(), true));
    }
    match &environment.back {
        Back::To(to) => {
            let drill = record.drill.as_ref().filter(|drill| drill.release.digest == to.digest);
            let told =
                drill.map_or("", |drill| if matches!(drill.result, DrillResult::Failed { .. }) { "drill FAILED" } else { "rehearsed" });
            lines.push((format!("back   {arrow} {}", tag(to)), told.to_owned(), true));
        }
        Back::Already { next: Some(Next::Further(further)), .. } => {
            lines.push((format!("back   done; --to {}", tag(further)), String::new(), true));
        }
        Back::Already { .. } => lines.push(("back   done, no further".into(), String::new(), true)),
        Back::Nothing | Back::Unknown => {}
    }
    for drift in &environment.drift {
        lines.push((format!("DRIFT: {drift}"), String::new(), false));
    }
    match &environment.freeze {
        FreezeView::Open => {}
        FreezeView::Coming { from } => lines.push((format!("freeze {}", words::plain(from)), String::new(), true)),
        FreezeView::Frozen { until, .. } => lines.push((format!("FROZEN until {}", words::plain(until)), String::new(), false)),
    }
    if environment.stopped {
        lines.push(("STOPPED: nothing serves users".into(), String::new(), false));
    }
    if let Some(why) = &environment.stale {
        lines.push((format!("OLD: {}", words::plain(why)), String::new(), false));
    }
    lines
}
