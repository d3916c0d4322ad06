//! What a person sees. Each snapshot was read before it was kept.

use crossterm::event::KeyCode;
use insta::assert_snapshot;
use ratatui::style::{Color, Modifier};

use super::keys::press;
use super::world::{Desk, Story, at, change_rollout, live, new_release, old_release};
use crate::console::live::Leaving;
use crate::console::rollback::{Back, Next};
use crate::console::source::{EngineLife, EnvironmentView, SourceState, View};
use crate::console::theme::{Colour, Glyphs};
use crate::event::{EnvironmentRecord, Weight};

const LOG: &str = "\x1b[36mhms:\x1b[0m attempt 1 of canary\n$ hms-deploy --env canary --traffic 1%\n\
    route irs-api accepted, weight 99:1\nrollout complete: 1 of 1 available\n\x1b[31merror:\x1b[0m one request in 212 failed\n\
    watching: 212 of 299 requests, errors 0.4 %, p95 110 ms against stable's 108 ms over the same intervals, nothing to see here\n";

fn canary(width: u16, height: u16) -> Desk {
    Desk::new(Story::mid_canary().view(), width, height).with_log(LOG)
}

#[test]
fn the_middle_of_a_canary() {
    assert_snapshot!("mid_canary_80x24", canary(80, 24).text());
    assert_snapshot!("mid_canary_120x36", canary(120, 36).text());
    assert_snapshot!("mid_canary_200x50", canary(200, 50).text());
}

#[test]
fn a_gate_with_pass() {
    assert_snapshot!("at_gate_80x24", Desk::new(Story::at_gate().view(), 80, 24).with_log(LOG).text());
}

#[test]
fn rolled_back_held_and_failed() {
    assert_snapshot!("rolled_back_80x24", Desk::new(Story::rolled_back().view(), 80, 24).text());
    assert_snapshot!("held_80x24", Desk::new(Story::held().view(), 80, 24).text());
    assert_snapshot!("failed_job_80x24", Desk::new(Story::failed().view(), 80, 24).with_log("not ok 7\n").text());
}

#[test]
fn the_review_of_a_promotion() {
    let mut desk = Desk::new(Story::at_gate().view(), 80, 24);
    press(&mut desk, KeyCode::Char('P'));
    assert_snapshot!("review_80x24", desk.text());
    assert!(desk.screen().cursor.is_some());
}

#[test]
fn the_banner_of_a_rollback() {
    assert_snapshot!("armed_80x24", Desk::new(Story::armed().view(), 80, 24).text());
}

#[test]
fn the_help() {
    let mut desk = canary(100, 40);
    press(&mut desk, KeyCode::Char('?'));
    assert_snapshot!("help_100x40", desk.text());
}

#[test]
fn the_help_says_what_leaving_ends() {
    let leaving_says = |leaving: Leaving| {
        let mut desk = canary(100, 40);
        desk.ui.leaving = leaving;
        press(&mut desk, KeyCode::Char('?'));
        let text = desk.text();
        let line = text.lines().find(|line| line.contains(" q ") && line.contains("leave;")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("nothing is said of q:\n{text}"))
    };
    assert!(leaving_says(Leaving::RunGoesOn).contains("leave; the run goes on"));
    let demo = leaving_says(Leaving::DemoEnds);
    assert!(demo.contains("the demo ends, and all that it made is removed") && !demo.contains("goes on"), "{demo}");
}

#[test]
fn questions_and_fields() {
    let mut desk = canary(80, 24);
    press(&mut desk, KeyCode::Char('A'));
    assert_snapshot!("abort_80x24", desk.text());
    press(&mut desk, KeyCode::Esc);
    press(&mut desk, KeyCode::Char('/'));
    assert_snapshot!("search_80x24", desk.text());
}

#[test]
fn nothing_yet() {
    assert_snapshot!("loading_80x24", Desk::new(View::default(), 80, 24).text());
    let view = View { state: SourceState::Ready, repository: "irs-api".into(), ..View::default() };
    assert_snapshot!("no_run_80x24", Desk::new(live(view), 80, 24).text());
}

