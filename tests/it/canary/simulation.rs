//! The error levels that the settings promise, by simulation with a fixed seed: looked at after every interval, which is the worst
//! that an impatient person can do.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use hms::canary::{Buckets, Evidence, Interval, JudgeSettings, LatencySettings, MetricState, PassOn, VersionDelta};

use super::world::{settings, start};

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    /// Evenly from 0 to 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap();
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// Poisson, by multiplying evens (Knuth); for small means.
    fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.even(), 0.0);
        while product > limit {
            product *= self.even();
            count += 1.0;
        }
        count
    }

    /// Binomial: one by one for few requests; Poisson, its limit, for many.
    fn of(&mut self, all: f64, chance: f64) -> f64 {
        if all > 50.0 {
            return self.poisson(all * chance).min(all);
        }
        let (mut left, mut bad) = (all, 0.0);
        while left >= 1.0 {
            bad += f64::from(u8::from(self.even() < chance));
            left -= 1.0;
        }
        bad
    }
}

/// How an arm behaves.
#[derive(Clone, Copy)]
struct Health {
    errors: f64,
    slow: f64,
}

fn delta(dice: &mut Dice, requests: f64, health: Health) -> VersionDelta {
    let slow = dice.of(requests, health.slow);
    let latency = Buckets::new(vec![0.25], vec![requests - slow, requests]);
    VersionDelta { requests, errors: dice.of(requests, health.errors), latency, ..VersionDelta::default() }
}

fn interval(place: i32, new: VersionDelta, old: VersionDelta) -> Interval {
    let from = start() + TimeDelta::seconds(i64::from(place) * 5);
    let versions = BTreeMap::from([("new".to_owned(), new), ("old".to_owned(), old)]);
    Interval { from, to: from + TimeDelta::seconds(5), versions, refused: None }
}

fn harmed(evidence: &Evidence) -> bool {
    evidence.metrics().any(MetricState::harmed)
}

/// The most successes that chance explains: mean and 3.1 standard deviations of a binomial, a 1 in 1,000 event.
fn most_by_chance(runs: i32, level: f64) -> f64 {
    let mean = f64::from(runs) * level;
    mean + 3.1 * (mean * (1.0 - level)).sqrt()
}

#[test]
fn a_healthy_canary_is_rarely_rolled_back_however_often_one_looks() {
    let settings = JudgeSettings { latency: Some(LatencySettings { threshold_seconds: 0.25, slow_share: 0.05 }), ..settings() };
    let (runs, mut dice, mut alarms) = (2000, Dice(1), 0.0);
    let mut stable = Health { errors: 0.002, slow: 0.03 };
    for _ in 0..runs {
        let mut evidence = Evidence::new(&settings);
        for place in 0..200 {
            // A shared incident half-way, and a weight that rises: neither is the canary's fault.
            stable.errors = if (100..120).contains(&place) { 0.05 } else { 0.002 };
            if place == 100 {
                evidence.begin_weight();
            }
            let (new, old) = if place < 100 { (dice.poisson(2.5), 245.0) } else { (dice.poisson(12.5), 235.0) };
            let (new, old) = (delta(&mut dice, new, stable), delta(&mut dice, old, stable));
            evidence.observe(&interval(place, new, old));
            if harmed(&evidence) {
                alarms += 1.0;
                break;
            }
        }
    }
    println!("{alarms} false alarms in {runs}");
    assert!(alarms <= most_by_chance(runs, settings.alpha), "{alarms} false alarms in {runs}");
}

#[test]
fn a_first_release_at_its_limit_is_rarely_rolled_back_and_rarely_passed() {
    let settings = JudgeSettings { stable_version: None, absolute_only: true, ..settings() };
    let (runs, mut dice, mut alarms, mut passes) = (2000, Dice(2), 0.0, 0.0);
    let at_limit = Health { errors: 0.01, slow: 0.0 };
    for _ in 0..runs {
        let mut evidence = Evidence::new(&settings);
        let (mut alarm, mut pass) = (false, false);
        for place in 0..200 {
            let new = delta(&mut dice, 20.0, at_limit);
            evidence.observe(&interval(place, new, VersionDelta::default()));
            alarm |= harmed(&evidence);
            pass |= evidence.metric("errors").unwrap().passed();
        }
        alarms += f64::from(u8::from(alarm));
        passes += f64::from(u8::from(pass));
    }
    println!("{alarms} false alarms and {passes} false passes in {runs}");
    assert!(alarms <= most_by_chance(runs, settings.alpha), "{alarms} false alarms in {runs}");
    assert!(passes <= most_by_chance(runs, settings.beta), "{passes} false passes in {runs}");
    assert!(passes > 0.0, "the test has no power at all");
}

/// Canary requests until harm is proven, sorted; a run that finds nothing within 5,000 is infinite.
fn requests_until_harm(ratio: f64, runs: usize, seed: u64) -> Vec<f64> {
    let (stable, mut dice) = (Health { errors: 0.002, slow: 0.0 }, Dice(seed));
    let canary = Health { errors: stable.errors * ratio, ..stable };
    let mut found: Vec<f64> = (0..runs)
        .map(|_| {
            let mut evidence = Evidence::new(&settings());
            for place in 0..2000 {
                let requests = dice.poisson(2.5);
                let (new, old) = (delta(&mut dice, requests, canary), delta(&mut dice, 247.5, stable));
                evidence.observe(&interval(place, new, old));
                if harmed(&evidence) {
                    return evidence.over_all().canary;
                }
            }
            f64::INFINITY
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found
}

/// Medians published for this rule at 1 % of 50 requests a second and 0.2 % errors: 193 requests at ten times, 26 at fifty times.
#[test]
fn harm_is_found_within_the_planned_count() {
    for (ratio, median, nearly_all, seed) in [(10.0, 230.0, 700.0, 3), (50.0, 45.0, 120.0, 4)] {
        let found = requests_until_harm(ratio, 300, seed);
        println!("{ratio} times: median {}, 95 % {}", found[150], found[285]);
        assert!(found[150] <= median, "{ratio}: median {}", found[150]);
        assert!(found[285] <= nearly_all, "{ratio}: 95 % {}", found[285]);
    }
}

/// How many of so many canaries at a ratio are ever passed by the relative test.
fn passed_relatively(ratio: f64, runs: i32, seed: u64) -> f64 {
    let settings = JudgeSettings { pass_on: PassOn::Relative, ..settings() };
    let stable = Health { errors: 0.01, slow: 0.0 };
    let canary = Health { errors: stable.errors * ratio, ..stable };
    let (mut dice, mut passes) = (Dice(seed), 0.0);
    for _ in 0..runs {
        let mut evidence = Evidence::new(&settings);
        for place in 0..200 {
            let requests = dice.poisson(25.0);
            let (new, old) = (delta(&mut dice, requests, canary), delta(&mut dice, 225.0, stable));
            evidence.observe(&interval(place, new, old));
            if evidence.metric("errors").unwrap().passed() {
                passes += 1.0;
                break;
            }
        }
    }
    passes
}

#[test]
fn a_canary_twice_as_bad_rarely_passes_the_relative_test_and_a_healthy_one_does() {
    let runs = 1000;
    let (bad, good) = (passed_relatively(2.0, runs, 5), passed_relatively(1.0, 200, 6));
    println!("{bad} of {runs} bad ones and {good} of 200 good ones passed");
    assert!(bad <= most_by_chance(runs, 0.05), "{bad} of {runs}");
    assert!(bad > 0.0, "the test has no power at all");
    assert!(good >= 190.0, "{good} of 200");
}
