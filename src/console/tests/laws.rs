//! What holds for every sequence of keys, every size, every prefix of the journals.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::layout::Size;

use super::world::{Desk, Story, live};
use crate::console::message::Message;
use crate::console::source::Request;
use crate::console::update::deadline;

fn stories() -> Vec<Story> {
    vec![Story::mid_canary(), Story::at_gate(), Story::held(), Story::rolled_back(), Story::armed(), Story::failed()]
}

#[derive(Debug, Clone)]
enum Stroke {
    Key(KeyEvent),
    Paste,
    Pass(u64),
    Size(u16, u16),
    Prefix(usize, usize),
    Draw,
}

fn stroke() -> impl Strategy<Value = Stroke> {
    let named = prop::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Backspace,
        KeyCode::F(5),
    ]);
    let known = prop::sample::select("RPArs/nNefwzjkhlgG?qy ".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char);
    let code = prop_oneof![4 => known, 2 => named, 1 => any::<char>().prop_map(KeyCode::Char)];
    let modifiers = prop_oneof![8 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::ALT), 1 => Just(KeyModifiers::CONTROL)];
    prop_oneof![
        10 => (code, modifiers).prop_map(|(code, modifiers)| Stroke::Key(KeyEvent::new(code, modifiers))),
        1 => Just(Stroke::Paste),
        3 => (0u64..3000).prop_map(Stroke::Pass),
        1 => (0u16..220, 0u16..70).prop_map(|(width, height)| Stroke::Size(width, height)),
        3 => (0usize..6, 0usize..60).prop_map(|(story, events)| Stroke::Prefix(story, events)),
        5 => Just(Stroke::Draw),
    ]
}

/// The view after so many events of all journals together, in the order of time.
fn prefix(story: &Story, events: usize) -> crate::console::View {
    let mut times: Vec<_> = story.run.0.iter().map(|event| event.time).collect();
    times.extend(story.rollouts.iter().flat_map(|rollout| rollout.0.iter().map(|event| event.time)));
    times.sort_unstable();
    let at = times.get(events.min(times.len() - 1)).copied().unwrap();
    live(story.replay().view_at(at))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_is_promoted_by_accident(strokes in prop::collection::vec(stroke(), 1..60), log in ".{0,300}") {
        let stories = stories();
        let mut desk = Desk::new(stories[0].view(), 80, 24).with_log(&log);
        for stroke in strokes {
            match stroke {
                Stroke::Key(key) => desk.tell(Message::Key(key)),
                Stroke::Paste => desk.tell(Message::Paste),
                Stroke::Pass(milliseconds) => {
                    desk.pass(milliseconds);
                    desk.tell(Message::Tick);
                }
                Stroke::Size(width, height) => desk.tell(Message::Resized(Size::new(width, height))),
                Stroke::Prefix(story, events) => {
                    desk.view = prefix(&stories[story], events);
                    desk.tell(Message::Changed);
                }
                Stroke::Draw => {
                    let screen = desk.screen();
                    prop_assert!(!screen.buffer.content.iter().any(|cell| cell.symbol().chars().any(char::is_control)));
                    prop_assert_eq!(screen.buffer.area.as_size(), desk.ui.size);
                    desk.tell(Message::Drawn);
                }
            }
            if let Some(due) = deadline(&desk.ui, &desk.view, desk.now) {
                prop_assert!(due > desk.now.monotonic || desk.ui.notice.is_some());
            }
        }
        // Nobody typed the tag.
        let promoted = desk.sent().into_iter().any(|request| matches!(request, Request::Approve { .. }));
        prop_assert!(!promoted);
    }

    #[test]
    fn a_replay_shows_what_was_live(story in 0usize..6, events in 0usize..60) {
        let story = &stories()[story];
        let once = Desk::new(prefix(story, events), 120, 36).text();
        let again = Desk::new(prefix(story, events), 120, 36).text();
        prop_assert_eq!(once, again);
    }
}

#[test]
fn a_second_is_counted_only_while_something_runs() {
    let running = Desk::new(Story::mid_canary().view(), 80, 24);
    let due = deadline(&running.ui, &running.view, running.now).unwrap();
    assert!(due > running.now.monotonic && due <= running.now.monotonic + std::time::Duration::from_secs(1));
    for story in [Story::at_gate(), Story::held(), Story::rolled_back(), Story::promoted(), Story::failed()] {
        let desk = Desk::new(story.view(), 80, 24);
        assert_eq!(deadline(&desk.ui, &desk.view, desk.now), None);
    }
}
