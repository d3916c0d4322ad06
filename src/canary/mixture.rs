//! E-values: a bet against a hypothesis whose stake does not grow, on average, while the hypothesis holds.
//!
//! Therefore it is rarely ever large then (Ville: P(ever ≥ 1/α) ≤ α), however often one looks and whenever one stops. Each test bets
//! on several alternatives with equal shares; everything is kept as natural logs.
//!
//! Sources: Robbins 1970 (mixtures); Lindon, Sanden and Shirikian, KDD 2022, arXiv:2205.14762 (regressions in deployments);
//! Turner and Grünwald, arXiv:2302.11401 (stratified counts). The proof, which needs neither constant rates nor equal requests, is
//! `docs/decisions.md` 21.1; that of bursts 21.7.

use super::whole;

/// Things that happened, so many of them bad.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trials {
    /// Requests, or what else is counted.
    pub all: f64,
    /// Of these, bad ones.
    pub bad: f64,
}

/// A bet on several alternatives: the log of each one's stake, and the part of the capital that is kept for later stakes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixture {
    alternatives: Vec<f64>,
    ln_stakes: Vec<f64>,
    kept: f64,
    /// ln of the e-value, kept beside what it comes from: it is asked for many times between two changes.
    ln_value: f64,
    /// What of each alternative does not change from one interval to the next, and the hypothesis that this is for.
    constants: Option<(f64, Vec<f64>)>,
    /// 1 over the length of a burst of requests that fail together.
    per_burst: f64,
}

impl Mixture {
    /// Begins at 1 for each alternative.
    pub(super) fn new(alternatives: impl IntoIterator<Item = f64>) -> Self {
        let alternatives: Vec<f64> = alternatives.into_iter().collect();
        let ln_stakes = vec![0.0; alternatives.len()];
        Self { alternatives, ln_stakes, kept: 0.0, ln_value: 0.0, constants: None, per_burst: 1.0 }
    }

    /// The same, for requests that fail together in bursts of up to so many.
    pub(super) fn in_bursts(mut self, burst: f64) -> Self {
        self.per_burst = burst.recip();
        self
    }

    /// The same, with a part of the capital, 0 to below 1, kept for [`stake_anew`](Self::stake_anew). Before the first bet only.
    pub(super) fn keeping(mut self, part: f64) -> Self {
        self.kept = part;
        self.ln_stakes.fill((-part).ln_1p());
        self.look_again();
        self
    }

    /// Stakes for the `number`th time, from 1, on every alternative alike. After j times a (j+1)th of what was kept at first is left.
    pub(super) fn stake_anew(&mut self, number: u32) {
        let number = f64::from(number);
        let fresh = self.kept / (number + 1.0);
        if fresh > 0.0 {
            self.kept -= fresh;
            for stake in &mut self.ln_stakes {
                *stake = ln_sum_exp([*stake, fresh.ln()].into_iter());
            }
            self.look_again();
        }
    }

    fn look_again(&mut self) {
        self.ln_value = self.ln_value_after(|_| 0.0);
    }

    /// Throws surplus away: what is above this is lost.
    pub(super) fn cut_to(&mut self, ln_most: f64) {
        let surplus = self.ln_value() - ln_most;
        if surplus > 0.0 && surplus.is_finite() {
            self.kept *= (-surplus).exp();
            for stake in &mut self.ln_stakes {
                *stake -= surplus;
            }
            self.look_again();
        }
    }

