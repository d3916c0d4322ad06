//! The headless lines: exactly these, each once, and nothing in them that a terminal would obey.

use hms::event::{
    AttemptResult, DeployOutcome, FailureReason, JobName, RolloutEvent, RolloutId, RolloutState, RunEvent, RunOutcome, RunState,
    VerdictClass,
};
use hms::report::{Headless, Line, Stream};
use proptest::prelude::*;

use super::world::{self, End, Story};

const P95: f64 = 0.110;

fn texts(lines: &[Line], stream: Stream) -> Vec<&str> {
    lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect()
}

fn look(printer: &mut Headless, state: &RunState, rollouts: &[(RolloutId, RolloutState)]) -> Vec<Line> {
    printer.look(state, rollouts, &|_| Some(P95))
}

/// What a printer says that sees every event, and looks twice at each.
fn told(story: &Story) -> Vec<Line> {
    let (mut printer, mut lines) = (Headless::default(), Vec::new());
    let rollouts = story.rollouts();
    for length in 1..=story.events.len() {
        let state = story.prefix(length);
        lines.extend(look(&mut printer, &state, &rollouts));
        assert_eq!(look(&mut printer, &state, &rollouts), [], "{}: said twice", story.name);
    }
    lines
}

fn farewell(story: &Story, engine: Option<u32>) -> Vec<String> {
    let state = story.state();
    Headless::farewell(&state, &story.rollouts(), state.outcome(), engine, &|_| true).into_iter().map(|line| line.text).collect()
}

const UP_TO_THE_CANARY: [&str; 3] = [
    "▶ BUILD  ✔ 1m12s",
    "▶ TEST   ✔ 402 tests passed  2m03s",
    "▶ SCAN   ✔ 0 critical 0 high 2 medium · 0 secrets · 41 files · 214 packages NOT CHECKED  9s",
];

