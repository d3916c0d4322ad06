//! Intervals around a rate that hold at every look (`docs/decisions.md` 21.8): for people to read, never to decide by.
//!
//! A rate is inside as long as a mixture over all rates has not outbet it: Robbins 1970; Howard and others, arXiv:1810.08240. The mixture is Beta(½, ½).

use super::mixture::Trials;
use crate::event::Estimate;

/// Chance that an interval ever leaves out the true value.
pub(super) const MISS: f64 = 0.05;
/// Halvings of a search; the last one is below what a float of a rate can tell.
const HALVINGS: u32 = 60;

/// The rate of bad ones with its interval; none when there was nothing. Bad ones come in bursts of up to `burst`.
pub(super) fn rate(trials: Trials, burst: f64) -> Option<Estimate> {
    if trials.all <= 0.0 {
        return None;
    }
    let (bad, good) = (trials.bad / burst, (trials.all - trials.bad).max(0.0) / burst);
    let guess = (trials.bad / trials.all).clamp(0.0, 1.0);
    let mixture = ln_beta(bad + 0.5, good + 0.5) - ln_beta(0.5, 0.5);
    let excluded = |rate: f64| mixture - ln_chance(bad, rate) - ln_chance(good, 1.0 - rate) >= -MISS.ln();
    let low = if bad > 0.0 { edge(guess, 0.0, &excluded) } else { 0.0 };
    let high = if good > 0.0 { edge(guess, 1.0, &excluded) } else { 1.0 };
    Some(Estimate { value: Some(guess), low, high: Some(high) })
}

/// Between a rate that is inside and one that is not, the border, on the outer side.
fn edge(inside: f64, outside: f64, excluded: &impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (inside, outside);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(inside, outside);
        *(if excluded(middle) { &mut outside } else { &mut inside }) = middle;
    }
    outside
}

/// ln(chanceⁿ), with 0⁰ = 1.
pub(super) fn ln_chance(times: f64, chance: f64) -> f64 {
    if times > 0.0 { times * chance.ln() } else { 0.0 }
}

/// ln B(a, b), for a and b above 0.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln Γ(x) for x > 0: Stirling's series beyond 15 (DLMF 5.11.1), below by Γ(x+1) = xΓ(x). Relative error under 1e-14.
fn ln_gamma(x: f64) -> f64 {
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < 15.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let square = (shifted * shifted).recip();
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0)))) / shifted;
    (shifted - 0.5) * shifted.ln() - shifted + 0.5 * std::f64::consts::TAU.ln() + series - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_function_is_that_of_the_tables() {
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        for n in [1_u32, 2, 5, 10, 20, 100] {
            let (mine, exact) = (ln_gamma(f64::from(n) + 1.0), factorial(n).ln());
            assert!((mine - exact).abs() <= 1e-13 * exact.max(1.0), "{n}: {mine} {exact}");
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        assert!((ln_beta(0.5, 0.5) - std::f64::consts::PI.ln()).abs() < 1e-13);
        assert!((ln_beta(1.0, 99.0) - (1.0_f64 / 99.0).ln()).abs() < 1e-12);
    }

    #[test]
    fn an_interval_holds_its_guess_and_narrows() {
        let of = |bad: f64, all: f64| rate(Trials { all, bad }, 1.0).unwrap();
        assert_eq!(rate(Trials::default(), 1.0), None);
        let none = of(0.0, 300.0);
        assert!(none.low == 0.0 && none.high.unwrap() < 0.03 && none.high.unwrap() > 3.0 / 300.0, "{none:?}");
        let every = of(300.0, 300.0);
        assert!(every.high == Some(1.0) && every.low > 0.97);
        let (few, many) = (of(10.0, 1000.0), of(1000.0, 100_000.0));
        for estimate in [few, many] {
            assert!(estimate.low < 0.01 && estimate.high.unwrap() > 0.01);
        }
        assert!(many.low > few.low && many.high.unwrap() < few.high.unwrap());
        let bursty = rate(Trials { all: 1000.0, bad: 10.0 }, 5.0).unwrap();
        assert!(bursty.low < few.low && bursty.high.unwrap() > few.high.unwrap());
    }
}
