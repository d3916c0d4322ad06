//! Sample files: what each kind of them is judged, and what no file is ever judged by.

use std::fmt::Write;
use std::process::{Command, Output};

use hms::canary::replay::{Played, ReplaySettings, Stop, play};
use hms::event::VerdictClass;
use serde_json::{Value, json};

/// The settings of the manual's example.
const SETTINGS: &str = r#"{"settings":{"share":0.01,"slo_errors":0.01,"slo_slow":0.10,"bake_seconds":600,"min_requests":300,"alpha":0.01,"beta":0.05,"warm_up_seconds":0}}"#;

/// A minute at 1 % of some 1,700 requests a second: 0.2 % errors, 5 % slow, the same in both arms.
fn minute() -> Value {
    json!({"seconds": 60, "canary": {"requests": 1000, "errors": 2, "slow": 50}, "stable": {"requests": 99_000, "errors": 198, "slow": 4950}})
}

fn with(path: &str, value: impl Into<Value>) -> Value {
    let mut minute = minute();
    *minute.pointer_mut(path).unwrap() = value.into();
    minute
}

fn file(lines: &[(usize, Value)]) -> String {
    let mut text = format!("{SETTINGS}\n");
    for (times, line) in lines {
        for _ in 0..*times {
            writeln!(text, "{line}").unwrap();
        }
    }
    text
}

fn set(text: &str, settings: &[&str], stop: Stop) -> Played {
    let mut said = ReplaySettings::default();
    for setting in settings {
        said.say_text(setting).unwrap();
    }
    play(text, &said, stop).unwrap_or_else(|error| panic!("{error}"))
}

fn judged(text: &str) -> (VerdictClass, f64, String) {
    let last = set(text, &[], Stop::AtVerdict).last;
    (last.verdict.class, last.at_seconds, last.verdict.reason)
}

fn class(text: &str, settings: &[&str]) -> VerdictClass {
    set(text, settings, Stop::AtVerdict).last.verdict.class
}

fn changes(text: &str) -> Vec<(VerdictClass, u32)> {
    let whole = |seconds: f64| (0..100_000).find(|second| f64::from(*second) >= seconds).unwrap();
    set(text, &[], Stop::AtEnd).changes.iter().map(|moment| (moment.verdict.class, whole(moment.at_seconds))).collect()
}

use VerdictClass::{Hold, Pass, Rollback};

#[test]
fn a_healthy_canary_passes_when_its_bake_is_over() {
    let (class, at, reason) = judged(&file(&[(30, minute())]));
    assert_eq!((class, at.to_bits()), (Pass, 600.0_f64.to_bits()), "{reason}");
    assert!(reason.contains("10,000 requests") && reason.contains("absolute test"), "{reason}");
    assert_eq!(judged(&file(&[(9, minute())])).0, Hold);
    assert_eq!(changes(&file(&[(30, minute())])), [(Hold, 60), (Pass, 600)]);
}

#[test]
fn harm_is_found_in_errors_in_slowness_and_in_a_metric_of_ones_own() {
    for (path, bad) in [("/canary/errors", 50), ("/canary/slow", 300)] {
        let (class, at, reason) = judged(&file(&[(5, minute()), (5, with(path, bad))]));
        assert_eq!((class, at.to_bits()), (Rollback, 360.0_f64.to_bits()), "{reason}");
    }
    let own = |bad: u32| json!({"seconds": 60, "canary": {"requests": 1000, "denied": bad}, "stable": {"requests": 99_000, "denied": 990}});
    assert_eq!(class(&file(&[(3, own(80))]), &["slo_denied=5%"]), Rollback);
    let healthy = set(&file(&[(10, own(10))]), &["slo_denied=5%"], Stop::AtVerdict).last.verdict;
    assert_eq!((healthy.class, healthy.metrics.len(), healthy.metrics[0].name.as_str()), (Pass, 1, "denied"), "{}", healthy.reason);
    let of_its_own = json!({"seconds": 60, "canary": {"requests": 1000, "denied": {"all": 50, "bad": 40}}, "stable": {"requests": 99_000, "denied": {"all": 5000, "bad": 50}}});
    assert_eq!(class(&file(&[(3, of_its_own)]), &["slo_denied=5%"]), Rollback);
}