fn with(last: &[&'static str]) -> Vec<&'static str> {
    UP_TO_THE_CANARY.iter().chain(last).copied().collect()
}

#[test]
fn a_run_at_its_gate() {
    let story = world::at_the_gate();
    let lines = told(&story);
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY ✔ 1% traffic healthy (p95=110 ms, errors 0.2 %, 4,912 requests)"]));
    assert_eq!(
        texts(&lines, Stream::Notice),
        ["hms: no container engine: `image: node:18` is not honoured", "hms: prod canary PASS: no worse than stable"]
    );
    assert_eq!(
        farewell(&story, Some(4711)),
        ["PROD waiting for manual approval: hms approve 42 prod   (blocked at a gate: exit 10; canary watched by engine 4711)"]
    );
    assert_eq!(
        farewell(&Story { rollout_events: Vec::new(), ..story }, Some(4711)),
        ["PROD waiting for manual approval: hms approve 42 prod   (blocked at a gate: exit 10)"]
    );
}

#[test]
fn a_run_that_went_well() {
    let story = world::success();
    let lines = told(&story);
    assert_eq!(texts(&lines, Stream::Result).last(), Some(&"▶ PROD   ✔ v1.2.0 has all traffic  2s"));
    assert_eq!(texts(&lines, Stream::Result).len(), 5);
    assert_eq!(farewell(&story, None), Vec::<String>::new());
}

#[test]
fn a_job_that_waits_says_for_whom() {
    let lines = told(&world::running());
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY … v1.1.9 holds prod since 15:40"]));
}

#[test]
fn a_held_canary_names_both_ways_out_and_that_nobody_watches() {
    let story = world::held();
    let lines = told(&story);
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY ✘ held  9s: 212 of 299 requests", "▶ PROD   » skipped: canary is held"]));
    assert_eq!(
        texts(&lines, Stream::Notice)[1..],
        [
            "hms: prod canary HOLD: 212 of 299 requests; at this traffic PASS in about 3m00s",
            "hms: UNWATCHED: the canary of prod keeps 1% and nobody watches it"
        ]
    );
    assert_eq!(
        farewell(&story, None),
        ["HELD: hms retry 42 canary goes on with the same evidence, hms override 42 canary --reason TEXT passes it   (exit 11)"]
    );
}

#[test]
fn a_canary_that_was_rolled_back() {
    let lines = told(&world::rolled_back());
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY ✘ rolled back  9s: errors 4.1 % against 0.2 %"]));
}

#[test]
fn an_unknown_end_is_called_unknown() {
    let story = world::interrupted();
    let lines = told(&story);
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY ✘ interrupted: nobody knows how it ended  0ms"]));
    assert_eq!(farewell(&story, None), ["INTERRUPTED: nobody knows how it ended: hms retry 42 canary   (exit 1)"]);
}

#[test]
fn an_engine_that_is_gone_is_said_with_the_way_on_and_what_nobody_watches() {
    let story = world::running();
    let state = story.state();
    let keepers = std::cell::Cell::new(true);
    let gone = |rollouts: &[(RolloutId, RolloutState)], engine| -> Vec<String> {
        Headless::farewell(&state, rollouts, RunOutcome::Interrupted, engine, &|_| keepers.get())
            .into_iter()
            .map(|line| line.text)
            .collect()
    };
    let way = "the engine of run 42 is gone; jobs go on under their keepers: hms run --resume 42 --headless";
    assert_eq!(gone(&[], None), [way]);
    let watched = world::at_the_gate().rollouts();
    assert_eq!(gone(&watched, None), [way, "UNWATCHED: the canary of prod keeps 1% and nobody watches it"]);
    assert_eq!(gone(&watched, Some(4711)), Vec::<String>::new());
    // Nor are keepers what they were when the journal was written.
    keepers.set(false);
    let alone = "the engine of run 42 is gone; nobody looks after canary any more: hms run --resume 42 --headless";
    assert_eq!(gone(&[], None), [alone]);
}

#[test]
fn a_cancelled_run() {
    let lines = told(&world::cancelled());
    assert_eq!(texts(&lines, Stream::Result), with(&["▶ CANARY ⊘ canceled", "▶ PROD   » skipped: the run was cancelled"]));
}

#[test]
fn failures_say_how() {
    let lines = told(&world::failed_test());
    assert_eq!(
        texts(&lines, Stream::Result),
        [
            "▶ TEST   ✘ exit 1 · 2 tests failed  1m05s: npm test: line 1",
            "▶ LINT   ✘ killed by signal 9  9s",
            "▶ SCAN   » skipped: test failed"
        ]
    );
}

#[test]
fn a_retry_is_told_anew() {
    let mut events: Vec<RunEvent> = world::failed_test().events.into_iter().map(|stamped| stamped.event).collect();
    let job: JobName = "test".parse().unwrap();
    let attempt = hms::event::AttemptId::new(&world::RUN.parse().unwrap(), &job, 2);
    events.push(RunEvent::JobRetried { job: job.clone(), actor: world::actor("amy") });
    events.push(RunEvent::AttemptStarting { job: job.clone(), attempt: attempt.clone(), number: 2, guarded: false });
    events.push(RunEvent::AttemptEnded {
        job,
        attempt,
        result: AttemptResult::Success,
        exit_code: Some(0),
        signal: None,
        failure_reason: None,
        duration_ms: 340,
        tests: None,
        message: None,
        again: false,
        coverage: None,
    });
    let story = Story { events: world::stamped(events), ..world::failed_test() };
    assert_eq!(texts(&told(&story), Stream::Result).last(), Some(&"▶ TEST   ✔ 340ms"));
}

#[test]
fn a_command_to_paste_is_one_for_a_shell() {
    let mut gate = world::job("prod");
    gate.name = "deploy to $(prod)'s 1/2".parse().unwrap();
    let events = vec![world::created(vec![gate.clone()]), RunEvent::GateReached { job: gate.name }];
    let story = Story { events: world::stamped(events), ..world::only_created() };
    assert_eq!(
        farewell(&story, None),
        [
            r"DEPLOY TO $(PROD)'S 1/2 waiting for manual approval: hms approve 42 'deploy to $(prod)'\''s 1/2'   (blocked at a gate: exit 10)"
        ]
    );
}

/// Text as strangers write it: sequences that move, title, copy to the clipboard, hide and turn around.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\u{1b}]52;c;ZWNobw==\u{7}".to_owned()),
        Just("\u{1b}[2J\u{1b}[31m".to_owned()),
        Just("\u{9b}31m".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("\u{2066}".to_owned()),
        Just("\u{200b}".to_owned()),
        Just("a\r\nb\tc".to_owned()),
        "[a-z ]{1,6}",
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn obeys_or_hides(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_a_terminal_obeys_is_in_any_line(text in hostile(), failure in any::<bool>(), code in any::<bool>()) {
        // A name may hold what nobody sees, but no control: those are refused when it is made.
        let seen: String = text.chars().filter(|character| !character.is_control()).collect();
        let name = format!("x{seen}");
        let mut canary = world::job("canary");
        canary.name = name.parse().unwrap();
        let mut gate = world::job("prod");
        gate.name = format!("y{seen}").parse().unwrap();
        let (job, gate_name) = (canary.name.clone(), gate.name.clone());
        let mut events = vec![world::created(vec![canary, gate, world::job("scan")])];
        if let RunEvent::RunCreated(created) = &mut events[0] {
            created.notices = vec![text.clone()];
        }
        events.push(RunEvent::NoticeGiven { job: Some(job.clone()), text: text.clone() });
        events.push(RunEvent::ResourceAwaited { job: job.clone(), why: text.clone() });
        events.push(RunEvent::JobSkipped { job: "scan".parse().unwrap(), why: text.clone() });
        events.extend(world::starts(&name));
        events.push(RunEvent::DeployEnded {
            job: job.clone(),
            attempt: world::attempt(&name),
            outcome: if failure { DeployOutcome::Held } else { DeployOutcome::Done },
            message: text.clone(),
        });
        events.push(RunEvent::RolloutLinked {
            job: job.clone(),
            rollout: world::ROLLOUT.parse().unwrap(),
            environment: "prod".parse().unwrap(),
            arm: hms::event::Arm::Canary,
        });
        let reason = if failure { FailureReason::CanaryHeld } else { FailureReason::ScriptFailure };
        let end = world::failed(reason);
        events.push(world::ends(&name, if code { End { message: Some(text.clone()), ..end } } else { End::default() }));
        events.push(RunEvent::GateReached { job: gate_name });

        let mut story = world::held();
        story.events = world::stamped(events);
        for stamped in &mut story.rollout_events {
            if let RolloutEvent::RolloutCreated(created) = &mut stamped.event {
                created.release.tag.clone_from(&text);
            } else if let RolloutEvent::VerdictReached { verdict } = &mut stamped.event {
                *verdict = world::verdict(VerdictClass::Hold, &text);
            }
        }
        let mut voided: Vec<_> = story.rollout_events.iter().map(|stamped| stamped.event.clone()).take(4).collect();
        voided.push(RolloutEvent::VerdictVoided { reason: text });
        voided.push(RolloutEvent::Unrecorded { reason: String::new() });
        let voided = Story { rollout_events: world::stamped(voided), ..world::held() };

        let mut lines = told(&story);
        lines.extend(look(&mut Headless::default(), &story.state(), &voided.rollouts()));
        let state = story.state();
        for outcome in [RunOutcome::Waiting, RunOutcome::Held, RunOutcome::Interrupted, RunOutcome::None, RunOutcome::Success] {
            lines.extend(Headless::farewell(&state, &story.rollouts(), outcome, None, &|_| true));
        }
        prop_assert!(lines.len() >= 8, "{lines:?}");
        for line in lines {
            prop_assert!(!line.text.chars().any(obeys_or_hides), "{:?}", line.text);
        }
    }
}
