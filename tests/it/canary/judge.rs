//! The judge's rules, one situation each, with the sentence that is said.

use std::time::Duration;

use hms::canary::{Guard, Judge, JudgeSettings, Kind, LatencySettings, SourceState, assess, series_for_graph};
use hms::event::{PassedBy, Sample, Verdict, VerdictClass, Weight};

use super::world::{Arm, arm, at, by_default, judged, sample, settings, start, with_latency, without_bake};

fn said(verdict: &Verdict) -> (VerdictClass, &str) {
    (verdict.class, verdict.reason.as_str())
}

/// The counts of a canary that gets so many good requests in each of a row of five-second intervals.
fn steady(intervals: u32, canary_each: u32) -> Vec<Sample> {
    let counts = |interval| (arm(interval * canary_each, 0, 0), arm(interval * canary_each * 99, 0, 0));
    (0..=intervals).map(|interval| sample(i64::from(interval) * 5, Some(counts(interval).0), Some(counts(interval).1))).collect()
}

#[test]
fn harm_is_called_at_once_with_the_counts_of_both_sides() {
    let verdict = judged(&settings(), arm(106, 14, 0), arm(11_877, 3, 0));
    assert_eq!(said(&verdict), (VerdictClass::Rollback, "errors: 14 of 120 canary requests (11.7 %), stable 3 of 11,880 (0.03 %)"));
    assert_eq!((verdict.canary_requests, verdict.stable_requests), (120, 11_880));
    assert!(verdict.metrics[0].harmed && verdict.metrics[0].harm_ln > 100.0_f64.ln());
    // Without fresh data, floor or bake.
    let samples = [sample(0, None, Some(Arm::default())), sample(5, Some(arm(106, 14, 0)), Some(arm(11_877, 3, 0)))];
    let late = assess(&settings(), &samples, start(), at(3600), &SourceState { missed: 9, reason: None });
    assert_eq!(late.class, VerdictClass::Rollback);
}

#[test]
fn slowness_is_harm_too() {
    let verdict = judged(&with_latency(), arm(200, 0, 90), arm(19_800, 0, 200));
    assert_eq!(
        said(&verdict),
        (VerdictClass::Rollback, "slower than 250 ms: 90 of 200 canary requests (45 %), stable 200 of 19,800 (1 %)")
    );
    assert_eq!(verdict.metrics.len(), 2);
    assert_eq!(verdict.metrics[1].threshold_seconds, Some(0.25));
}

#[test]
fn two_bad_events_are_never_harm() {
    let verdict = judged(&settings(), arm(0, 2, 0), arm(1_000_000, 0, 0));
    assert!(verdict.metrics[0].harm_ln > 100.0_f64.ln(), "the numbers alone would do");
    assert_eq!(verdict.class, VerdictClass::Hold);
    assert_eq!(judged(&settings(), arm(0, 3, 0), arm(1_000_000, 0, 0)).class, VerdictClass::Rollback);
}

#[test]
fn a_healthy_canary_passes_after_floor_evidence_and_bake() {
    let settings = JudgeSettings { bake: Duration::from_mins(10), ..settings() };
    let samples = steady(200, 3);
    let at_interval = |interval: usize| {
        let now = samples[interval].at;
        assess(&settings, &samples[..=interval], start(), now, &SourceState::default())
    };
    let early = at_interval(60);
    assert_eq!(said(&early), (VerdictClass::Hold, "180 of 299 requests; at this traffic PASS in about 5 min"));
    assert_eq!(early.forecast_seconds, Some(300));
    let baking = at_interval(115);
    assert_eq!(said(&baking), (VerdictClass::Hold, "345 requests are enough; PASS in 25 s, when the bake is over"));
    let passed = at_interval(120);
    assert_eq!(said(&passed), (VerdictClass::Pass, "360 requests, errors 0 % (limit 1 %)"));
    assert_eq!(passed.measured_share, Some(0.01));
    assert!(at_interval(119).class == VerdictClass::Hold && passed.metrics[0].passed);
}