    /// Takes an interval in for H0 "the canary's bad rate over stable's is on the far side of `hypothesis`"; alternatives are ratios
    /// of the two, all on the near side of it.
    ///
    /// A bad request is the canary's with chance θ(ρ) = ρ·n / (ρ·n + m), for n canary and m stable requests. So e and f bad ones of
    /// either side weigh
    ///
    /// ```text
    /// e·ln(θ(ρ)/θ(h)) + f·ln((1−θ(ρ))/(1−θ(h))) = e·ln(ρ/h) + (e+f)·ln((h·n+m) / (ρ·n+m))
    /// ```
    ///
    /// and the right side has no logarithm of 0 where one side had no requests. Both sides are of one interval: what hits both cancels.
    pub(super) fn compare(&mut self, canary: Trials, stable: Trials, hypothesis: f64) {
        let under = hypothesis * canary.all + stable.all;
        let bad = canary.bad + stable.bad;
        if canary.all <= 0.0 || stable.all <= 0.0 || bad <= 0.0 {
            return;
        }
        let over_hypothesis = |ratio: &f64| (ratio / hypothesis).ln();
        let constants = constants(&mut self.constants, hypothesis, || self.alternatives.iter().map(over_hypothesis).collect());
        for ((ratio, ln_over), ln_stake) in self.alternatives.iter().zip(constants).zip(&mut self.ln_stakes) {
            let grown = canary.bad * ln_over + bad * (under / (ratio * canary.all + stable.all)).ln();
            *ln_stake += self.per_burst * grown;
        }
        self.look_again();
    }

    /// Takes requests in for H0 "the bad rate is `limit`" against rates as alternatives. Alternatives below the limit test
    /// "at least the limit", alternatives above it "at most": each factor's mean is at most 1 on that whole side.
    pub(super) fn bernoulli(&mut self, canary: Trials, limit: f64) {
        let good = (canary.all - canary.bad).max(0.0);
        let of_good = |rate: &f64| ln_good_factor(*rate, limit);
        let constants = constants(&mut self.constants, limit, || self.alternatives.iter().map(of_good).collect());
        for ((rate, ln_good), ln_stake) in self.alternatives.iter().zip(constants).zip(&mut self.ln_stakes) {
            if canary.bad > 0.0 {
                *ln_stake += self.per_burst * canary.bad * (rate / limit).ln();
            }
            *ln_stake += self.per_burst * good * ln_good;
        }
        self.look_again();
    }

    /// ln of the e-value: what is kept and the mean of the stakes.
    pub(super) fn ln_value(&self) -> f64 {
        self.ln_value
    }

    fn ln_value_after(&self, grown: impl Fn(f64) -> f64) -> f64 {
        let stakes = self.alternatives.iter().zip(&self.ln_stakes).map(|(alternative, stake)| stake + grown(*alternative));
        let at_risk = ln_sum_exp(stakes) - whole::float(u64::try_from(self.alternatives.len()).unwrap_or(u64::MAX)).ln();
        if self.kept > 0.0 { ln_sum_exp([at_risk, self.kept.ln()].into_iter()) } else { at_risk }
    }

    /// Whether requests with this share of bad ones let at least one stake of a Bernoulli test grow. Where none does, no number of
    /// such requests ever proves anything.
    pub(super) fn grows_at(&self, bad_share: f64, limit: f64) -> bool {
        self.alternatives.iter().any(|rate| bernoulli_growth(*rate, bad_share, limit) > 0.0)
    }

    /// How many more requests, all good, bring a Bernoulli test to `ln_goal`; none when no number of them does.
    pub(super) fn good_requests_until(&self, ln_goal: f64, limit: f64) -> Option<u64> {
        self.requests_until(ln_goal, |rate| ln_good_factor(rate, limit))
    }

