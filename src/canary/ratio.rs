//! The canary's bad rate over stable's, with an interval that holds at every look (`docs/decisions.md` 21.8). For people to read; the
//! verdict comes from `mixture`.

use super::confidence::MISS;
use super::mixture::{Trials, ln_sum_exp};
use crate::event::Estimate;

/// Ratios looked at: 2^(j/4) for j from −24 to 24.
const POINTS: usize = 49;
const MIDDLE: f64 = 24.0;
const STEPS: f64 = 4.0;

/// So many bad requests of an interval are multiplied at most; of more, one logarithm is cheaper.
const MOST_FACTORS: f64 = 12.0;
/// Products are kept well inside of what a float holds: one step multiplies by 64^12 at most, and by 2^-12 at least.
const LARGEST: f64 = 1e200;
const SMALLEST: f64 = 1e-200;

/// What is known of a ratio: how well each point explains the intervals, compared with 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ratio {
    ln_chances: [f64; POINTS],
    /// What is still to be taken away from them, before its logarithm: a product is many times cheaper than a logarithm for each
    /// interval.
    products: [f64; POINTS],
    /// Mantel and Haenszel's sums: each interval's bad requests, weighted by the other arm's requests.
    canary: f64,
    stable: f64,
}

impl Default for Ratio {
    fn default() -> Self {
        Self { ln_chances: [0.0; POINTS], products: [1.0; POINTS], canary: 0.0, stable: 0.0 }
    }
}

impl Ratio {
    /// Takes an interval in; one without bad requests, or with one arm alone, tells nothing.
    pub(super) fn observe(&mut self, points: &Points, canary: Trials, stable: Trials) {
        let (all, bad) = (canary.all + stable.all, canary.bad + stable.bad);
        if canary.all <= 0.0 || stable.all <= 0.0 || bad <= 0.0 {
            return;
        }
        let (of_canary, of_stable) = (canary.all / all, stable.all / all);
        if bad.fract() == 0.0 && bad <= MOST_FACTORS {
            let mut left = bad;
            while left > 0.0 {
                for ((ratio, _), product) in points.0.iter().zip(&mut self.products) {
                    *product *= ratio * of_canary + of_stable;
                }
                left -= 1.0;
            }
            for ((_, ln_ratio), ln_chance) in points.0.iter().zip(&mut self.ln_chances) {
                *ln_chance += canary.bad * ln_ratio;
            }
            // The points ascend, so the first and the last are the farthest from 1.
            if self.products.first().is_some_and(|least| *least < SMALLEST) || self.products.last().is_some_and(|most| *most > LARGEST) {
                self.settle();
            }
        } else {
            for ((ratio, ln_ratio), ln_chance) in points.0.iter().zip(&mut self.ln_chances) {
                *ln_chance += canary.bad * ln_ratio - bad * (ratio * of_canary + of_stable).ln();
            }
        }
        self.canary += canary.bad * stable.all / all;
        self.stable += stable.bad * canary.all / all;
    }

    /// Takes the logarithms of the products.
    fn settle(&mut self) {
        for (ln_chance, product) in self.ln_chances.iter_mut().zip(&mut self.products) {
            *ln_chance -= product.ln();
            *product = 1.0;
        }
    }

    /// What came after an earlier state.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let (mut later, mut earlier) = (self.clone(), earlier.clone());
        later.settle();
        earlier.settle();
        for (now, before) in later.ln_chances.iter_mut().zip(&earlier.ln_chances) {
            *now -= before;
        }
        later.canary -= earlier.canary;
        later.stable -= earlier.stable;
        later
    }

    /// The best guess; none without bad requests of stable.
    pub(super) fn guess(&self) -> Option<f64> {
        (self.stable > 0.0).then(|| self.canary / self.stable)
    }

    /// The guess and its interval, widened to the neighbouring points; none before the first bad request.
    pub(super) fn estimate(&self, points: &Points, burst: f64) -> Option<Estimate> {
        if self.canary <= 0.0 && self.stable <= 0.0 {
            return None;
        }
        let settled = self.ln_chances.iter().zip(&self.products).map(|(ln_chance, product)| ln_chance - product.ln());
        let chances = settled.map(|ln_chance| ln_chance / burst);
        let mixture = ln_sum_exp(chances.clone()) - f64::ln(2.0 * MIDDLE + 1.0);
        let inside: Vec<bool> = chances.map(|ln_chance| mixture - ln_chance < -MISS.ln()).collect();
        let first = inside.iter().position(|inside| *inside)?;
        let last = inside.iter().rposition(|inside| *inside)?;
        let point = |place: usize| points.0.get(place).map(|(ratio, _)| *ratio);
        Some(Estimate { value: self.guess(), low: first.checked_sub(1).and_then(point).unwrap_or(0.0), high: point(last + 1) })
    }
}

