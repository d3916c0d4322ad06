//! What must hold for every row of samples.

use std::time::Duration;

use chrono::TimeDelta;
use hms::canary::{Buckets, Evidence, Judge, JudgeSettings, MetricState, Observed, Reading, SourceState, Trials, assess, deltas, quantile};
use hms::event::{OwnMetric, Sample, VerdictClass};
use proptest::prelude::*;

use super::world::{Arm, arm, at, by_default, sample, start, with_latency, without_bake};

/// Two metrics of the user's own beside errors, without what depends on where an interval ends.
fn three_metrics(order: [&str; 2]) -> JudgeSettings {
    let own = |name: &str| OwnMetric { name: name.to_owned(), slo: 0.05, threshold_seconds: None };
    JudgeSettings { own: order.map(own).to_vec(), surplus: None, kept_stake: 0.0, ..by_default() }
}

/// Canary and stable requests, and for each of three metrics the bad ones.
type Row = (u32, u32, [(u32, u32); 3]);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let counts = (0_u32..400, 0_u32..8000, (0_u32..9, 0_u32..30), (0_u32..9, 0_u32..30), (0_u32..9, 0_u32..30));
    let row = counts.prop_map(|(canary, stable, a, b, c)| (canary + 40, stable + 100, [a, b, c]));
    proptest::collection::vec(row, 1..40)
}

fn observed(from: i64, to: i64, canary: f64, stable: f64, bad: &[(f64, f64)]) -> Observed {
    let reading = |(of_canary, of_stable): &(f64, f64)| {
        Reading::Counts(Trials { all: canary, bad: *of_canary }, Trials { all: stable, bad: *of_stable })
    };
    Observed {
        from: at(from),
        to: at(to),
        canary,
        stable,
        everyone: canary + stable,
        both_named: true,
        synthetic: false,
        readings: bad.iter().map(reading).collect(),
    }
}

fn bets(evidence: &Evidence, name: &str) -> [f64; 3] {
    let state = evidence.metric(name).unwrap();
    [state.harm_ln(), state.safe_ln(), state.abs_ln()]
}

fn close(left: [f64; 3], right: [f64; 3]) -> bool {
    left.iter().zip(&right).all(|(left, right)| left.to_bits() == right.to_bits() || (left - right).abs() <= 1e-9 * left.abs().max(1.0))
}

/// Cumulative counts that may fall (a restart), and arms that come and go.
fn an_arm() -> impl Strategy<Value = Option<Arm>> {
    let counts = (0_u32..2000, 0_u32..40).prop_flat_map(|(good, errors)| (Just(good), Just(errors), 0..=good + errors));
    proptest::option::weighted(0.9, counts.prop_map(|(good, errors, slow)| arm(good, errors, slow)))
}

fn a_row(longest: usize) -> impl Strategy<Value = Vec<Sample>> {
    proptest::collection::vec((1_i64..20, an_arm(), an_arm()), 1..longest).prop_map(|steps| {
        let mut second = 0;
        let step = |(wait, new, old)| {
            second += wait;
            sample(second, new, old)
        };
        steps.into_iter().map(step).collect()
    })
}

/// Counts that only grow, as those of a living process.
fn a_growing_row() -> impl Strategy<Value = Vec<Sample>> {
    proptest::collection::vec((0_u32..300, 0_u32..4, 0_u32..3000, 0_u32..20), 2..40).prop_map(|steps| {
        let (mut new, mut old) = ((0, 0), (0, 0));
        let grow = |(second, (good, bad, old_good, old_bad)): (i64, (u32, u32, u32, u32))| {
            new = (new.0 + good, new.1 + bad);
            old = (old.0 + old_good, old.1 + old_bad);
            sample(second * 5, Some(arm(new.0, new.1, 0)), Some(arm(old.0, old.1, 0)))
        };
        (0..).zip(steps).map(grow).collect()
    })
}

