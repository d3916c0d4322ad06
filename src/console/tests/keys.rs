//! What each key does, and what it must not do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::world::{BACK, Desk, ROLLOUT, RUN, Story, change_rollout, new_release, old_release, release};
use crate::console::message::{Effect, Leave, Message};
use crate::console::source::{Access, EnvironmentView, Request, Steer, Ticket, View};
use crate::console::ui::{Dialog, Selection, Tone};
use crate::event::{Refusal, RefusalKind, RolloutEvent, Step, VerdictClass, Weight};

pub(super) fn press(desk: &mut Desk, code: KeyCode) {
    desk.tell(Message::Key(KeyEvent::from(code)));
}

fn key(desk: &mut Desk, c: char) {
    press(desk, KeyCode::Char(c));
}

fn alt(desk: &mut Desk, c: char) {
    desk.tell(Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::ALT)));
}

fn type_text(desk: &mut Desk, text: &str) {
    for c in text.chars() {
        key(desk, c);
    }
}

fn desk(story: &Story) -> Desk {
    Desk::new(story.view(), 80, 24)
}

fn canary_to_zero() -> Request {
    Request::CanaryToZero { environment: "prod".parse().unwrap(), release: Some(new_release().digest) }
}

fn notice(desk: &Desk) -> &str {
    desk.ui.notice.as_ref().map_or("", |notice| notice.text.as_str())
}

// --- R ---

#[test]
fn r_takes_a_live_canary_to_zero_at_once_and_a_burst_is_one() {
    let mut desk = desk(&Story::mid_canary());
    for _ in 0..30 {
        key(&mut desk, 'R');
        desk.pass(33);
    }
    assert_eq!(desk.sent(), [canary_to_zero()]);
}

#[test]
fn r_during_a_promotion_takes_the_new_release_away_and_not_the_old_one() {
    let mut story = Story::at_gate();
    story.rollouts[0].add(601, RolloutEvent::StepBegan { step: Step::Promote, fence: 9, intent_seq: Some(109) });
    story.rollouts[0].add(602, RolloutEvent::WeightApplied { requested: Weight::FULL, applied: Weight::FULL });
    let mut desk = desk(&story);
    assert!(desk.text().contains("R canary 100 % → 0"), "{}", desk.text());
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);
}

/// A canary that somebody took back: its journal does not know yet, the target does.
fn taken_back(story: &Story) -> View {
    let mut view = story.view();
    let record = view.environments[0].record.as_mut().unwrap();
    (record.slot, record.weights) = (None, None);
    record.healthy = vec![old_release(), release("v1.40.2", "5d8e1f0a5e4f3021b6a7988c7d6e5f4a3b2c1d0e")];
    let record = record.clone();
    view.environments = vec![EnvironmentView::of(record)];
    view
}

#[test]
fn what_the_target_says_of_a_canary_is_decisive() {
    for story in [Story::mid_canary(), Story::at_gate()] {
        let mut desk = desk(&story);
        key(&mut desk, 'R');
        assert_eq!(desk.sent(), [canary_to_zero()]);
        desk.show(taken_back(&story));
        let text = desk.text();
        assert!(text.contains("R prod v1.41.0 → v1.40.2"), "{text}");
        for gone in ["PASS", "HOLD", "canary 1%"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        // It rests until the new target was on the screen for a while, and then it is the key of production.
        desk.pass(1000);
        key(&mut desk, 'R');
        assert_eq!(desk.sent(), []);
        desk.pass(4000);
        key(&mut desk, 'R');
        assert!(matches!(desk.sent().as_slice(), [Request::RollBack { .. }]));
        desk.pass(1000);
    }
    let mut desk = desk(&Story::at_gate());
    desk.show(taken_back(&Story::at_gate()));
    key(&mut desk, 'P');
    assert!(desk.text().contains("its canary was taken back"), "{}", desk.text());
}

#[test]
fn r_on_production_names_what_it_goes_from_and_to() {
    let mut desk = desk(&Story::promoted());
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [Request::RollBack { environment: "prod".parse().unwrap(), from: new_release(), to: old_release() }]);
}

#[test]
fn r_again_or_enter_fires_the_banner_that_is_shown_and_esc_cancels_it() {
    for (code, expected) in [
        (KeyCode::Char('R'), Request::RollbackNow { rollout: BACK.parse().unwrap() }),
        (KeyCode::Enter, Request::RollbackNow { rollout: BACK.parse().unwrap() }),
        (KeyCode::Esc, Request::RollbackCancel { rollout: BACK.parse().unwrap() }),
    ] {
        let mut desk = desk(&Story::promoted());
        key(&mut desk, 'R');
        desk.sent();
        desk.show(Story::armed().view());
        desk.pass(701);
        press(&mut desk, code);
        assert_eq!(desk.sent(), [expected]);
    }
}