/// The points and their logarithms, computed once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Points([(f64, f64); POINTS]);

impl Default for Points {
    fn default() -> Self {
        let mut exponent = -MIDDLE / STEPS;
        let points = [(); POINTS].map(|()| {
            let point = (exponent.exp2(), exponent * std::f64::consts::LN_2);
            exponent += 1.0 / STEPS;
            point
        });
        Self(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(intervals: u32, canary_bad: f64) -> Estimate {
        let (points, mut ratio) = (Points::default(), Ratio::default());
        for _ in 0..intervals {
            ratio.observe(&points, Trials { all: 1_000.0, bad: canary_bad }, Trials { all: 99_000.0, bad: 198.0 });
        }
        ratio.estimate(&points, 1.0).unwrap()
    }

    #[test]
    fn the_interval_holds_the_truth_and_narrows() {
        for (bad, truth) in [(2.0, 1.0), (8.0, 4.0), (1.0, 0.5)] {
            let (few, many) = (after(10, bad), after(1000, bad));
            for estimate in [few, many] {
                assert!((estimate.value.unwrap() - truth).abs() < 1e-9);
                assert!(estimate.low < truth && estimate.high.unwrap() > truth, "{estimate:?}");
            }
            assert!(many.low > few.low && many.high.unwrap() < few.high.unwrap());
            assert!(many.high.unwrap() / many.low < 1.7, "{many:?}");
        }
        assert_eq!(Ratio::default().estimate(&Points::default(), 1.0), None);
    }

    #[test]
    fn where_nothing_bounds_it_there_is_no_bound() {
        let (points, mut ratio) = (Points::default(), Ratio::default());
        ratio.observe(&points, Trials { all: 10.0, bad: 10.0 }, Trials { all: 100_000.0, bad: 0.0 });
        let endless = ratio.estimate(&points, 1.0).unwrap();
        assert!(endless.value.is_none() && endless.high.is_none() && endless.low > 8.0, "{endless:?}");
        let mut none = Ratio::default();
        none.observe(&points, Trials { all: 10.0, bad: 0.0 }, Trials { all: 990.0, bad: 1.0 });
        assert!(none.estimate(&points, 1.0).unwrap().low == 0.0);
    }

    /// Products and logarithms are two ways to the same number, whatever comes in between.
    #[test]
    fn products_settle_to_the_sum_of_logarithms() {
        let points = Points::default();
        for (of_canary, of_stable) in [(1.0, 7.0), (9.0, 3.0), (0.0, 1.0), (11.0, 0.0), (2.5, 1.0), (40.0, 60.0)] {
            let (canary, stable) = (Trials { all: 700.0, bad: of_canary }, Trials { all: 1_300.0, bad: of_stable });
            let mut ratio = Ratio::default();
            for _ in 0..500 {
                ratio.observe(&points, canary, stable);
            }
            ratio.settle();
            for ((point, ln_point), ln_chance) in points.0.iter().zip(&ratio.ln_chances) {
                let one = canary.bad * ln_point - (canary.bad + stable.bad) * ((point * canary.all + stable.all) / 2_000.0).ln();
                assert!((ln_chance - 500.0 * one).abs() < 1e-7 * (1.0 + 500.0 * one.abs()), "{of_canary}:{of_stable} at {point}");
            }
        }
    }

    #[test]
    fn a_shared_incident_moves_nothing() {
        let (points, mut calm) = (Points::default(), Ratio::default());
        for _ in 0..100 {
            calm.observe(&points, Trials { all: 100.0, bad: 1.0 }, Trials { all: 9_900.0, bad: 99.0 });
        }
        let mut hit = calm.clone();
        hit.observe(&points, Trials { all: 100.0, bad: 50.0 }, Trials { all: 9_900.0, bad: 4_950.0 });
        assert!((hit.guess().unwrap() - 1.0).abs() < 1e-9);
        assert!((hit.since(&calm).guess().unwrap() - 1.0).abs() < 1e-9);
    }
}