#[test]
fn evidence_needs_a_little_more_than_the_floor_and_the_forecast_knows_it() {
    let settings = without_bake();
    let floor = judged(&settings, arm(299, 0, 0), arm(29_601, 0, 0));
    assert_eq!(floor.class, VerdictClass::Hold);
    let needed = (300..400).find(|requests| judged(&settings, arm(*requests, 0, 0), Arm::default()).class == VerdictClass::Pass).unwrap();
    assert_eq!(floor.reason, format!("299 requests, {} more good ones needed; at this traffic PASS in about 10 s", needed - 299));
}

#[test]
fn too_little_traffic_is_told_and_what_to_do() {
    let samples = [sample(0, Some(Arm::default()), Some(Arm::default())), sample(300, Some(arm(2, 0, 0)), Some(arm(198, 0, 0)))];
    let judge = |settings: &JudgeSettings| assess(settings, &samples, start(), at(300), &SourceState::default());
    assert_eq!(judge(&settings()).reason, "2 of 299 requests; cannot know at this traffic within 6 h: raise the weight");
    assert_eq!(judge(&settings()).forecast_seconds, None);
    let full = JudgeSettings { requested: Weight::FULL, ..settings() };
    assert_eq!(judge(&full).reason, "2 of 299 requests; cannot know at this traffic within 6 h: it needs more requests");
}

#[test]
fn no_data_is_hold_with_the_reason() {
    let settings = without_bake();
    let quiet = SourceState::default();
    let down = SourceState { missed: 4, reason: Some("connection refused".into()) };
    let hold = |samples: &[Sample], second, source: &SourceState| {
        let verdict = assess(&settings, samples, start(), at(second), source);
        assert_eq!(verdict.class, VerdictClass::Hold, "{}", verdict.reason);
        verdict.reason
    };
    let good = steady(200, 3);
    assert_eq!(assess(&settings, &good, start(), at(1000), &quiet).class, VerdictClass::Pass);
    assert_eq!(hold(&[], 5, &down), "no data yet: connection refused");
    assert_eq!(hold(&good[..1], 5, &quiet), "no data yet");
    assert_eq!(assess(&settings, &good, start(), at(1015), &quiet).class, VerdictClass::Pass);
    assert_eq!(hold(&good, 1016, &down), "no fresh sample for 16 s: connection refused");
    assert_eq!(hold(&good, 1001, &down), "no fresh sample for 1 s: connection refused");
    assert_eq!(hold(&good, 900, &quiet), "the metrics are stamped 1 min 40 s in the future: the clocks disagree");
    let with = |last: Sample| [&good[..], &[last]].concat();
    let nameless = "the metrics name no version: nothing was requested yet, or the metric's name or labels are wrong";
    assert_eq!(hold(&with(sample(1005, None, None)), 1005, &quiet), nameless);
    assert_eq!(hold(&with(sample(1005, None, Some(arm(60_000, 0, 0)))), 1005, &quiet), "the metrics name version new no more");
    let nan = with(sample(1005, Some(Arm { good: f64::NAN, ..Arm::default() }), None));
    assert_eq!(hold(&nan, 1005, &quiet), "the last sample was refused: version new: the request counter {code=\"200\"} is NaN");
}

#[test]
fn a_slow_source_is_not_late_and_a_stopped_one_is() {
    let every = |seconds: u32| -> Vec<Sample> {
        let at = |place: u32| (arm(place * 60, 0, 0), arm(place * 5_940, 0, 0));
        (0..20).map(|place| sample(i64::from(place * seconds), Some(at(place).0), Some(at(place).1))).collect()
    };
    let class = |samples: &[Sample], second| assess(&without_bake(), samples, start(), at(second), &SourceState::default()).class;
    let minutes = every(60);
    assert_eq!(class(&minutes, 19 * 60 + 59), VerdictClass::Pass);
    assert_eq!(class(&minutes, 19 * 60 + 181), VerdictClass::Hold);
    assert_eq!(class(&every(3600), 19 * 3600 + 600), VerdictClass::Hold, "no source is that slow");
}