#[test]
fn an_incident_of_both_arms_is_no_harm_and_no_pass_while_it_lasts() {
    let incident = json!({"seconds": 60, "canary": {"requests": 1000, "errors": 300, "slow": 50}, "stable": {"requests": 99_000, "errors": 29_700, "slow": 4950}});
    let text = file(&[(9, minute()), (5, incident), (10, minute())]);
    let changes = changes(&text);
    assert_eq!(changes.first(), Some(&(Hold, 60)));
    assert!(changes.iter().all(|(class, at)| *class != Rollback && (*class != Pass || *at > 14 * 60)), "{changes:?}");
    assert_eq!(changes.last().unwrap().0, Pass, "by the relative test: {changes:?}");
    assert_eq!(class(&text, &["pass_on=absolute"]), Hold);
}

#[test]
fn a_source_error_holds_while_it_is_the_newest_line() {
    let error = json!({"source_error": "connection refused", "seconds": 60});
    let text = file(&[(9, minute()), (1, error.clone())]);
    let (class, at, reason) = judged(&text);
    assert_eq!((class, at.to_bits(), reason.as_str()), (Hold, 600.0_f64.to_bits(), "the source of metrics failed: connection refused"));
    let text = file(&[(10, minute()), (2, error), (3, minute())]);
    assert_eq!(changes(&text), [(Hold, 60), (Pass, 600), (Hold, 660), (Pass, 780)]);
    let timeless = file(&[(9, minute()), (4, json!({"source_error": "x"})), (1, minute())]);
    assert_eq!(changes(&timeless), [(Hold, 60), (Pass, 600)]);
}

#[test]
fn a_guard_is_a_rollback_at_once() {
    for guard in ["crash_loop", "progress_deadline", "no_ready_pod"] {
        let (class, at, reason) = judged(&file(&[(2, minute()), (1, json!({"guard": guard})), (20, minute())]));
        assert_eq!((class, at.to_bits()), (Rollback, 120.0_f64.to_bits()), "{reason}");
        assert!(reason.starts_with("the canary does not run"), "{reason}");
    }
    assert_eq!(judged("{\"guard\":\"crash_loop\"}\n").0, Rollback);
}

#[test]
fn a_share_that_was_not_asked_for_holds() {
    let half = json!({"seconds": 60, "canary": {"requests": 50_000, "errors": 100, "slow": 2500}, "stable": {"requests": 50_000, "errors": 100, "slow": 2500}});
    let (class, _, reason) = judged(&file(&[(15, half.clone())]));
    assert!(class == Hold && reason.starts_with("routing mismatch") && reason.contains("50 %"), "{reason}");
    assert_eq!(self::class(&file(&[(15, half.clone())]), &["share=null"]), Pass);
    assert_eq!(self::class(&file(&[(15, half.clone())]), &["share=0.5"]), Pass);
    let mut told = half;
    told["share"] = json!(0.5);
    assert_eq!(changes(&file(&[(3, minute()), (20, told)])), [(Hold, 60), (Pass, 780)], "bake and proof are of the new share");
}

#[test]
fn with_no_stable_the_slo_alone_speaks() {
    let alone = |errors: u32| json!({"seconds": 60, "canary": {"requests": 1000, "errors": errors}});
    let good = set(&file(&[(10, alone(2))]), &[], Stop::AtVerdict).last.verdict;
    assert!(good.class == Pass && good.reason.contains("nothing to compare with"), "{}", good.reason);
    assert_eq!(good.metrics[0].detail.as_ref().unwrap().safe_ln, None);
    assert_eq!(class(&file(&[(10, alone(10))]), &[]), Hold);
    assert_eq!(class(&file(&[(10, alone(100))]), &[]), Rollback);
    // An interval without stable in a file that has one tells nothing of the ratio, and nothing of the share.
    let text = file(&[(9, minute()), (1, alone(2)), (5, minute())]);
    assert_eq!(changes(&text).last().unwrap().0, Pass);
}

#[test]
fn another_release_begins_anew() {
    let of = |release: &str, errors: u32| {
        let mut line = with("/canary/errors", errors);
        line["release"] = json!(release);
        line
    };
    let text = file(&[(9, of("a", 2)), (9, of("b", 2))]);
    assert_eq!(judged(&text).0, Hold, "what is known of a is not known of b");
    let text = file(&[(5, of("a", 4)), (12, of("b", 2))]);
    assert_eq!(changes(&text), [(Hold, 60), (Pass, 900)]);
}