#[test]
fn a_held_r_never_fires_the_banner_it_armed() {
    let mut desk = desk(&Story::promoted());
    key(&mut desk, 'R');
    desk.sent();
    desk.show(Story::armed().view());
    desk.pass(660);
    for _ in 0..60 {
        key(&mut desk, 'R');
        desk.pass(33);
    }
    assert_eq!(desk.sent(), []);
}

#[test]
fn a_banner_that_nobody_has_seen_is_neither_fired_nor_cancelled() {
    let mut desk = desk(&Story::promoted());
    desk.view = Story::armed().view();
    desk.tell(Message::Changed);
    for code in [KeyCode::Char('R'), KeyCode::Enter, KeyCode::Esc] {
        press(&mut desk, code);
        desk.pass(1000);
    }
    assert_eq!(desk.sent(), []);
}

#[test]
fn r_acts_only_on_the_target_that_was_on_the_screen() {
    let mut desk = desk(&Story::promoted());
    desk.view = Story::mid_canary().view();
    desk.tell(Message::Changed);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), []);
    assert!(notice(&desk).contains("R means something else now"), "{}", notice(&desk));
    desk.tell(Message::Drawn);
    desk.pass(701);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);
}

#[test]
fn after_a_canary_r_rests_until_the_new_target_was_shown_for_two_seconds() {
    let mut desk = desk(&Story::mid_canary());
    key(&mut desk, 'R');
    desk.sent();
    desk.tell(Message::Answer(Ticket(1), Ok("canary at 0".into())));
    // Production has something to go back to, and is the target now.
    let mut view = Story::rolled_back().view();
    view.environments = Story::promoted().view().environments;
    desk.show(view);
    desk.pass(1900);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), []);
    assert!(notice(&desk).contains("R now means prod itself"), "{}", notice(&desk));
    desk.pass(800);
    key(&mut desk, 'R');
    assert!(matches!(desk.sent().as_slice(), [Request::RollBack { .. }]));
}

#[test]
fn a_refused_canary_can_be_asked_for_again() {
    let mut desk = desk(&Story::mid_canary());
    key(&mut desk, 'R');
    desk.sent();
    desk.tell(Message::Answer(Ticket(1), Err(Refusal::new(RefusalKind::Stale, "no").hint("hms status"))));
    assert!(notice(&desk).contains("refused: no (hint: hms status)"), "{}", notice(&desk));
    desk.pass(701);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);
}

#[test]
fn an_engine_that_does_not_answer_takes_the_key_away_for_three_seconds_at_most() {
    let mut desk = desk(&Story::mid_canary());
    key(&mut desk, 'R');
    desk.pass(1000);
    key(&mut desk, 'R');
    assert_eq!(desk.sent().len(), 1);
    desk.pass(2100);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);
}

#[test]
fn r_is_a_letter_in_a_text_field_and_acts_after_esc_and_with_alt() {
    let mut desk = desk(&Story::at_gate());
    key(&mut desk, '/');
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), []);
    assert!(matches!(&desk.ui.dialog, Some(Dialog::Search(field)) if field.text == "R"));
    press(&mut desk, KeyCode::Esc);
    key(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);

    let mut desk = self::desk(&Story::at_gate());
    key(&mut desk, 'P');
    alt(&mut desk, 'R');
    assert_eq!(desk.sent(), [canary_to_zero()]);
    assert!(desk.text().contains("Esc R rolls back"));
}

#[test]
fn esc_and_a_key_in_one_packet_are_both_taken_in_a_dialog() {
    let mut desk = desk(&Story::at_gate());
    key(&mut desk, '?');
    alt(&mut desk, 'A');
    assert!(matches!(desk.ui.dialog, Some(Dialog::Abort { .. })));
    desk.pass(301);
    alt(&mut desk, 'y');
    assert!(desk.ui.dialog.is_none());
    alt(&mut desk, 'P');
    assert!(desk.ui.dialog.is_none());
    assert_eq!(desk.sent(), []);
}

#[test]
fn r_acts_in_help_and_in_questions_also_while_they_are_guarded() {
    for c in ['?', 'A'] {
        let mut desk = desk(&Story::mid_canary());
        key(&mut desk, c);
        assert!(desk.ui.dialog.is_some());
        key(&mut desk, 'R');
        assert_eq!(desk.sent(), [canary_to_zero()], "{c}");
    }
}