#[test]
fn small_screens() {
    assert_snapshot!("mid_canary_60x16", canary(60, 16).text());
    assert_snapshot!("mid_canary_40x10", canary(40, 10).text());
    assert_snapshot!("mid_canary_20x5", canary(20, 5).text());
    assert_eq!(canary(1, 1).text(), "…\n");
    assert_eq!(canary(0, 0).text(), "");
}

#[test]
fn ascii_alone() {
    let mut desk = canary(80, 24);
    desk.ui.theme.glyphs = Glyphs::Ascii;
    let text = desk.text();
    assert_snapshot!("mid_canary_ascii_80x24", text);
}

#[test]
fn what_must_not_be_overlooked_stands_before_the_reason() {
    let mut view = Story::mid_canary().view();
    view.unwatched_since = Some(at(300));
    view.engine = EngineLife::Dead;
    change_rollout(&mut view, 0, |rollout| {
        rollout.unrecorded = true;
        rollout.paused = Some((super::world::actor("kim"), None));
        rollout.requested = Some(Weight::from_thousandths(50).unwrap());
        rollout.verdict.as_mut().unwrap().synthetic = true;
    });
    let text = Desk::new(view, 240, 24).text();
    let line = text.lines().find(|line| line.starts_with(" HOLD")).unwrap();
    let places: Vec<_> = [
        "HOLD",
        "synthetic traffic",
        "PAUSED by kim",
        "asked 5%, in force 1%",
        "UNWATCHED since 16:05",
        "UNRECORDED",
        "ENGINE DIED",
        "nobody drives this run: r goes on",
    ]
    .iter()
    .map(|part| line.find(part).unwrap_or_else(|| panic!("{part}: {line}")))
    .collect();
    assert!(places.is_sorted(), "{line}");
}

#[test]
fn an_environment_that_was_rolled_back_says_so_and_what_lies_further_back() {
    let mut record = EnvironmentRecord::empty("irs-api".parse().unwrap(), "prod".parse().unwrap());
    assert_eq!(Back::of(&record), Back::Nothing);
    record.current = Some(new_release());
    record.origin = Some(old_release());
    assert_eq!(Back::of(&record), Back::To(old_release()));
    record.returned_to = Some(new_release().digest);
    assert_eq!(Back::of(&record), Back::Already { at: new_release(), next: Some(Next::Further(old_release())) });
    // What somebody's --to passed over is not further back, and what it went from is named when nothing is.
    let mut far = EnvironmentRecord { healthy: vec![old_release(), new_release()], origin: None, ..record.clone() };
    far.previous = Some(old_release());
    assert_eq!(Back::of(&far), Back::Already { at: new_release(), next: Some(Next::Before(old_release())) });
    let mut view = Story::built().view();
    view.environments = vec![EnvironmentView::of(record)];
    let text = Desk::new(view, 120, 24).text();
    assert!(text.contains("R already reverted to v1.42.0; further back: --to v1.41.0"), "{text}");
}

#[test]
fn names_from_outside_cannot_turn_the_screen_around() {
    let mut story = Story::mid_canary();
    if let crate::event::RunEvent::RunCreated(created) = &mut story.run.0[0].event {
        created.title = "a\u{1b}[2J\u{202e}b\nc".into();
    }
    let text = Desk::new(story.view(), 120, 24).text();
    assert!(text.contains("“a⟨U+202E⟩b c”"), "{text}");
}

/// Colours are not in snapshots.
#[test]
fn without_colour_bold_and_reverse_still_speak() {
    let mut desk = Desk::new(Story::armed().view(), 120, 36).with_log(LOG);
    desk.ui.theme.colour = Colour::No;
    let screen = desk.screen();
    let cells = &screen.buffer.content;
    assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    for modifier in [Modifier::REVERSED, Modifier::BOLD] {
        assert!(cells.iter().any(|cell| cell.modifier.contains(modifier)), "{modifier:?}");
    }
}

#[test]
fn our_own_colours_are_the_two_that_read_on_black_and_on_white() {
    for story in [Story::mid_canary(), Story::armed(), Story::rolled_back(), Story::at_gate()] {
        let screen = Desk::new(story.view(), 120, 36).screen();
        for cell in &screen.buffer.content {
            assert!(matches!(cell.fg, Color::Reset | Color::Indexed(25 | 166)), "{cell:?}");
            assert_eq!(cell.bg, Color::Reset);
        }
    }
}