#[test]
fn a_canary_without_requests_is_hold_and_a_dead_route_is_named() {
    assert_eq!(judged(&without_bake(), Arm::default(), arm(100, 0, 0)).reason, "no canary requests yet");
    let verdict = judged(&without_bake(), Arm::default(), arm(12_000, 0, 0));
    assert_eq!(
        said(&verdict),
        (VerdictClass::Hold, "no canary requests: stable had 12,000, at 1 % the canary should have had about 120; check the route")
    );
}

#[test]
fn a_share_that_was_not_asked_for_is_hold_with_the_likely_cause() {
    let settings = JudgeSettings { bake: Duration::ZERO, ..by_default() };
    let verdict = judged(&settings, arm(5_000, 0, 0), arm(5_000, 0, 0));
    assert_eq!(
        said(&verdict),
        (
            VerdictClass::Hold,
            "routing mismatch: the canary got 5,000 of 10,000 requests (50 %), asked for was 1 %; likely the router ignores weights and takes both backends alike"
        )
    );
    assert_eq!(judged(&settings, arm(100, 0, 0), arm(9_900, 0, 0)).class, VerdictClass::Hold, "below the floor");
    assert_eq!(judged(&settings, arm(1_000, 0, 0), arm(99_000, 0, 0)).class, VerdictClass::Pass);
    let harm = judged(&settings, arm(4_000, 1_000, 0), arm(5_000, 0, 0));
    assert_eq!(harm.class, VerdictClass::Rollback, "harm is harm at any share");
}

#[test]
fn pass_names_the_test_that_passed() {
    let settings = JudgeSettings { bake: Duration::ZERO, ..by_default() };
    let absolute = judged(&settings, arm(1_000, 0, 0), arm(99_000, 0, 0));
    assert_eq!(said(&absolute), (VerdictClass::Pass, "1,000 requests, errors 0 % (absolute test: under the limit 1 %)"));
    let relative = judged(&settings, arm(9_800, 200, 0), arm(970_200, 19_800, 0));
    assert_eq!(said(&relative), (VerdictClass::Pass, "10,000 requests, errors 2 % (relative test: not 2 times stable's 2 %)"));
    assert_eq!(relative.metrics[0].detail.as_ref().unwrap().passed_by, Some(PassedBy::Relative));
}

#[test]
fn a_canary_that_does_not_run_needs_no_numbers() {
    let mut judge = Judge::new(&by_default(), start());
    judge.down(Guard::ProgressDeadline);
    let verdict = judge.verdict(at(0), &SourceState::default());
    assert_eq!(said(&verdict), (VerdictClass::Rollback, "the canary does not run: it was not ready in the time it had"));
    judge.begin_release("newer", at(5));
    assert_eq!(judge.verdict(at(5), &SourceState::default()).class, VerdictClass::Hold);
}

#[test]
fn an_incident_of_the_environment_is_not_the_canarys() {
    let verdict = judged(&settings(), arm(900, 100, 0), arm(89_000, 10_000, 0));
    assert_eq!(
        said(&verdict),
        (VerdictClass::Hold, "environment incident: errors in 10 % of canary requests and 10.1 % of stable ones just now")
    );
    let alone = judged(&settings(), arm(57, 3, 0), arm(990, 10, 0));
    assert_eq!(said(&alone), (VerdictClass::Hold, "errors in 5 % of canary requests just now, stable 1 %: not yet proven worse"));
}

#[test]
fn a_canary_that_breaks_its_slo_as_stable_does_is_not_passed() {
    let verdict = judged(&without_bake(), arm(9_800, 200, 0), arm(970_000, 20_000, 0));
    assert_eq!(verdict.class, VerdictClass::Hold);
    assert!(
        verdict.reason.ends_with("more good ones needed; errors 2 % is over the limit 1 %: no PASS while that lasts"),
        "{}",
        verdict.reason
    );
    assert_eq!(verdict.forecast_seconds, None);
    let near = judged(&JudgeSettings { bake: Duration::ZERO, ..with_latency() }, arm(10_000, 0, 400), arm(990_000, 0, 39_600));
    assert!(near.reason.ends_with("slower than 250 ms 4 % is too near the limit 5 %: no PASS while that lasts"), "{}", near.reason);
}