#[test]
fn r_with_nothing_to_do_says_so() {
    let mut desk = desk(&Story::built());
    desk.view.environments.clear();
    desk.tell(Message::Changed);
    desk.tell(Message::Drawn);
    key(&mut desk, 'R');
    assert_eq!((desk.sent().len(), notice(&desk)), (0, "nothing to roll back"));
}

#[test]
fn who_may_only_look_changes_nothing() {
    for access in [Access::ReadOnly, Access::Replay] {
        let mut desk = desk(&Story::at_gate());
        desk.view.access = access;
        for c in ['R', 'P', 'A', 'r', 's', 'y'] {
            desk.pass(1000);
            key(&mut desk, c);
            assert!(desk.ui.dialog.is_none(), "{c}");
        }
        assert_eq!(desk.sent(), []);
    }
}

// --- P ---

fn review(desk: &mut Desk) {
    key(desk, 'P');
    desk.pass(301);
}

#[test]
fn promotion_wants_the_tag_and_sends_what_was_seen() {
    let mut desk = desk(&Story::at_gate());
    review(&mut desk);
    press(&mut desk, KeyCode::Enter);
    type_text(&mut desk, "v1.42");
    press(&mut desk, KeyCode::Enter);
    assert_eq!(desk.sent(), []);
    type_text(&mut desk, ".0");
    press(&mut desk, KeyCode::Enter);
    let sent = desk.sent();
    let [Request::Approve { run, job, facts, typed_tag }] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((run.as_str(), job.as_str(), typed_tag.as_deref()), (RUN, "prod", Some("v1.42.0")));
    assert_eq!(facts.current, Some(old_release().digest));
    assert_eq!(facts.candidate, Some(new_release().digest));
    assert_eq!(facts.verdict, Some(VerdictClass::Pass));
    assert!(facts.policy_hash.is_some());
    assert!(desk.ui.dialog.is_none());
}

#[test]
fn what_was_typed_before_the_review_opened_is_not_meant_for_it() {
    let mut desk = desk(&Story::at_gate());
    key(&mut desk, 'P');
    type_text(&mut desk, "v1.42.0");
    press(&mut desk, KeyCode::Enter);
    desk.pass(299);
    key(&mut desk, 'x');
    assert!(matches!(&desk.ui.dialog, Some(Dialog::Review(review)) if review.field.text.is_empty()));
    press(&mut desk, KeyCode::Esc);
    assert!(desk.ui.dialog.is_none());
    assert_eq!(desk.sent(), []);
}

#[test]
fn a_paste_is_refused_in_fields_and_is_never_a_command() {
    let mut desk = desk(&Story::at_gate());
    review(&mut desk);
    desk.tell(Message::Paste);
    press(&mut desk, KeyCode::Enter);
    assert!(matches!(&desk.ui.dialog, Some(Dialog::Review(review)) if review.field.text.is_empty() && review.field.complaint.is_some()));
    press(&mut desk, KeyCode::Esc);
    desk.tell(Message::Paste);
    assert_eq!(desk.sent(), []);
    assert!(notice(&desk).contains("never a command"));
}

#[test]
fn a_review_whose_facts_changed_refuses_and_says_which() {
    let mut desk = desk(&Story::at_gate());
    review(&mut desk);
    type_text(&mut desk, "v1.42.0");
    let mut view = desk.view.clone();
    change_rollout(&mut view, 0, |rollout| rollout.verdict.as_mut().unwrap().class = VerdictClass::Hold);
    desk.show(view);
    press(&mut desk, KeyCode::Enter);
    assert_eq!(desk.sent(), []);
    assert!(desk.text().contains("the verdict was PASS, now HOLD"), "{}", desk.text());
}

#[test]
fn a_verdict_that_is_no_pass_blocks_the_review() {
    let mut story = Story::at_gate();
    story.rollouts[0].add(523, RolloutEvent::VerdictVoided { reason: "errors rose".into() });
    let mut desk = desk(&story);
    review(&mut desk);
    type_text(&mut desk, "v1.42.0");
    press(&mut desk, KeyCode::Enter);
    assert_eq!(desk.sent(), []);
    assert!(desk.text().contains("the verdict is void: errors rose"));
}

#[test]
fn p_without_a_gate_says_what_is_missing() {
    let mut desk = desk(&Story::mid_canary());
    key(&mut desk, 'P');
    assert!(desk.ui.dialog.is_none());
    assert!(notice(&desk).contains("prod does not wait for a yes yet"), "{}", notice(&desk));
}

// --- p, S, E ---

fn steers(steer: Steer) -> Request {
    Request::Steer { rollout: ROLLOUT.parse().unwrap(), steer }
}