#[test]
fn production_is_marked() {
    let screen = canary(80, 24).screen();
    let word = (0..80).map(|x| &screen.buffer[(x, 0)]).filter(|cell| cell.modifier.contains(Modifier::REVERSED));
    let word: String = word.map(ratatui::buffer::Cell::symbol).collect();
    assert_eq!(word.trim(), "PROD v1.41.0");
}

fn with_notices(texts: &[&str]) -> View {
    let mut story = Story::mid_canary();
    if let crate::event::RunEvent::RunCreated(created) = &mut story.run.0[0].event {
        created.notices = texts.iter().map(|text| (*text).into()).collect();
    }
    story.view()
}

#[test]
fn what_is_to_be_known_of_a_run_stands_under_the_header_and_whole_behind_a_key() {
    let dirty = "uncommitted changes are not in this run: it builds 8c4f2d3e";
    let image = "no container engine is configured, so `image:` is not honoured: build, test, scan, canary and prod-of-the-east run in this host's shell";
    let view = with_notices(&[dirty, image, dirty]);
    for (width, height) in [(80, 24), (120, 36)] {
        let mut desk = Desk::new(view.clone(), width, height);
        let text = desk.text();
        let row = text.lines().nth(1).unwrap();
        assert!(row.contains(&format!("! {dirty}")) && row.ends_with("i 2 notices"), "{text}");
        // Nothing of the panes is lost behind it.
        for pane in ["┌ Pipeline", "Versions", "HOLD", "R canary 1 % → 0"] {
            assert!(text.contains(pane), "{pane}: {text}");
        }
        press(&mut desk, KeyCode::Char('i'));
        let whole: String = desk.text().lines().map(|line| line.trim_matches([' ', '│', '┌', '└'])).collect::<Vec<_>>().join(" ");
        for end in [dirty, "`image:` is not honoured", "prod-of-the-east", "host's shell"] {
            assert!(whole.contains(end), "{end}: {}", desk.text());
        }
        press(&mut desk, KeyCode::Esc);
        assert!(!desk.text().contains("┌ Notices"), "{}", desk.text());
    }
    assert!(!Desk::new(Story::mid_canary().view(), 80, 24).text().contains("notice"));
}

#[test]
fn a_long_list_is_scrolled_by_pages_and_back_at_once() {
    let mut desk = canary(80, 24);
    press(&mut desk, KeyCode::Char('?'));
    let top = desk.text();
    for _ in 0..9 {
        press(&mut desk, KeyCode::PageDown);
    }
    let end = desk.text();
    assert!(end.contains("leave") && end != top, "{end}");
    press(&mut desk, KeyCode::PageUp);
    assert_ne!(desk.text(), end);
}

#[test]
fn a_slot_that_a_rollback_holds_is_no_canary() {
    let mut view = Story::mid_canary().view();
    let record = view.environments[0].record.as_mut().unwrap();
    record.slot.as_mut().unwrap().release = old_release();
    let text = Desk::new(view, 80, 24).text();
    assert!(text.contains("canary taken back") && !text.contains("canary v1.41.0"), "{text}");
}

#[test]
fn the_first_interval_is_shown_although_the_judge_sets_it_aside() {
    let mut view = Story::mid_canary().view();
    change_rollout(&mut view, 0, |rollout| rollout.verdict.as_mut().unwrap().canary_requests = 0);
    let text = Desk::new(view, 120, 36).text();
    assert!(!text.contains("no data"), "{text}");
    assert!(text.contains("canary 0.08 % of 210"), "{text}");
}

#[test]
fn latency_has_a_line_without_an_slo_and_the_graph_has_room_for_it() {
    let mut view = Story::mid_canary().view();
    (view.graph.slo_p95, view.graph.slow_above) = (None, Some(0.5));
    // A curve on the limit does not paint its name.
    view.graph.canary.iter_mut().for_each(|point| point.p95 = Some(0.48));
    let desk = Desk::new(view, 120, 36);
    let screen = desk.screen();
    let painted = screen.buffer.content.iter().filter(|cell| cell.fg != Color::Reset).map(ratatui::buffer::Cell::symbol);
    assert!(!painted.collect::<String>().contains("slow"));
    let text = desk.text();
    assert!(text.contains("slow 500 ms") && text.contains(" slow│"), "{text}");
    assert!(text.contains("│750 ms"), "{text}");
}