/// Requests, errors and durations of all intervals and versions.
fn sums(samples: &[Sample]) -> [f64; 3] {
    let intervals = deltas(samples);
    let of = |pick: fn(&hms::canary::VersionDelta) -> f64| intervals.iter().flat_map(|interval| interval.versions.values()).map(pick).sum();
    [of(|delta| delta.requests), of(|delta| delta.errors), of(|delta| delta.latency.as_ref().map_or(0.0, Buckets::total))]
}

fn bake_free(settings: JudgeSettings) -> JudgeSettings {
    JudgeSettings { bake: Duration::ZERO, ..settings }
}

fn last_moment(samples: &[Sample]) -> chrono::DateTime<chrono::Utc> {
    samples.last().map_or(start(), |last| last.at)
}

proptest! {
    #[test]
    fn nothing_is_ever_negative(samples in a_row(30)) {
        for interval in deltas(&samples) {
            prop_assert!(interval.from <= interval.to && interval.refused.is_none());
            for delta in interval.versions.values() {
                prop_assert!(delta.requests >= 0.0 && delta.errors >= 0.0 && delta.errors <= delta.requests);
                let slow = delta.slow(0.25).unwrap_or(0.0);
                prop_assert!(slow >= 0.0 && slow <= delta.latency.as_ref().map_or(0.0, Buckets::total));
                let counts = delta.latency.as_ref().map_or(&[][..], Buckets::counts);
                prop_assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]));
            }
        }
    }

    #[test]
    fn looking_more_often_never_loses_counts(samples in a_row(30), kept in proptest::collection::vec(any::<bool>(), 30)) {
        let coarse: Vec<Sample> =
            samples.iter().zip(kept).enumerate().filter(|(place, (_, kept))| *place == 0 || *kept).map(|(_, (sample, _))| sample.clone()).collect();
        // The same end for both, so that both have seen the same.
        let coarse = if coarse.last() == samples.last() { coarse } else { [&coarse[..], &samples[samples.len() - 1..]].concat() };
        for (fine, rough) in sums(&samples).into_iter().zip(sums(&coarse)) {
            prop_assert!(fine >= rough, "{fine} {rough}");
        }
    }

    #[test]
    fn without_restarts_every_request_is_counted_once(samples in a_growing_row()) {
        let total = |sample: &Sample| -> f64 { sample.versions.values().flat_map(|version| &version.requests).map(|series| series.value).sum() };
        prop_assert!((sums(&samples)[0] - (total(&samples[samples.len() - 1]) - total(&samples[0]))).abs() < 1e-6);
    }

    #[test]
    fn the_verdict_is_a_function_of_the_prefix(samples in a_row(25), weight_at in 0_i64..200) {
        let settings = bake_free(with_latency());
        let source = SourceState::default();
        let watched = start() + TimeDelta::seconds(weight_at);
        let mut judge = Judge::new(&settings, watched);
        for place in 0..samples.len() {
            judge.push(&samples[place]);
            let now = samples[place].at;
            let whole = assess(&settings, &samples[..=place], watched, now, &source);
            prop_assert_eq!(&judge.verdict(now, &source), &whole);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::to_string(&serde_json::from_str::<hms::event::Verdict>(&text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn harm_once_proven_stays(samples in a_row(25)) {
        let mut judge = Judge::new(&with_latency(), start());
        let mut proven = false;
        for sample in &samples {
            judge.push(sample);
            let harmed = judge.verdict(sample.at, &SourceState::default()).class == VerdictClass::Rollback;
            prop_assert!(harmed || !proven);
            proven = harmed;
        }
    }

    #[test]
    fn no_canary_requests_is_never_pass(samples in a_growing_row(), source in (0_u32..5).prop_map(|missed| SourceState { missed, reason: None })) {
        let silent: Vec<Sample> = samples.into_iter().map(|mut sample| { sample.versions.remove("new"); sample }).collect();
        let verdict = assess(&without_bake(), &silent, start(), last_moment(&silent), &source);
        prop_assert_eq!(verdict.class, VerdictClass::Hold);
    }

    #[test]
    fn no_fresh_data_is_never_pass(samples in a_growing_row(), age in 16_i64..100_000) {
        let now = last_moment(&samples) + TimeDelta::seconds(age);
        prop_assert_ne!(assess(&without_bake(), &samples, start(), now, &SourceState::default()).class, VerdictClass::Pass);
    }

    #[test]
    fn a_last_sample_that_is_no_count_is_never_pass(samples in a_growing_row(), bad in prop_oneof![Just(f64::NAN), Just(-1.0), Just(f64::INFINITY)], place in 0_usize..3) {
        let mut samples = samples;
        let counters = samples.last_mut().unwrap().versions.get_mut("new").unwrap();
        match place {
            0 => counters.requests[0].value = bad,
            1 => counters.requests[1].value = bad,
            _ => counters.latency[0].counts[1] = bad,
        }
        prop_assert_ne!(assess(&without_bake(), &samples, start(), last_moment(&samples), &SourceState::default()).class, VerdictClass::Pass);
    }

    #[test]
    fn fewer_than_the_floor_is_never_pass(good in 0_u32..299) {
        prop_assert_ne!(super::world::judged(&without_bake(), arm(good, 0, 0), arm(good * 99, 0, 0)).class, VerdictClass::Pass);
    }

    #[test]
    fn a_quantile_lies_in_its_bucket(counts in proptest::collection::vec(0_u32..50, 4), q in 0.0_f64..=1.0) {
        let bounds = [0.1, 0.25, 1.0];
        let cumulative: Vec<f64> = counts.iter().scan(0, |sum, count| { *sum += count; Some(f64::from(*sum)) }).collect();
        let total = cumulative[3];
        let buckets = Buckets::new(bounds.to_vec(), cumulative.clone()).unwrap();
        match quantile(&buckets, q) {
            None => prop_assert!(total == 0.0),
            Some(found) if found.at_least => prop_assert!(q * total > cumulative[2]),
            Some(found) => prop_assert!((0.0..=1.0).contains(&found.seconds) && q * total <= cumulative[2]),
        }
    }

    /// An interval in two halves with the same rates says the same, whichever half the bad requests fall in.
    #[test]
    fn where_an_interval_is_cut_does_not_matter(rows in rows(), first in 0_u32..=100) {
        let settings = three_metrics(["a", "b"]);
        let (mut whole, mut cut) = (Evidence::new(&settings), Evidence::new(&settings));
        for (place, (canary, stable, bad)) in (0_i64..).zip(&rows) {
            let (canary, stable) = (f64::from(*canary), f64::from(*stable));
            let bad: Vec<(f64, f64)> = bad.iter().map(|(canary, stable)| (f64::from(*canary), f64::from(*stable))).collect();
            whole.take(observed(place * 60, place * 60 + 60, canary, stable, &bad));
            let part = f64::from(first) / 100.0;
            let early: Vec<(f64, f64)> = bad.iter().map(|(canary, stable)| ((canary * part).floor(), (stable * part).ceil())).collect();
            let late: Vec<(f64, f64)> = bad.iter().zip(&early).map(|(all, early)| (all.0 - early.0, all.1 - early.1)).collect();
            cut.take(observed(place * 60, place * 60 + 30, canary / 2.0, stable / 2.0, &early));
            cut.take(observed(place * 60 + 30, place * 60 + 60, canary / 2.0, stable / 2.0, &late));
        }
        for name in ["errors", "a", "b"] {
            prop_assert!(close(bets(&whole, name), bets(&cut, name)), "{:?} {:?}", bets(&whole, name), bets(&cut, name));
        }
    }

    #[test]
    fn the_order_of_metrics_does_not_matter(rows in rows()) {
        let (mut one, mut other) = (Judge::new(&three_metrics(["a", "b"]), start()), Judge::new(&three_metrics(["b", "a"]), start()));
        for (place, (canary, stable, bad)) in (0_i64..).zip(&rows) {
            let bad: Vec<(f64, f64)> = bad.iter().map(|(canary, stable)| (f64::from(*canary), f64::from(*stable))).collect();
            let (canary, stable) = (f64::from(*canary), f64::from(*stable));
            one.take(observed(place * 60, place * 60 + 60, canary, stable, &bad));
            other.take(observed(place * 60, place * 60 + 60, canary, stable, &[bad[0], bad[2], bad[1]]));
            let now = at(place * 60 + 60);
            let (one, other) = (one.verdict(now, &SourceState::default()), other.verdict(now, &SourceState::default()));
            prop_assert_eq!((one.class, one.forecast_seconds), (other.class, other.forecast_seconds));
            for metric in &one.metrics {
                prop_assert_eq!(Some(metric), other.metrics.iter().find(|same| same.name == metric.name));
            }
        }
    }

    /// Ten times the traffic in a tenth of the time: the same evidence.
    #[test]
    fn the_scale_of_time_does_not_matter(rows in rows(), slower in 1_u32..50) {
        let settings = JudgeSettings { bake: Duration::from_mins(10), ..by_default() };
        let slow = JudgeSettings { bake: settings.bake * slower, fresh_stake: settings.fresh_stake * slower, scrape_interval: settings.scrape_interval * slower, ..settings.clone() };
        let (mut quick_judge, mut slow_judge) = (Judge::new(&settings, start()), Judge::new(&slow, start()));
        for (place, (canary, stable, bad)) in (0_i64..).zip(&rows) {
            let bad = [(f64::from(bad[0].0), f64::from(bad[0].1))];
            let (canary, stable) = (f64::from(*canary), f64::from(*stable));
            let times = i64::from(slower);
            quick_judge.take(observed(place * 60, place * 60 + 60, canary, stable, &bad));
            slow_judge.take(observed(place * 60 * times, (place + 1) * 60 * times, canary, stable, &bad));
            let bets_of = |judge: &Judge| bets(judge.evidence(), "errors");
            prop_assert!(close(bets_of(&quick_judge), bets_of(&slow_judge)));
            let passed = |judge: &Judge| judge.evidence().metrics().all(MetricState::passed);
            prop_assert_eq!(passed(&quick_judge), passed(&slow_judge));
        }
    }

    /// Without a canary request that was counted, or below the floor, there is no PASS, whatever the settings are.
    #[test]
    fn no_pass_without_requests(rows in rows(), floor in 1_u64..3000, beta in 0.01_f64..0.9) {
        let settings = JudgeSettings { min_requests: Some(floor), beta, bake: Duration::ZERO, share_tolerance: None, ..by_default() };
        let mut judge = Judge::new(&settings, start());
        let mut seen = 0_u64;
        for (place, (canary, stable, bad)) in (0_i64..).zip(&rows) {
            seen += u64::from(*canary);
            let bad = [(f64::from(bad[0].0) * 0.1, f64::from(bad[0].1))];
            judge.take(observed(place * 60, place * 60 + 60, f64::from(*canary), f64::from(*stable), &bad));
            let verdict = judge.verdict(at(place * 60 + 60), &SourceState::default());
            prop_assert!(verdict.class != VerdictClass::Pass || seen >= floor, "{seen} of {floor}");
        }
        let mut deaf = Judge::new(&JudgeSettings { judge_errors: false, ..settings }, start());
        for place in 0..50 {
            deaf.take(observed(place * 60, place * 60 + 60, 1000.0, 99_000.0, &[]));
        }
        prop_assert_eq!(deaf.verdict(at(3000), &SourceState::default()).class, VerdictClass::Hold);
    }
}