    /// How many more requests bring this to `ln_goal`, when each lets the stake on an alternative grow by so much; none when no number
    /// of them does.
    pub(super) fn requests_until(&self, ln_goal: f64, growth: impl Fn(f64) -> f64) -> Option<u64> {
        let after = |more: u64| self.ln_value_after(|alternative| whole::float(more) * self.per_burst * growth(alternative));
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

/// What was computed for this hypothesis, or is now.
fn constants(kept: &mut Option<(f64, Vec<f64>)>, hypothesis: f64, make: impl FnOnce() -> Vec<f64>) -> &[f64] {
    if kept.as_ref().is_none_or(|(of, _)| of.to_bits() != hypothesis.to_bits()) {
        *kept = Some((hypothesis, make()));
    }
    kept.as_ref().map_or(&[], |(_, constants)| constants)
}

/// ln((1−rate)/(1−limit)): what one good request adds.
fn ln_good_factor(rate: f64, limit: f64) -> f64 {
    (-rate).ln_1p() - (-limit).ln_1p()
}

/// What a request adds on average to a Bernoulli bet on `rate` against `limit`, when `bad_share` of them are bad.
pub(super) fn bernoulli_growth(rate: f64, bad_share: f64, limit: f64) -> f64 {
    let of_bad = if bad_share > 0.0 { bad_share * (rate / limit).ln() } else { 0.0 };
    of_bad + (1.0 - bad_share) * ln_good_factor(rate, limit)
}

/// What a canary request adds on average to a bet on `ratio` against `hypothesis`, with `stable_each` stable requests beside it that
/// are bad with chance `stable_rate`, when the true ratio is `truth`.
pub(super) fn ratio_growth(ratio: f64, hypothesis: f64, truth: f64, stable_rate: f64, stable_each: f64) -> f64 {
    let under = ((hypothesis + stable_each) / (ratio + stable_each)).ln();
    stable_rate * (truth * (ratio / hypothesis).ln() + (truth + stable_each) * under)
}

/// ln of the sum of e^x, without overflow; −∞ only when all are.
pub(super) fn ln_sum_exp(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return highest;
    }
    highest + logs.map(|log| (log - highest).exp()).sum::<f64>().ln()
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
        mixture.compare(canary, stable, 1.0);
        close(mixture.ln_value(), textbook);
    }

