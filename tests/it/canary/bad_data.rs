//! Bad data in the place of the newest sample, or all along: none of it is a PASS or a ROLLBACK by itself, and each is told as what it is.

use chrono::TimeDelta;
use hms::canary::{SourceState, assess};
use hms::event::{CounterSeries, Sample, VerdictClass};

use super::world::{Arm, arm, at, sample, start, without_bake};

/// A good canary that passes, with so many samples.
fn good() -> Vec<Sample> {
    (0..201).map(|place| sample(i64::from(place) * 5, Some(arm(place * 3, 0, 0)), Some(arm(place * 297, 0, 0)))).collect()
}

fn verdict(samples: &[Sample], second: i64) -> (VerdictClass, String) {
    let verdict = assess(&without_bake(), samples, start(), at(second), &SourceState::default());
    (verdict.class, verdict.reason)
}

fn changed(mut sample: Sample, change: impl FnOnce(&mut Sample)) -> Sample {
    change(&mut sample);
    sample
}

#[test]
fn a_bad_newest_sample_takes_the_pass_away_and_says_why() {
    let good = good();
    assert_eq!(verdict(&good, 1000).0, VerdictClass::Pass);
    let next = || sample(1005, Some(arm(603, 0, 0)), Some(arm(59_697, 0, 0)));
    let value = |value: f64| {
        changed(next(), |sample| {
            let counters = sample.versions.get_mut("new").unwrap();
            counters.requests[0].value = value;
        })
    };
    for (what, last, why) in [
        ("NaN", value(f64::NAN), "is NaN"),
        ("infinite", value(f64::INFINITY), "is inf"),
        ("negative", value(-1.0), "is -1"),
        ("an hour behind", changed(next(), |sample| sample.at -= TimeDelta::hours(1)), "refused"),
        ("no version named", sample(1005, None, None), "name no version"),
        ("the canary's label gone", sample(1005, None, Some(arm(59_697, 0, 0))), "name version new no more"),
    ] {
        let (class, reason) = verdict(&[&good[..], &[last]].concat(), 1005);
        assert_eq!(class, VerdictClass::Hold, "{what}: {reason}");
        assert!(reason.contains(why), "{what}: {reason}");
    }
    // Its clock an hour ahead: nothing is known of now.
    let ahead: Vec<Sample> = good.iter().cloned().map(|one| changed(one, |sample| sample.at += TimeDelta::hours(1))).collect();
    let (class, reason) = verdict(&ahead, 1000);
    assert!(class == VerdictClass::Hold && reason.contains("in the future"), "{reason}");
    // And the next good sample brings the PASS back: nothing was lost.
    let recovered = [&good[..], &[value(f64::NAN), sample(1010, Some(arm(606, 0, 0)), Some(arm(59_994, 0, 0)))]].concat();
    assert_eq!(verdict(&recovered, 1010).0, VerdictClass::Pass);
}

#[test]
fn two_versions_that_report_as_one_count_for_nobody() {
    let good = good();
    assert_eq!(verdict(&good, 1000).0, VerdictClass::Pass);
    // The canary's label on two images, both with requests: what a track or a service as the version's label comes to.
    let of_two = |second: i64, requests: f64, bad: f64| {
        changed(sample(second, Some(arm(603, 0, 0)), Some(arm(59_697, 0, 0))), |sample| {
            let counters = sample.versions.get_mut("new").unwrap();
            let series = counters.requests[0].clone();
            let image = |image: &str, value, error| CounterSeries { key: format!("{},image=\"{image}\"", series.key), error, value };
            counters.requests = vec![image("shop:1", requests, false), image("shop:2", bad, true)];
        })
    };
    let mixed = [&good[..], &[of_two(1005, 300.0, 300.0)]].concat();
    let (class, reason) = verdict(&mixed, 1005);
    assert_eq!(class, VerdictClass::Hold, "{reason}");
    assert!(reason.contains("version new: two versions report as one: image is shop:1 and shop:2"), "{reason}");
    // The old one's counters stand still: one version again, and nothing of the two was counted.
    let (class, reason) = verdict(&[&mixed[..], &[of_two(1010, 303.0, 300.0)]].concat(), 1010);
    assert_eq!(class, VerdictClass::Pass, "{reason}");
}

#[test]
fn counters_that_start_again_at_every_interval_are_no_harm_and_count_no_more_than_was_shown() {
    // Each scrape finds another process: 3 requests since its start, and never an error.
    let samples: Vec<Sample> =
        (0..60_u32).map(|place| sample(i64::from(place) * 5, Some(arm(3 - place % 3, 0, 0)), Some(arm(297 - place % 3, 0, 0)))).collect();
    let verdict = assess(&without_bake(), &samples, start(), at(295), &SourceState::default());
    assert_eq!(verdict.class, VerdictClass::Hold, "{}", verdict.reason);
    assert!(verdict.canary_requests <= 3 * 60, "{}", verdict.canary_requests);
}

#[test]
fn no_traffic_is_no_verdict_however_long_it_lasts() {
    let idle = Arm::default();
    let samples: Vec<Sample> = (0..5_000).map(|place| sample(place * 5, Some(idle), Some(idle))).collect();
    let (class, reason) = verdict(&samples, 24_995);
    assert!(class == VerdictClass::Hold && reason.contains("no canary requests"), "{reason}");
}