#[test]
fn a_metric_that_was_never_there_is_left_out_and_one_that_goes_away_is_not() {
    let errors = json!({"seconds": 60, "canary": {"requests": 1000, "errors": 2}, "stable": {"requests": 99_000, "errors": 198}});
    let verdict = set(&file(&[(10, errors.clone())]), &[], Stop::AtVerdict).last.verdict;
    assert_eq!((verdict.class, verdict.metrics.len()), (Pass, 1));
    let (class, _, reason) = judged(&file(&[(5, minute()), (10, errors)]));
    assert!(class == Hold && reason.contains("slow are not counted any more"), "{reason}");
    let none = json!({"seconds": 60, "canary": {"requests": 1000}, "stable": {"requests": 99_000}});
    let (class, _, reason) = judged(&file(&[(20, none)]));
    assert!(class == Hold && reason.contains("no metric is judged"), "{reason}");
}

#[test]
fn no_bad_line_is_a_verdict() {
    for (line, says) in [
        (with("/canary/requests", -5), "-5 requests"),
        (with("/canary/errors", 2000), "more bad ones"),
        (with("/stable/errors", -1), "stable had -1 errors"),
        (with("/seconds", 0), "lasts 0 seconds"),
        (with("/seconds", 1e300), "lasts"),
    ] {
        let (class, _, reason) = judged(&file(&[(9, minute()), (3, line)]));
        assert!(class == Hold && reason.contains(says), "{reason}");
    }
    let idle = json!({"seconds": 60, "canary": {"requests": 0, "errors": 0}, "stable": {"requests": 0, "errors": 0}});
    assert_eq!(judged(&file(&[(100, idle)])).0, Hold);
    let dead = json!({"seconds": 60, "canary": {"requests": 0, "errors": 0}, "stable": {"requests": 99_000, "errors": 0}});
    let (class, _, reason) = judged(&file(&[(3, dead)]));
    assert!(class == Hold && (reason.contains("check the route") || reason.contains("routing mismatch")), "{reason}");
    for text in ["", "\n\n", SETTINGS] {
        assert_eq!(judged(text).0, Hold, "{text}");
    }
}

#[test]
fn the_floor_warm_up_and_bake_hold_and_can_be_tried() {
    let text = file(&[(60, json!({"seconds": 60, "canary": {"requests": 10, "errors": 0}, "stable": {"requests": 990, "errors": 20}}))]);
    let at = |settings: &[&str]| set(&text, settings, Stop::AtVerdict).last.at_seconds;
    assert_eq!(at(&[]).to_bits(), 1800.0_f64.to_bits(), "300 requests, and then it is long known to be better than stable");
    assert_eq!(class(&text, &["min_requests=1000"]), Hold);
    assert_eq!(class(&text, &["bake_seconds=100000"]), Hold);
    assert_eq!(at(&["warm_up_seconds=600"]).to_bits(), 2400.0_f64.to_bits());
    let absolute = at(&["pass_on=absolute"]);
    assert!(absolute > 1800.0 && absolute < 2400.0, "the absolute proof needs a little more than the floor: {absolute}");
}