/// A canary at 1 % that has 5 % before it.
fn walking() -> View {
    let mut view = Story::mid_canary().view();
    change_rollout(&mut view, 0, |rollout| {
        if let Some(RolloutEvent::WatchStarted { next, .. }) = &mut rollout.watch {
            *next = Weight::from_thousandths(50).ok();
        }
    });
    view
}

#[test]
fn p_pauses_a_canary_and_lets_it_go_on() {
    let mut view = walking();
    let mut desk = Desk::new(view.clone(), 120, 36);
    assert!(desk.text().contains("p pause") && desk.text().contains("S skip") && desk.text().contains("E extend"), "{}", desk.text());
    key(&mut desk, 'p');
    assert_eq!(desk.sent(), [steers(Steer::Pause)]);
    change_rollout(&mut view, 0, |rollout| rollout.paused = Some((super::world::actor("ada"), None)));
    desk.show(view);
    assert!(desk.text().contains("p go on"), "{}", desk.text());
    key(&mut desk, 'p');
    assert_eq!(desk.sent(), [steers(Steer::Resume)]);
    let refusal = Refusal::new(RefusalKind::NotWaiting, "nobody drives this canary on this host").hint("hms canary resume 1");
    desk.tell(Message::Answer(Ticket(2), Err(refusal)));
    assert!(notice(&desk).contains("refused: nobody drives this canary on this host (hint: hms canary resume 1)"), "{}", notice(&desk));
}

#[test]
fn a_skip_wants_its_reason_and_the_weight_that_was_on_the_screen() {
    let mut desk = Desk::new(walking(), 120, 36);
    key(&mut desk, 'S');
    desk.pass(301);
    assert!(desk.text().contains("1% → 5% without a PASS"), "{}", desk.text());
    press(&mut desk, KeyCode::Enter);
    assert!(desk.text().contains("needs a reason") && desk.sent().is_empty(), "{}", desk.text());
    type_text(&mut desk, "no traffic at 1% tonight. R");
    // It moved meanwhile: what was meant is not there any more.
    desk.show(Story::mid_canary().view());
    press(&mut desk, KeyCode::Enter);
    assert!(desk.text().contains("look again") && desk.sent().is_empty(), "{}", desk.text());
    desk.show(walking());
    press(&mut desk, KeyCode::Enter);
    assert_eq!(desk.sent(), [steers(Steer::Skip { reason: "no traffic at 1% tonight. R".to_owned() })]);
    // At the last weight there is nothing to skip to.
    let mut last = Desk::new(Story::mid_canary().view(), 120, 36);
    assert!(!last.text().contains("S skip"), "{}", last.text());
    key(&mut last, 'S');
    assert!(last.ui.dialog.is_none() && notice(&last).contains("is its last weight"), "{}", notice(&last));
}

#[test]
fn an_extension_is_asked_for_and_nothing_is_steered_where_nothing_has_traffic() {
    let mut desk = Desk::new(walking(), 120, 36);
    key(&mut desk, 'E');
    key(&mut desk, 'y');
    assert_eq!(desk.sent(), []);
    desk.pass(301);
    assert!(desk.text().contains("cannot be taken back"), "{}", desk.text());
    key(&mut desk, 'y');
    assert_eq!(desk.sent(), [steers(Steer::Extend { seconds: 1800 })]);
    for story in [Story::built(), Story::rolled_back(), Story::promoted()] {
        let mut desk = Desk::new(story.view(), 120, 36);
        for c in ['p', 'S', 'E'] {
            key(&mut desk, c);
            assert!(desk.ui.dialog.is_none() && notice(&desk).contains("nothing to steer"), "{c}: {}", notice(&desk));
        }
        assert_eq!(desk.sent(), []);
    }
    let mut held = Desk::new(Story::held().view(), 120, 36);
    key(&mut held, 'E');
    assert!(held.ui.dialog.is_none() && notice(&held).contains("r goes on"), "{}", notice(&held));
    let looking = View { access: Access::ReadOnly, ..walking() };
    let mut looking = Desk::new(looking, 120, 36);
    key(&mut looking, 'p');
    assert!(looking.sent().is_empty() && notice(&looking).contains("may only look"), "{}", notice(&looking));
}

// --- A, r, s, leaving ---

#[test]
fn abort_wants_y_after_the_guard_and_everything_else_is_no() {
    let mut desk = desk(&Story::mid_canary());
    key(&mut desk, 'A');
    key(&mut desk, 'y');
    assert_eq!(desk.sent(), []);
    desk.pass(301);
    press(&mut desk, KeyCode::Enter);
    assert!(desk.ui.dialog.is_none());
    key(&mut desk, 'A');
    desk.pass(301);
    key(&mut desk, 'y');
    assert_eq!(desk.sent(), [Request::Cancel { run: RUN.parse().unwrap() }]);
}