    #[test]
    fn one_side_alone_tells_nothing() {
        let mut mixture = Mixture::new([2.0, 64.0]);
        mixture.compare(Trials { all: 10.0, bad: 10.0 }, Trials::default(), 1.0);
        mixture.compare(Trials::default(), Trials { all: 10.0, bad: 10.0 }, 1.0);
        mixture.compare(Trials::default(), Trials::default(), 1.0);
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
                            1.0,
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

    /// All outcomes of an interval with their chances: bad ones of n canary and m stable requests.
    fn outcomes(canary: (u32, f64), stable: (u32, f64)) -> Vec<(Trials, Trials, f64)> {
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1));
        let chance =
            |(n, p): (u32, f64), k: u32| choose(n, k) * p.powi(k.try_into().unwrap()) * (1.0 - p).powi((n - k).try_into().unwrap());
        let trials = |(n, _): (u32, f64), k: u32| Trials { all: n.into(), bad: k.into() };
        (0..=canary.0)
            .flat_map(|e| (0..=stable.0).map(move |f| (e, f)))
            .map(|(e, f)| (trials(canary, e), trials(stable, f), chance(canary, e) * chance(stable, f)))
            .collect()
    }

    fn mean(outcomes: &[(Trials, Trials, f64)], value: impl Fn(Trials, Trials) -> f64) -> f64 {
        outcomes.iter().map(|(canary, stable, chance)| chance * value(*canary, *stable)).sum()
    }

    /// `docs/decisions.md` 21.1 by exact enumeration: no factor's mean is above 1 anywhere in its hypothesis, for few and for many
    /// errors; and on the border of it hardly below, so that nothing is given away.
    #[test]
    fn no_bet_grows_on_average_under_its_hypothesis() {
        for (n, m) in [(1, 1), (1, 9), (3, 12), (5, 5), (8, 2)] {
            for stable_rate in [0.001, 0.01, 0.1, 0.3, 0.5] {
                let compared = |ratio: f64, hypothesis: f64, alternative: f64| {
                    let outcomes = outcomes((n, ratio * stable_rate), (m, stable_rate));
                    mean(&outcomes, |canary, stable| {
                        let mut mixture = Mixture::new([alternative]);
                        mixture.compare(canary, stable, hypothesis);
                        mixture.ln_value().exp()
                    })
                };
                for ratio in [0.0, 0.3, 1.0] {
                    for alternative in [2.0, 4.0, 64.0] {
                        let mean = compared(ratio, 1.0, alternative);
                        assert!(mean <= 1.0 + 1e-12, "HARM {n}:{m} at {stable_rate}, ratio {ratio} for {alternative}: {mean}");
                    }
                }
                for ratio in [2.0, 3.0].into_iter().filter(|ratio| ratio * stable_rate <= 1.0) {
                    for alternative in [0.5, 1.0] {
                        let mean = compared(ratio, 2.0, alternative);
                        assert!(mean <= 1.0 + 1e-12, "SAFE {n}:{m} at {stable_rate}, ratio {ratio} for {alternative}: {mean}");
                    }
                }
            }
            let rare = outcomes((n, 0.001), (m, 0.001));
            let fair = mean(&rare, |canary, stable| {
                let mut mixture = Mixture::new([4.0]);
                mixture.compare(canary, stable, 1.0);
                mixture.ln_value().exp()
            });
            assert!(fair > 0.9999, "{n}:{m}: {fair}");
        }
        for (limit, rates, alternatives) in [(0.1, [0.1, 0.3, 1.0], [0.0, 0.01, 0.025]), (0.1, [0.0, 0.05, 0.1], [0.2, 0.4, 0.9])] {
            for rate in rates {
                let mean = mean(&outcomes((6, rate), (0, 0.0)), |canary, _| {
                    let mut mixture = Mixture::new(alternatives);
                    mixture.bernoulli(canary, limit);
                    mixture.ln_value().exp()
                });
                assert!(mean <= 1.0 + 1e-12, "{rate} against {limit}: {mean}");
            }
        }
    }

    /// Requests that fail together, up to five at a time: with `burst: 5` the mean stays at 1, with `burst: 1` it does not.
    #[test]
    fn bursts_are_paid_for() {
        let factor = |canary: f64, stable: f64, burst: f64| {
            let mut mixture = Mixture::new([8.0]).in_bursts(burst);
            mixture.compare(Trials { all: 50.0, bad: canary }, Trials { all: 450.0, bad: stable }, 1.0);
            mixture.ln_value().exp()
        };
        // One cluster at most on either side; the canary's chance of one is its share.
        let mean = |size: f64, burst: f64| 0.9 + 0.01 * factor(size, 0.0, burst) + 0.09 * factor(0.0, size, burst);
        for size in [1.0, 2.0, 5.0] {
            assert!(mean(size, 5.0) <= 1.0 + 1e-12, "{size}: {}", mean(size, 5.0));
        }
        assert!(mean(5.0, 1.0) > 2.0);
    }

    /// Moving money between stakes and the part that is kept makes none, and cutting only loses.
    #[test]
    fn money_is_never_made() {
        let mut mixture = Mixture::new([2.0, 8.0]).keeping(0.2);
        close(mixture.ln_value(), 0.0);
        for number in 1..200 {
            mixture.stake_anew(number);
            close(mixture.ln_value(), 0.0);
        }
        close(mixture.kept, 0.2 / 200.0);
        mixture.compare(Trials { all: 10.0, bad: 3.0 }, Trials { all: 990.0, bad: 1.0 }, 1.0);
        let rich = mixture.ln_value();
        mixture.cut_to(rich + 1.0);
        close(mixture.ln_value(), rich);
        mixture.cut_to(rich - 1.0);
        close(mixture.ln_value(), rich - 1.0);
    }

    /// A bet that lost for long is back sooner with fresh stakes.
    #[test]
    fn fresh_stakes_forget_a_good_past() {
        let (healthy, broken) = (Trials { all: 100.0, bad: 1.0 }, Trials { all: 100.0, bad: 10.0 });
        let stable = Trials { all: 9_900.0, bad: 99.0 };
        let found_after = |mut mixture: Mixture| {
            for number in 1..=50 {
                mixture.compare(healthy, stable, 1.0);
                mixture.stake_anew(number);
            }
            (1..1000).find(|_| {
                mixture.compare(broken, stable, 1.0);
                mixture.ln_value() >= 100.0_f64.ln()
            })
        };
        let ratios = [2.0, 4.0, 8.0, 16.0, 64.0];
        let (worn, fresh) = (found_after(Mixture::new(ratios)).unwrap(), found_after(Mixture::new(ratios).keeping(0.2)).unwrap());
        assert!(fresh * 2 <= worn, "{fresh} {worn}");
    }
}
