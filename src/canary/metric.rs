//! One metric: its three bets, its counts, and whether they passed or harmed.

use super::confidence;
use super::mixture::{Mixture, Trials, ratio_growth};
use super::ratio::{Points, Ratio};
use super::settings::{JudgeSettings, PassOn};
use super::whole;
use crate::event::{MetricDetail, PassedBy};

/// What happened in both arms, some of it bad.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Requests (for latency: durations) of the canary.
    pub canary: f64,
    /// Bad ones of the canary.
    pub canary_bad: f64,
    /// Requests of stable.
    pub stable: f64,
    /// Bad ones of stable.
    pub stable_bad: f64,
}

impl Counts {
    /// The canary's bad share; none without requests.
    #[must_use]
    pub fn canary_share(&self) -> Option<f64> {
        (self.canary > 0.0).then(|| self.canary_bad / self.canary)
    }

    /// Stable's bad share; none without requests.
    #[must_use]
    pub fn stable_share(&self) -> Option<f64> {
        (self.stable > 0.0).then(|| self.stable_bad / self.stable)
    }

    pub(super) fn of(canary: Trials, stable: Trials) -> Self {
        Self { canary: canary.all, canary_bad: canary.bad, stable: stable.all, stable_bad: stable.bad }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.canary += more.canary;
        self.canary_bad += more.canary_bad;
        self.stable += more.stable;
        self.stable_bad += more.stable_bad;
    }
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricState {
    name: String,
    limit: f64,
    threshold_seconds: Option<f64>,
    harm: Mixture,
    safe: Mixture,
    abs: Mixture,
    harmed: bool,
    /// When harm was proven, its counts at that moment: what came later has no part in it.
    over_all: Counts,
    this_weight: Counts,
    ratio: Ratio,
    ratio_before: Ratio,
    dispersion: Dispersion,
    pass_on: PassOn,
    pass_goal_ln: f64,
}

impl MetricState {
    pub(super) fn new(settings: &JudgeSettings, name: &str, limit: f64, threshold_seconds: Option<f64>) -> Self {
        // A rate is below 1; alternatives that would not be meet just under it.
        let highest = f64::midpoint(1.0, limit).max(0.99);
        let harm = if settings.absolute_only {
            Mixture::new(settings.absolute_harm_ratios.iter().map(|ratio| (ratio * limit).min(highest)))
        } else {
            Mixture::new(settings.harm_ratios.iter().copied())
        };
        Self {
            name: name.to_owned(),
            limit,
            threshold_seconds,
            harm: harm.keeping(settings.kept_stake).in_bursts(settings.burst),
            safe: safe_test(settings),
            abs: abs_test(settings, limit),
            harmed: false,
            over_all: Counts::default(),
            this_weight: Counts::default(),
            ratio: Ratio::default(),
            ratio_before: Ratio::default(),
            dispersion: Dispersion::default(),
            pass_on: settings.passes_on(),
            pass_goal_ln: settings.pass_goal_ln(),
        }
    }

    pub(super) fn observe(&mut self, settings: &JudgeSettings, points: &Points, canary: Trials, stable: Trials) {
        if settings.absolute_only {
            // H0: the rate keeps the SLO. A first release that is broken has nobody to look bad beside, and is found all the same.
            self.harm.bernoulli(canary, self.limit);
        } else {
            self.harm.compare(canary, stable, 1.0);
            self.safe.compare(canary, stable, settings.safe_ratio);
            self.ratio.observe(points, canary, stable);
            self.dispersion.observe(stable);
        }
        self.abs.bernoulli(canary, self.limit);
        if let Some(surplus) = settings.surplus {
            let most = self.pass_goal_ln + surplus.ln();
            self.safe.cut_to(most);
            self.abs.cut_to(most);
        }
        let counts = Counts::of(canary, stable);
        self.over_all.add(&counts);
        self.this_weight.add(&counts);
        let enough = self.over_all.canary_bad >= whole::float(settings.min_bad_events);
        // Kept once reached: proven at one moment is proven (Ville), what comes later does not unprove it.
        self.harmed = self.harmed || (enough && self.harm.ln_value() >= settings.harm_goal_ln());
    }