#[test]
fn retry_is_for_what_failed() {
    let mut desk = desk(&Story::failed());
    assert_eq!(desk.ui.selected.job().unwrap().as_str(), "test");
    key(&mut desk, 'r');
    assert_eq!(desk.sent(), [Request::Retry { run: RUN.parse().unwrap(), job: "test".parse().unwrap() }]);
    key(&mut desk, 'k');
    assert_eq!(desk.ui.selected, Selection::Chosen("build".parse().unwrap()));
    desk.effects.clear();
    key(&mut desk, 'r');
    assert_eq!(desk.sent(), []);
    assert_eq!(desk.ui.notice.as_ref().unwrap().tone, Tone::Refused);
    key(&mut desk, 's');
    assert_eq!(desk.sent(), [Request::Start]);
}

#[test]
fn leaving_is_never_an_abort() {
    for (code, modifiers) in [(KeyCode::Char('q'), KeyModifiers::NONE), (KeyCode::Char('c'), KeyModifiers::CONTROL)] {
        let mut desk = desk(&Story::mid_canary());
        desk.tell(Message::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(desk.effects, [Effect::Leave(Leave::Detached)]);
    }
    let mut desk = desk(&Story::mid_canary());
    desk.tell(Message::Key(KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)));
    desk.tell(Message::Hangup);
    desk.tell(Message::Terminated(15));
    assert_eq!(desk.effects, [Effect::Suspend, Effect::Leave(Leave::Hangup), Effect::Leave(Leave::Signal(15))]);
}

// --- selection and log ---

#[test]
fn the_selection_follows_what_happens_until_somebody_chooses() {
    let mut desk = desk(&Story::built());
    assert_eq!(desk.ui.selected.job().unwrap().as_str(), "scan");
    desk.view = Story::mid_canary().view();
    desk.tell(Message::Changed);
    assert_eq!(desk.effects, [Effect::OpenLog("canary".parse().unwrap())]);
    desk.effects.clear();
    key(&mut desk, 'k');
    assert_eq!(desk.effects, [Effect::OpenLog("scan".parse().unwrap())]);
    desk.show(Story::at_gate().view());
    assert_eq!(desk.ui.selected.job().unwrap().as_str(), "scan");
}

#[test]
fn the_log_is_followed_until_somebody_scrolls_and_again_after() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for line in 1..=200 {
        writeln!(text, "line {line}{}", if line == 150 { " ERROR here" } else { "" }).unwrap();
    }
    let mut desk = desk(&Story::mid_canary()).with_log(&text);
    assert!(desk.text().contains("following"));
    assert!(desk.text().contains("line 200"));
    press(&mut desk, KeyCode::Home);
    assert!(desk.text().contains("paused at line 1 ") && desk.text().contains("line 5"), "{}", desk.text());
    key(&mut desk, 'e');
    assert_eq!(desk.ui.log.at, Some(149));
    assert!(desk.text().contains("ERROR here"));
    key(&mut desk, 'f');
    assert!(desk.text().contains("line 200"));
    key(&mut desk, '/');
    type_text(&mut desk, "line 1[23]$");
    press(&mut desk, KeyCode::Enter);
    assert_eq!(desk.ui.log.at, Some(11));
    key(&mut desk, 'n');
    assert_eq!(desk.ui.log.at, Some(12));
    key(&mut desk, 'N');
    assert_eq!(desk.ui.log.at, Some(11));
    key(&mut desk, '/');
    type_text(&mut desk, "([");
    press(&mut desk, KeyCode::Enter);
    assert!(matches!(&desk.ui.dialog, Some(Dialog::Search(field)) if field.complaint.is_some()));
}

#[test]
fn long_lines_are_wrapped_or_scrolled_sideways() {
    let long = format!("begin {} end\n", "x".repeat(100));
    let mut desk = desk(&Story::mid_canary()).with_log(&long);
    assert!(desk.text().contains("begin") && !desk.text().contains(" end"));
    key(&mut desk, 'w');
    assert!(desk.text().contains("begin") && desk.text().contains(" end"));
    key(&mut desk, 'w');
    for _ in 0..8 {
        key(&mut desk, 'l');
    }
    assert!(!desk.text().contains("begin") && desk.text().contains(" end"), "{}", desk.text());
    desk.tell(Message::Resized(Size::new(200, 50)));
    key(&mut desk, 'h');
    key(&mut desk, 'z');
    assert!(!desk.text().contains("Pipeline"));
}
