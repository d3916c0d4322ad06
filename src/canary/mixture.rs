//! E-values: a bet against a hypothesis whose stake does not grow, on average, while the hypothesis holds.
//!
//! Therefore it is rarely ever large then (Ville: P(ever ≥ 1/α) ≤ α), however often one looks and whenever one stops. Each test bets
//! on several alternatives with equal shares; everything is kept as natural logs.
//!
//! Sources: Robbins 1970 (mixtures); Lindon, Sanden and Shirikian, KDD 2022, arXiv:2205.14762 (regressions in deployments);
//! Turner and Grünwald, arXiv:2302.11401 (stratified counts). The conditional mean of each factor is at most 1 for every ratio up to
//! the hypothesis's own (monotone likelihood ratio; binomial against hypergeometric by Hoeffding's convex order).

use super::whole;

/// One trial per request, so many of them bad.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Trials {
    /// Requests.
    pub(super) all: f64,
    /// Of these, bad ones.
    pub(super) bad: f64,
}

/// A bet on several alternatives: the log of each one's stake.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixture {
    alternatives: Vec<f64>,
    ln_stakes: Vec<f64>,
}

impl Mixture {
    /// Begins at 1 for each alternative.
    pub(super) fn new(alternatives: impl IntoIterator<Item = f64>) -> Self {
        let alternatives: Vec<f64> = alternatives.into_iter().collect();
        let ln_stakes = vec![0.0; alternatives.len()];
        Self { alternatives, ln_stakes }
    }

    /// Takes an interval in for H0 "the canary's bad rate is at most that of stable"; alternatives are ratios of the two.
    ///
    /// A bad request is the canary's with chance θ(ρ) = ρ·n / (ρ·n + m), for n canary and m stable requests. So e and f bad ones of
    /// either side weigh
    ///
    /// ```text
    /// e·ln(θ(ρ)/θ(1)) + f·ln((1−θ(ρ))/(1−θ(1))) = e·ln ρ + (e+f)·ln((n+m) / (ρ·n+m))
    /// ```
    ///
    /// and the right side has no logarithm of 0 where one side had no requests. Both sides are of one interval: what hits both cancels.
    pub(super) fn compare(&mut self, canary: Trials, stable: Trials) {
        let all = canary.all + stable.all;
        if all <= 0.0 {
            return;
        }
        for (ratio, ln_stake) in self.alternatives.iter().zip(&mut self.ln_stakes) {
            *ln_stake += canary.bad * ratio.ln() + (canary.bad + stable.bad) * (all / (ratio * canary.all + stable.all)).ln();
        }
    }

    /// Takes requests in for H0 "the bad rate is `limit`" against rates as alternatives. Alternatives below the limit test
    /// "at least the limit", alternatives above it "at most": each factor's mean is at most 1 on that whole side.
    pub(super) fn bernoulli(&mut self, canary: Trials, limit: f64) {
        let good = (canary.all - canary.bad).max(0.0);
        for (rate, ln_stake) in self.alternatives.iter().zip(&mut self.ln_stakes) {
            if canary.bad > 0.0 {
                *ln_stake += canary.bad * (rate / limit).ln();
            }
            *ln_stake += good * ln_good_factor(*rate, limit);
        }
    }

    /// ln of the e-value: the mean of the stakes.
    pub(super) fn ln_value(&self) -> f64 {
        ln_mean_exp(self.ln_stakes.iter().copied())
    }

    /// Whether requests with this share of bad ones let at least one stake of a Bernoulli test grow. Where none does, no number of
    /// such requests ever proves anything.
    pub(super) fn grows_at(&self, bad_share: f64, limit: f64) -> bool {
        self.alternatives.iter().any(|rate| {
            let of_bad = if bad_share > 0.0 { bad_share * (rate / limit).ln() } else { 0.0 };
            of_bad + (1.0 - bad_share) * ln_good_factor(*rate, limit) > 0.0
        })
    }

    /// How many more requests, all good, bring a Bernoulli test to `ln_goal`; none when no number of them does.
    pub(super) fn good_requests_until(&self, ln_goal: f64, limit: f64) -> Option<u64> {
        let after = |more: u64| {
            let stakes = self.alternatives.iter().zip(&self.ln_stakes);
            ln_mean_exp(stakes.map(|(rate, stake)| stake + whole::float(more) * ln_good_factor(*rate, limit)))
        };
        let mut enough = 0_u64;
        while after(enough) < ln_goal {
            enough = enough.checked_mul(2)?.max(1);
            if enough > 1 << 50 {
                return None;
            }
        }
        let mut too_few = enough / 2;
        while too_few + 1 < enough {
            let middle = too_few + (enough - too_few) / 2;
            *(if after(middle) < ln_goal { &mut too_few } else { &mut enough }) = middle;
        }
        Some(enough)
    }
}