#[test]
fn the_titles_say_which_curve_is_whose_and_what_the_limit_is() {
    for (width, height) in [(80, 24), (120, 36), (200, 50)] {
        let desk = canary(width, height);
        let text = desk.text();
        for title in ["canary 92 ms", "stable 101 ms", "SLO 250 ms", "canary 0.5 % of 212", "SLO 1 %"] {
            assert!(text.contains(title), "{title}: {text}");
        }
        let screen = desk.screen();
        let coloured = |colour| -> String {
            let cells = screen.buffer.content.iter().filter(|cell| cell.fg == colour).map(ratatui::buffer::Cell::symbol);
            cells.collect()
        };
        for (colour, words) in [(166, ["⠒canary", "⠒ canary"]), (25, ["⠒stable", "⠒ stable"])] {
            let text = coloured(Color::Indexed(colour));
            assert!(words.iter().any(|word| text.contains(word)), "{words:?}: {text}");
        }
    }
    let mut plain = canary(120, 36);
    plain.ui.theme.colour = Colour::No;
    assert!(plain.text().contains("⠒canary 92 ms") && plain.text().contains("•stable 101 ms"), "{}", plain.text());
}

#[test]
fn the_review_shows_every_fact_whole() {
    let mut view = Story::at_gate().view();
    let reason = "4,912 canary requests, errors 0.2 % against stable's 0.3 %, 0.1 % slower than 250 ms against 0.2 %, \
                  no worse than stable's over the same intervals, for as long as the bake";
    change_rollout(&mut view, 0, |rollout| {
        let verdict = rollout.verdict.as_mut().unwrap();
        (verdict.reason, verdict.synthetic) = (reason.into(), true);
    });
    for (width, height) in [(80, 24), (120, 36), (200, 50)] {
        let mut desk = Desk::new(view.clone(), width, height);
        press(&mut desk, KeyCode::Char('P'));
        let text = desk.text();
        let inside: Vec<&str> = text.lines().filter_map(|line| line.split('║').nth(1)).map(str::trim).collect();
        let whole = inside.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.contains(&format!("PASS on synthetic traffic {reason}")), "{text}");
        for fact in ["where", "from", "evidence", "yeses", "back", "type v1.42.0"] {
            assert!(whole.contains(fact), "{fact}: {text}");
        }
    }
}

#[test]
fn a_canary_of_another_run_is_named() {
    let mut view = Story::promoted().view();
    let mut other = Story::mid_canary().view();
    let run = "01KATE0000000000000000RNN9".parse::<crate::event::RunId>().unwrap();
    change_rollout(&mut other, 0, |rollout| {
        let created = rollout.created.as_mut().unwrap();
        created.run = Some(run.clone());
        created.rollout = "01KATE000000000000000RQXX9".parse().unwrap();
        created.release.tag = "v1.43.0".into();
    });
    view.rollouts.extend(other.rollouts);
    view.numbers = vec![(run, 43)];
    view.environments.clear();
    let mut desk = Desk::new(view, 120, 36);
    assert!(desk.text().contains("v1.43.0, run 43's: hms attach 43"), "{}", desk.text());
    press(&mut desk, KeyCode::Char('P'));
    let text = desk.text();
    assert!(text.contains("nothing waits for a yes; the canary v1.43.0 is run 43's: hms attach 43"), "{text}");
}

#[test]
fn what_was_refused_did_not_fail_and_what_was_overridden_says_so() {
    let mut view = Story::promoted().view();
    change_rollout(&mut view, 0, |rollout| rollout.overridden = Some((super::world::actor("anna"), "checked by hand".into())));
    let text = Desk::new(view.clone(), 120, 36).text();
    assert!(text.contains("PROMOTED  HOLD passed by anna"), "{text}");
    change_rollout(&mut view, 0, |rollout| {
        rollout.phase = crate::event::RolloutPhase::Failed("prod is frozen".into());
        rollout.ended = Some((crate::event::RolloutOutcome::Refused, at(602)));
    });
    let text = Desk::new(view, 120, 36).text();
    assert!(text.contains("REFUSED  v1.42.0 in prod: prod is frozen") && !text.contains("FAILED"), "{text}");
}