#[test]
fn a_first_release_is_judged_by_the_slo_alone() {
    let first = JudgeSettings { bake: Duration::ZERO, ..JudgeSettings::new("new", None, Weight::FULL) };
    let good = judged(&first, arm(400, 0, 0), Arm::default());
    assert_eq!(
        said(&good),
        (
            VerdictClass::Pass,
            "400 requests, errors 0 % (limit 1 %); nothing to compare with: judged by the error SLO alone, no latency test"
        )
    );
    let broken = judged(&first, arm(20, 20, 0), Arm::default());
    assert_eq!(said(&broken), (VerdictClass::Rollback, "errors: 20 of 40 canary requests (50 %), the limit is 1 %"));
    let slow = JudgeSettings { latency: Some(LatencySettings { threshold_seconds: 0.25, slow_share: 0.10 }), ..first };
    assert_eq!(judged(&slow, arm(100, 0, 90), Arm::default()).class, VerdictClass::Rollback);
}

#[test]
fn latency_that_cannot_be_counted_is_hold() {
    let latency = Some(LatencySettings { threshold_seconds: 0.3, slow_share: 0.05 });
    let verdict = judged(&JudgeSettings { latency, ..without_bake() }, arm(1000, 0, 0), arm(99_000, 0, 0));
    assert_eq!(said(&verdict), (VerdictClass::Hold, "latency cannot be judged: the canary's histogram has no bucket bound at 0.3 s"));
    let mut samples = steady(200, 5);
    for sample in &mut samples {
        sample.versions.get_mut("new").unwrap().latency.clear();
    }
    let settings = JudgeSettings { bake: Duration::ZERO, ..with_latency() };
    let verdict = assess(&settings, &samples, start(), at(1000), &SourceState::default());
    assert_eq!(said(&verdict), (VerdictClass::Hold, "latency cannot be judged: the canary's requests come without durations"));
}

#[test]
fn settings_that_mean_nothing_hold() {
    let verdict = judged(&JudgeSettings { error_slo: 0.0, ..without_bake() }, arm(1000, 0, 0), arm(99_000, 0, 0));
    let said_so = "cannot judge with these settings: the error SLO must lie between 0 and 1, both excluded";
    assert_eq!(said(&verdict), (VerdictClass::Hold, said_so));
    assert!(serde_json::from_str::<Verdict>(&serde_json::to_string(&verdict).unwrap()).is_ok());
}

#[test]
fn evidence_goes_on_after_pass() {
    let mut samples = steady(200, 3);
    let pass = assess(&without_bake(), &samples, start(), at(1000), &SourceState::default());
    assert_eq!(pass.class, VerdictClass::Pass);
    samples.push(sample(1005, Some(arm(600, 9, 0)), Some(arm(59_800, 1, 0))));
    let turned = assess(&without_bake(), &samples, start(), at(1005), &SourceState::default());
    assert_eq!(turned.class, VerdictClass::Rollback);
    // What follows does not unprove it.
    samples.push(sample(1010, Some(arm(600_000, 9, 0)), Some(arm(60_000, 1, 0))));
    assert_eq!(assess(&without_bake(), &samples, start(), at(1010), &SourceState::default()).class, VerdictClass::Rollback);
}