#[test]
fn files_that_are_none_are_refused_by_line() {
    let refused = |text: &str| play(text, &ReplaySettings::default(), Stop::AtEnd).unwrap_err().to_string();
    let good = minute().to_string();
    assert!(refused(&format!("{good}\n{SETTINGS}\n")).contains("line 2: `settings` is the first line"));
    assert!(refused("{\"settings\":{\"bake\":1}}\n").starts_with("line 1: the setting `bake` is not known"));
    assert!(refused(&format!("{good}\n<html>\n{good}\n")).starts_with("line 2: column 1: no JSON"));
    assert!(refused(&format!("{good}\n{{\"at\":\"2026-11-24T16:02:11Z\",\"versions\":{{}}}}\n")).contains("do not stand in one file"));
    assert!(refused(r#"{"seconds":60,"canary":{"requests":10,"eror":1}}"#).contains("set slo_eror"));
    let torn = play(&format!("{good}\n{{\"secon"), &ReplaySettings::default(), Stop::AtEnd).unwrap();
    assert_eq!(torn.torn, Some(2));
}

/// What a rollout's driver wrote is a sample file.
#[test]
fn a_journal_is_judged_as_its_driver_judged_it() {
    let mut text = String::from(
        "{\"format\":1,\"seq\":1,\"time\":\"2026-11-24T16:00:00.000Z\",\"type\":\"SomethingNew\"}\n\
         {\"format\":1,\"seq\":2,\"time\":\"2026-11-24T16:00:00.000Z\",\"type\":\"WatchStarted\",\"weight\":0.01,\"threshold_seconds\":null,\
         \"slow_share\":null,\"absolute_only\":false,\"canary_version\":\"b\",\"stable_version\":\"a\"}\n",
    );
    for place in 0..200 {
        let at = format!("2026-11-24T16:{:02}:{:02}.000Z", place / 12, place % 12 * 5);
        let series = |good: u32| json!({"requests": [{"key": "code=\"200\"", "error": false, "value": good}]});
        let sample = json!({"at": at, "versions": {"a": series(place * 990), "b": series(place * 10)}});
        writeln!(text, "{}", json!({"format": 1, "seq": place + 3, "time": at, "type": "Sampled", "sample": sample})).unwrap();
    }
    let last = set(&text, &[], Stop::AtVerdict).last;
    assert_eq!((last.verdict.class, last.at_seconds.to_bits()), (Pass, 600.0_f64.to_bits()), "{}", last.verdict.reason);
    assert_eq!(set(&text, &["bake_seconds=3000"], Stop::AtVerdict).last.verdict.class, Hold);
    let missed = "{\"format\":1,\"seq\":300,\"time\":\"2026-11-24T16:20:00.000Z\",\"type\":\"SampleMissed\",\"reason\":\"down\"}\n";
    assert_eq!(set(&format!("{text}{missed}"), &[], Stop::AtEnd).last.verdict.class, Hold);
}

fn hms(arguments: &[&str], stdin: &str) -> Output {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_hms"));
    command.arg("canary").args(arguments).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let _ = pipe.write_all(stdin.as_bytes());
    drop(pipe);
    child.wait_with_output().unwrap()
}

#[test]
fn the_verb_exits_as_it_judged_and_ends_with_one_object() {
    let bad = with("/canary/errors", 50);
    for (text, code, verdict) in [
        (file(&[(10, minute())]), 0, "PASS"),
        (file(&[(3, minute())]), 11, "HOLD"),
        (file(&[(3, bad)]), 12, "ROLLBACK"),
        (String::new(), 11, "HOLD"),
    ] {
        let output = hms(&["judge", "-", "--output", "json"], &text);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["verdict"], verdict);
        assert!(value["at_seconds"].is_u64() && value["reason"].is_string() && value["metrics"].is_object(), "{value}");
        if code == 0 {
            assert_eq!(value["metrics"]["errors"]["canary"]["all"], 10_000);
            assert_eq!(value["metrics"]["slow"]["passed_by"], "absolute");
        }
    }
    let listed = hms(&["judge", "-", "--to-end", "--output", "json"], &file(&[(12, minute())]));
    let lines: Vec<Value> = String::from_utf8(listed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["change"], &lines[2]["at_seconds"]), (3, &json!("PASS"), &json!(720)));
    let tried = hms(&["judge", "-", "--set", "bake_seconds=60", "--set", "share=null"], &file(&[(9, minute())]));
    assert_eq!(tried.status.code(), Some(0));
    let broken = hms(&["judge", "-"], "{\n");
    assert_eq!(broken.status.code(), Some(2));
    assert!(String::from_utf8(broken.stderr).unwrap().starts_with("Error: -:1: column"));
    assert_eq!(hms(&["judge", "/no/such/file"], "").status.code(), Some(3));
    assert_eq!(hms(&["judge", "-", "--set", "alpha=7"], "").status.code(), Some(2));
}

#[test]
fn a_plan_says_when_in_text_and_json() {
    let output = hms(&["plan", "--rps", "50", "--share", "1%", "--errors", "0.2%", "--output", "json"], "");
    assert_eq!(output.status.code(), Some(0));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&plan["floor"], &plan["shares"][0]["share"], &plan["shares"][0]["floor_seconds"]),
        (&json!(299), &json!(0.01), &json!(598))
    );
    let found: Vec<u64> = plan["shares"][0]["finds"].as_array().unwrap().iter().map(|find| find["seconds"].as_u64().unwrap()).collect();
    assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "the worse, the sooner: {found:?}");
    let text = String::from_utf8(hms(&["plan", "--rps", "50"], "").stdout).unwrap();
    assert!(text.contains("299 canary requests") && text.lines().count() > 8, "{text}");
    for wrong in [["--rps", "0"], ["--rps", "-1"], ["--rps", "nan"]] {
        assert_eq!(hms(&["plan", wrong[0], wrong[1]], "").status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(hms(&["plan", "--rps", "10", "--share", "100%"], "").status.code(), Some(2));
}
