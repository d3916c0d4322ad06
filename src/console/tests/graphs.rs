//! The graphs: their pages, the cursor, time that is shown, marks, gaps.

use chrono::TimeDelta;
use crossterm::event::KeyCode;
use insta::assert_snapshot;
use ratatui::style::Modifier;

use super::keys::press;
use super::world::{Desk, Story};
use crate::console::theme::{Colour, Glyphs};
use crate::console::ui::Focus;
use crate::event::{Estimate, Mark, MarkKind, Told, VerdictClass, Weight};

/// A canary whose evidence grows, with a step from 1 % to 5 % in the middle.
fn desk(width: u16, height: u16) -> Desk {
    let mut view = Story::mid_canary().view();
    let start = view.graph.canary[0].at;
    let at = |second: i64| start + TimeDelta::seconds(second);
    view.graph.told = (0..22_u8)
        .map(|step| {
            let part = f64::from(step) / 22.0;
            let error_rate = Some(Estimate { value: Some(0.005), low: 0.0, high: Some(0.05 - 0.045 * part) });
            let to_rollback = if step > 14 { 0.3 * part } else { 0.0 };
            Told { at: at(i64::from(step) * 5), class: VerdictClass::Hold, to_rollback, to_pass: part, error_rate }
        })
        .collect();
    let weight = |thousandths| MarkKind::Weight(Weight::from_thousandths(thousandths).unwrap());
    view.graph.marks = vec![
        Mark { at: at(0), kind: weight(10) },
        Mark { at: at(55), kind: MarkKind::Verdict(VerdictClass::Pass) },
        Mark { at: at(60), kind: weight(50) },
    ];
    Desk::new(view, width, height).with_log("hms: attempt 1 of canary\n")
}

fn keys(desk: &mut Desk, keys: &str) {
    keys.chars().for_each(|c| press(desk, KeyCode::Char(c)));
}

#[test]
fn every_page_and_all_of_them_at_once() {
    let mut one = desk(120, 36);
    keys(&mut one, "v");
    assert_snapshot!("graphs_traffic_120x36", one.text());
    keys(&mut one, "v");
    assert_snapshot!("graphs_evidence_120x36", one.text());
    keys(&mut one, "v");
    for (width, height) in [(80, 24), (120, 36)] {
        let mut all = desk(width, height);
        press(&mut all, KeyCode::Tab);
        press(&mut all, KeyCode::Tab);
        keys(&mut all, "z");
        for _ in 0..6 {
            press(&mut all, KeyCode::Left);
        }
        assert_snapshot!(format!("graphs_all_{width}x{height}"), all.text());
    }
}

#[test]
fn the_cursor_reads_values_and_is_seen_without_colour() {
    let mut one = desk(120, 36);
    one.ui.theme.colour = Colour::No;
    press(&mut one, KeyCode::Tab);
    press(&mut one, KeyCode::Tab);
    assert_eq!(one.ui.focus, Focus::Graphs);
    press(&mut one, KeyCode::Left);
    let cursor = one.ui.graphs.cursor.unwrap();
    assert!(one.view.graph.canary.iter().any(|point| point.at == cursor), "it stands on a sample");
    let text = one.text();
    let reads = format!("p95 {}", cursor.format("%H:%M:%S"));
    assert!(text.contains(&reads), "{reads}: {text}");
    let reversed = one.screen().buffer.content.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED)).count();
    assert!(reversed >= 12, "a column of both graphs: {reversed}");
    // In the gap there is nothing to read, and it says so.
    one.ui.graphs.cursor = Some(one.view.graph.canary[9].at);
    assert!(one.text().contains("canary no data"), "{}", one.text());
    press(&mut one, KeyCode::Esc);
    assert_eq!(one.ui.graphs.cursor, None);
    assert!(one.effects.is_empty(), "nothing was asked for: {:?}", one.effects);
}

/// A canary of some seconds is not drawn at the edge of two minutes of nothing.
#[test]
fn a_short_canary_has_the_width_of_its_graph() {
    let mut one = desk(120, 36);
    let newest = one.view.graph.canary.last().unwrap().at;
    for points in [&mut one.view.graph.canary, &mut one.view.graph.stable] {
        points.retain(|point| newest - point.at <= TimeDelta::seconds(20));
    }
    one.view.graph.marks.clear();
    one.show(one.view.clone());
    assert!(one.text().contains("-30s"), "{}", one.text());
}

#[test]
fn time_is_panned_and_zoomed_and_comes_back_to_now() {
    let mut one = desk(120, 36);
    // Four hours of points every half minute.
    let newest = one.view.graph.canary.last().unwrap().at;
    let points: Vec<_> = (0..480)
        .map(|step| crate::console::GraphPoint { at: newest - TimeDelta::seconds(30 * (479 - step)), ..one.view.graph.canary[0] })
        .collect();
    one.view.graph.canary.clone_from(&points);
    one.view.graph.stable = points;
    one.show(one.view.clone());
    assert!(one.text().contains("-1h"), "{}", one.text());
    keys(&mut one, "-");
    assert!(one.text().contains("-4h"), "{}", one.text());
    keys(&mut one, "+++");
    assert!(one.text().contains("-5m"), "{}", one.text());
    press(&mut one, KeyCode::Tab);
    press(&mut one, KeyCode::Tab);
    press(&mut one, KeyCode::PageUp);
    let end = one.ui.graphs.end.unwrap();
    assert_eq!(newest - end, TimeDelta::seconds(150));
    // A view that grows does not move what is looked at.
    one.show(one.view.clone());
    assert_eq!(one.ui.graphs.end, Some(end));
    press(&mut one, KeyCode::Home);
    assert_eq!(one.ui.graphs.cursor, Some(one.view.graph.canary[0].at));
    for _ in 0..600 {
        press(&mut one, KeyCode::Right);
    }
    assert_eq!((one.ui.graphs.cursor, one.ui.graphs.end), (None, None), "past the newest it follows again");
    press(&mut one, KeyCode::PageUp);
    press(&mut one, KeyCode::End);
    assert_eq!(one.ui.graphs.end, None);
}

#[test]
fn marks_and_gaps_are_there_in_ascii_too() {
    let mut one = desk(120, 36);
    one.ui.theme.glyphs = Glyphs::Ascii;
    let text = one.text();
    assert!(text.contains("PASS") && text.contains(':') && text.is_ascii(), "{text}");
}

#[test]
fn nothing_about_the_graphs_ticks() {
    let mut one = desk(120, 36);
    press(&mut one, KeyCode::Tab);
    press(&mut one, KeyCode::Tab);
    press(&mut one, KeyCode::Left);
    let before = one.screen();
    let mut view = one.view.clone();
    // Without a running job nothing ages.
    view.run = None;
    one.show(view);
    assert_eq!(crate::console::update::deadline(&one.ui, &one.view, one.now), None);
    assert!(before.cursor.is_none());
}