    /// Puts a part of what HARM kept on it; `number` counts from 1.
    pub(super) fn stake_anew(&mut self, number: u32) {
        self.harm.stake_anew(number);
    }

    /// A weight begins: what counts for PASS starts anew; what counts for HARM stays.
    pub(super) fn begin_weight(&mut self, settings: &JudgeSettings) {
        self.safe = safe_test(settings);
        self.abs = abs_test(settings, self.limit);
        self.this_weight = Counts::default();
        self.ratio_before = self.ratio.clone();
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The limit as a share of requests.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// For durations: what is slower than this is bad.
    #[must_use]
    pub fn threshold_seconds(&self) -> Option<f64> {
        self.threshold_seconds
    }

    /// ln of the HARM e-value.
    #[must_use]
    pub fn harm_ln(&self) -> f64 {
        self.harm.ln_value()
    }

    /// ln of the SAFE e-value, of this weight; 0 where there is nothing to compare with.
    #[must_use]
    pub fn safe_ln(&self) -> f64 {
        self.safe.ln_value()
    }

    /// ln of the ABS e-value, of this weight.
    #[must_use]
    pub fn abs_ln(&self) -> f64 {
        self.abs.ln_value()
    }

    /// Harm has been proven.
    #[must_use]
    pub fn harmed(&self) -> bool {
        self.harmed
    }

    /// Which test proves this metric good enough, when one has a say and does. The SLO is the stronger promise and is named first.
    #[must_use]
    pub fn passed_by(&self) -> Option<PassedBy> {
        let absolute = self.pass_on != PassOn::Relative && self.abs_ln() >= self.pass_goal_ln;
        let relative = self.pass_on != PassOn::Absolute && self.safe_ln() >= self.pass_goal_ln;
        match (absolute, relative) {
            (true, _) => Some(PassedBy::Absolute),
            (false, true) => Some(PassedBy::Relative),
            (false, false) => None,
        }
    }

    /// This metric is proven good enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.passed_by().is_some()
    }

    /// Counts over all weights.
    #[must_use]
    pub fn over_all(&self) -> Counts {
        self.over_all
    }

    /// Counts of this weight.
    #[must_use]
    pub fn this_weight(&self) -> Counts {
        self.this_weight
    }

    /// How bursty stable's bad requests are; none when too few were seen.
    #[must_use]
    pub fn dispersion(&self) -> Option<f64> {
        self.dispersion.value()
    }

    /// At the share of bad requests so far, more of the same never passes. Not said of fewer bad ones than `min_bad_events`: those
    /// are chance.
    #[must_use]
    pub fn stuck(&self, settings: &JudgeSettings) -> bool {
        let counts = self.this_weight;
        let absolute = || counts.canary_share().is_some_and(|share| !self.abs.grows_at(share, self.limit));
        let relative = || {
            // At (δ−1)/ln δ a bet on 1 against δ neither grows nor shrinks while stable has most of the requests.
            let turning = (settings.safe_ratio - 1.0) / settings.safe_ratio.ln();
            self.ratio.since(&self.ratio_before).guess().is_none_or(|ratio| ratio >= turning)
        };
        counts.canary_bad >= whole::float(settings.min_bad_events)
            && match self.pass_on {
                PassOn::Absolute => absolute(),
                PassOn::Relative => relative(),
                PassOn::Either => absolute() && relative(),
            }
    }

    /// More requests until [`passed`](Self::passed): all good for the absolute test, as good as stable's for the relative one,
    /// whichever is sooner. None when no number of them is enough.
    #[must_use]
    pub fn requests_until_passed(&self, settings: &JudgeSettings) -> Option<u64> {
        let absolute = (self.pass_on != PassOn::Relative).then(|| self.abs.good_requests_until(self.pass_goal_ln, self.limit)).flatten();
        let relative = (self.pass_on != PassOn::Absolute).then(|| self.as_good_until(settings)).flatten();
        absolute.into_iter().chain(relative).min()
    }