#[test]
fn pass_is_of_the_last_weight_and_harm_of_all() {
    let mut judge = Judge::new(&without_bake(), start());
    let samples = steady(200, 3);
    for sample in &samples {
        judge.push(sample);
    }
    assert_eq!(judge.verdict(at(1000), &SourceState::default()).class, VerdictClass::Pass);
    judge.begin_weight(Weight::from_thousandths(50).unwrap(), at(1001));
    assert_eq!(judge.verdict(at(1001), &SourceState::default()).reason, "no canary requests yet");
    // Half of this interval was before the weight: for harm alone.
    judge.push(&sample(1005, Some(arm(605, 2, 0)), Some(arm(59_900, 1, 0))));
    assert_eq!(judge.verdict(at(1005), &SourceState::default()).canary_requests, 0);
    judge.push(&sample(1010, Some(arm(625, 2, 0)), Some(arm(60_000, 1, 0))));
    let verdict = judge.verdict(at(1010), &SourceState::default());
    assert_eq!((verdict.class, verdict.canary_requests, verdict.stable_requests), (VerdictClass::Hold, 20, 100));
    assert_eq!(judge.evidence().metric("errors").unwrap().over_all().canary_bad.to_bits(), 2.0_f64.to_bits());
    judge.push(&sample(1015, Some(arm(626, 9, 0)), Some(arm(60_100, 1, 0))));
    assert_eq!(judge.verdict(at(1015), &SourceState::default()).class, VerdictClass::Rollback);
}

#[test]
fn warm_up_does_not_count() {
    let settings = JudgeSettings { warm_up: Duration::from_secs(10), ..settings() };
    let mut samples = vec![sample(0, Some(Arm::default()), Some(Arm::default())), sample(5, Some(arm(50, 20, 0)), Some(arm(9_000, 0, 0)))];
    samples.push(sample(10, Some(arm(60, 20, 0)), Some(arm(9_900, 0, 0))));
    let judge = |samples: &[Sample], second| assess(&settings, samples, start(), at(second), &SourceState::default());
    assert!(judge(&samples, 10).reason.starts_with("no canary requests"));
    samples.push(sample(15, Some(arm(100, 20, 0)), Some(arm(10_800, 0, 0))));
    let verdict = judge(&samples, 15);
    assert_eq!((verdict.class, verdict.canary_requests, verdict.metrics[0].canary_bad), (VerdictClass::Hold, 40, 0));
}

#[test]
fn the_kind_changes_when_the_story_does() {
    let mut judge = Judge::new(&without_bake(), start());
    let mut seen = Vec::new();
    for sample in steady(150, 3) {
        judge.push(&sample);
        let kind = judge.kind(sample.at, &SourceState::default());
        assert_eq!(kind.class(), judge.verdict(sample.at, &SourceState::default()).class);
        seen.push(kind);
    }
    seen.push(judge.kind(at(10_000), &SourceState::default()));
    seen.dedup();
    assert_eq!(seen, [Kind::NoData, Kind::Gathering, Kind::Proven, Kind::NoData]);
}

#[test]
fn synthetic_traffic_is_named() {
    let mut samples = steady(1, 3);
    assert!(!assess(&settings(), &samples, start(), at(5), &SourceState::default()).synthetic);
    samples[1].versions.get_mut("new").unwrap().synthetic = Some(1.0);
    assert!(assess(&settings(), &samples, start(), at(5), &SourceState::default()).synthetic);
}

#[test]
fn graphs_show_gaps_as_gaps() {
    let samples = [
        sample(0, Some(arm(10, 0, 0)), None),
        sample(5, Some(arm(18, 2, 0)), None),
        sample(10, Some(arm(18, 2, 0)), None),
        sample(500, Some(arm(118, 2, 0)), None),
        sample(505, Some(arm(122, 3, 4)), None),
    ];
    let points = series_for_graph(&samples, "new", Duration::from_secs(5));
    let shown: Vec<_> = points.iter().map(|point| (point.error_rate, point.p95.map(|p95| p95.at_least))).collect();
    assert_eq!(shown, [(Some(0.2), Some(false)), (None, None), (None, None), (Some(0.2), Some(false))]);
    assert!((points[3].p95.unwrap().seconds - 0.953_125).abs() < 1e-9, "{:?}", points[3].p95);
    assert!(series_for_graph(&samples, "absent", Duration::from_secs(5)).iter().all(|point| point.error_rate.is_none()));
    let wide = series_for_graph(&samples[..3], "new", Duration::from_secs(10));
    assert_eq!(wide[1].error_rate, Some(0.2));
}
