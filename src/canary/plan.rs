//! What can be known when, before a canary starts: closed formulae for the three tests (`docs/judge.md`).
//!
//! Wald's mean for the best of each test's alternatives, with the price of betting on all of them. Half of all canaries are a little
//! sooner, the slowest tenth takes about twice as long.

use std::time::Duration;

use super::forecast::{requests_to_find, requests_to_pass, traffic_time};
use super::settings::JudgeSettings;

/// The traffic that is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests a second of both arms.
    pub per_second: f64,
    /// Stable's bad rate, 0 to 1.
    pub bad_rate: f64,
    /// The limit of it.
    pub limit: f64,
}

/// What one share can know when. A time that is none never comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The canary's share.
    pub share: f64,
    /// Canary requests a second.
    pub per_second: f64,
    /// The floor is reached.
    pub floor: Option<Duration>,
    /// ABS passes a canary as good as stable.
    pub absolute: Option<Duration>,
    /// SAFE passes it.
    pub relative: Option<Duration>,
    /// PASS: the first of the two that has a say, with floor and bake.
    pub pass: Option<Duration>,
    /// HARM finds a canary that is so many times as bad.
    pub finds: Vec<(f64, Option<Duration>)>,
}

/// Plans for one share, above 0 and below 1, or 1 for all traffic with nothing to compare with.
#[must_use]
pub fn known(settings: &JudgeSettings, traffic: Traffic, share: f64, ratios: &[f64]) -> Known {
    let per_second = traffic.per_second * share;
    let each = share.recip() - 1.0;
    let time = |requests: Option<u64>| traffic_time(requests?, Some(per_second));
    let (absolute, relative) = requests_to_pass(settings, traffic.limit, traffic.bad_rate, each);
    let (absolute, relative, floor) = (time(absolute), time(relative), time(Some(settings.floor())));
    let soonest = absolute.into_iter().chain(relative).min();
    let pass = soonest.zip(floor).map(|(evidence, floor)| evidence.max(floor).max(settings.bake));
    let finds = ratios.iter().map(|ratio| (*ratio, time(requests_to_find(settings, *ratio, traffic.bad_rate, each)))).collect();
    Known { share, per_second, floor, absolute, relative, pass, finds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Weight;

    /// Simulated medians for this rule at 1 % and 0.2 % errors: ten times as bad after 193 canary requests, fifty times after 26; the
    /// relative test needs some 9.8/p at β = 5 %.
    #[test]
    fn plans_are_those_of_the_simulation() {
        let settings = JudgeSettings::new("new", Some("old".into()), Weight::ZERO);
        let traffic = Traffic { per_second: 50.0, bad_rate: 0.002, limit: 0.01 };
        let known = known(&settings, traffic, 0.01, &[2.0, 10.0, 50.0, 1.0]);
        let requests = |time: Option<Duration>| time.unwrap().as_secs_f64() * known.per_second;
        assert_eq!(requests(known.floor).round().to_bits(), 299.0_f64.to_bits());
        assert!((150.0..260.0).contains(&requests(known.finds[1].1)), "{:?}", known.finds);
        assert!((20.0..50.0).contains(&requests(known.finds[2].1)), "{:?}", known.finds);
        assert!((6_000.0..12_000.0).contains(&requests(known.finds[0].1)), "{:?}", known.finds);
        assert!((5_500.0..8_500.0).contains(&requests(known.relative)), "{known:?}");
        assert!((800.0..1_300.0).contains(&requests(known.absolute)), "{known:?}");
        assert_eq!(known.pass, known.absolute);
        assert_eq!(known.finds[3].1, None, "a canary as good as stable is never found to do harm");
    }
}