    fn as_good_until(&self, settings: &JudgeSettings) -> Option<u64> {
        let counts = self.this_weight;
        let rate = counts.stable_share().filter(|_| counts.canary > 0.0)?;
        let each = counts.stable / counts.canary;
        self.safe.requests_until(self.pass_goal_ln, |ratio| ratio_growth(ratio, settings.safe_ratio, 1.0, rate, each))
    }

    /// Everything there is to say, for the counts that a verdict is about.
    pub(super) fn detail(&self, settings: &JudgeSettings, points: &Points, counts: &Counts, over_all: bool) -> MetricDetail {
        let ratio = if over_all { self.ratio.clone() } else { self.ratio.since(&self.ratio_before) };
        let canary = Trials { all: counts.canary, bad: counts.canary_bad };
        let stable = Trials { all: counts.stable, bad: counts.stable_bad };
        let compared = !settings.absolute_only;
        MetricDetail {
            canary_all: whole::floor(counts.canary),
            stable_all: whole::floor(counts.stable),
            canary_rate: confidence::rate(canary, settings.burst),
            stable_rate: confidence::rate(stable, settings.burst),
            ratio: ratio.estimate(points, settings.burst),
            harm_goal_ln: settings.harm_goal_ln(),
            safe_ln: compared.then(|| finite(self.safe_ln())),
            safe_goal_ln: (self.pass_on != PassOn::Absolute).then_some(self.pass_goal_ln),
            abs_goal_ln: (self.pass_on != PassOn::Relative).then_some(self.pass_goal_ln),
            passed_by: self.passed_by(),
            dispersion: self.dispersion(),
        }
    }
}

/// JSON has no word for −∞, which a bet that lost everything has.
pub(super) fn finite(ln: f64) -> f64 {
    ln.clamp(f64::MIN, f64::MAX)
}

fn abs_test(settings: &JudgeSettings, limit: f64) -> Mixture {
    Mixture::new(settings.absolute_fractions.iter().map(|fraction| fraction * limit)).in_bursts(settings.burst)
}

fn safe_test(settings: &JudgeSettings) -> Mixture {
    Mixture::new(settings.safe_ratios.iter().copied()).in_bursts(settings.burst)
}

/// Variance over mean of stable's bad requests, from the steps between neighbouring intervals: a rate that drifts does not look bursty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Dispersion {
    last: Option<Trials>,
    steps: f64,
    squares: f64,
    all: f64,
    bad: f64,
}

/// So many steps and bad requests before a number is given.
const DISPERSION_STEPS: f64 = 20.0;
const DISPERSION_BAD: f64 = 30.0;

impl Dispersion {
    fn observe(&mut self, stable: Trials) {
        if stable.all <= 0.0 {
            return;
        }
        if let Some(last) = self.last.replace(stable) {
            let step = stable.bad / stable.all - last.bad / last.all;
            self.squares += step * step / (stable.all.recip() + last.all.recip());
            self.steps += 1.0;
        }
        self.all += stable.all;
        self.bad += stable.bad;
    }

    fn value(&self) -> Option<f64> {
        let enough = self.steps >= DISPERSION_STEPS && self.bad >= DISPERSION_BAD && self.bad < self.all;
        let rate = self.bad / self.all;
        enough.then(|| self.squares / self.steps / (rate * (1.0 - rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_show_in_the_dispersion() {
        let of = |bad: &dyn Fn(u32) -> f64| {
            let mut dispersion = Dispersion::default();
            for interval in 0..200 {
                dispersion.observe(Trials { all: 1000.0, bad: bad(interval) });
            }
            dispersion.value().unwrap()
        };
        // 10 on average: by turns 7 and 13 (a variance of 9), or 40 every fourth time (a variance of 300).
        let (even, bursty) =
            (of(&|interval| if interval % 2 == 0 { 7.0 } else { 13.0 }), of(&|interval| if interval % 4 == 0 { 40.0 } else { 0.0 }));
        assert!((1.0..2.5).contains(&even), "{even}");
        assert!(bursty > 20.0, "{bursty}");
        let drifting = of(&|interval| 5.0 + f64::from(interval) / 20.0);
        assert!(drifting < 0.1, "{drifting}");
        assert_eq!(Dispersion::default().value(), None);
    }
}