/// ln((1−rate)/(1−limit)): what one good request adds.
fn ln_good_factor(rate: f64, limit: f64) -> f64 {
    (-rate).ln_1p() - (-limit).ln_1p()
}

/// ln of the mean of e^x, without overflow; −∞ only when all are.
fn ln_mean_exp(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return highest;
    }
    let (sum, count) = logs.fold((0.0, 0.0), |(sum, count), log| (sum + (log - highest).exp(), count + 1.0));
    highest + (sum / count).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    /// The formula as it is written in the literature, term by term.
    #[test]
    fn the_comparison_is_the_textbook_sum() {
        let (canary, stable, ratio) = (Trials { all: 120.0, bad: 14.0 }, Trials { all: 11_880.0, bad: 3.0 }, 8.0);
        let theta = |ratio: f64| ratio * canary.all / (ratio * canary.all + stable.all);
        let textbook = canary.bad * (theta(ratio) / theta(1.0)).ln() + stable.bad * ((1.0 - theta(ratio)) / (1.0 - theta(1.0))).ln();
        let mut mixture = Mixture::new([ratio]);
        mixture.compare(canary, stable);
        close(mixture.ln_value(), textbook);
    }

    #[test]
    fn one_side_alone_tells_nothing() {
        let mut mixture = Mixture::new([2.0, 64.0]);
        mixture.compare(Trials { all: 10.0, bad: 10.0 }, Trials::default());
        mixture.compare(Trials::default(), Trials { all: 10.0, bad: 10.0 });
        mixture.compare(Trials::default(), Trials::default());
        close(mixture.ln_value(), 0.0);
    }

    /// Under H0 the mean of the next factor is at most 1: summed over all outcomes of a few requests, by the exact hypergeometric law.
    #[test]
    fn the_stake_does_not_grow_under_the_hypothesis() {
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1));
        for (canary_all, stable_all, bad) in [(1_u32, 9_u32, 1_u32), (2, 20, 3), (5, 5, 4)] {
            for ratio in [2.0, 4.0, 64.0] {
                let mean: f64 = (0..=bad.min(canary_all))
                    .filter(|canary_bad| bad - canary_bad <= stable_all)
                    .map(|canary_bad| {
                        let mut mixture = Mixture::new([ratio]);
                        mixture.compare(
                            Trials { all: canary_all.into(), bad: canary_bad.into() },
                            Trials { all: stable_all.into(), bad: (bad - canary_bad).into() },
                        );
                        let chance =
                            choose(canary_all, canary_bad) * choose(stable_all, bad - canary_bad) / choose(canary_all + stable_all, bad);
                        chance * mixture.ln_value().exp()
                    })
                    .sum();
                assert!(mean <= 1.0 + 1e-9, "{canary_all}:{stable_all} {bad} bad, ratio {ratio}: {mean}");
            }
        }
    }

    /// The zero-failure bound, found by the search: ln 20 / −ln(1−SLO).
    #[test]
    fn good_requests_are_counted_to_the_one() {
        for (limit, needed) in [(0.05, 59), (0.02, 149), (0.01, 299), (0.005, 598), (0.001, 2995)] {
            let mut mixture = Mixture::new([0.0]);
            assert_eq!(mixture.good_requests_until(20.0_f64.ln(), limit), Some(needed));
            mixture.bernoulli(Trials { all: f64::from(u32::try_from(needed).unwrap()), bad: 0.0 }, limit);
            assert!(mixture.ln_value() >= 20.0_f64.ln());
            assert_eq!(mixture.good_requests_until(20.0_f64.ln(), limit), Some(0));
        }
    }

    #[test]
    fn near_the_limit_nothing_grows() {
        let mixture = Mixture::new([0.0, 0.005, 0.0125]);
        for (share, grows) in [(0.0, true), (0.02, true), (0.026, true), (0.028, false), (0.05, false), (1.0, false)] {
            assert_eq!(mixture.grows_at(share, 0.05), grows, "{share}");
        }
    }

    #[test]
    fn one_failure_kills_the_alternative_of_none_only() {
        let mut mixture = Mixture::new([0.0, 0.001, 0.0025]);
        mixture.bernoulli(Trials { all: 1.0, bad: 1.0 }, 0.01);
        close(mixture.ln_value(), ((0.1 + 0.25) / 3.0_f64).ln());
        assert!(mixture.good_requests_until(20.0_f64.ln(), 0.01).is_some());
        let mut hopeless = Mixture::new([0.0]);
        hopeless.bernoulli(Trials { all: 1.0, bad: 1.0 }, 0.01);
        assert_eq!(hopeless.good_requests_until(20.0_f64.ln(), 0.01), None);
    }
}
