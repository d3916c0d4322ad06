//! Random numbers with a fixed seed, so that every figure can be had again.

use std::f64::consts::TAU;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Dice(u64);

/// Above this mean a Poisson number is drawn by rejection.
const SMALL: f64 = 10.0;

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from 0 to below 1.
    pub(crate) fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
        (f64::from(high) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    /// Poisson: by multiplying (Knuth) for small means, by transformed rejection (Hörmann 1993, PTRS) for large ones.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean < SMALL {
            let (limit, mut product, mut count) = ((-mean).exp(), self.even(), 0.0);
            while product > limit {
                product *= self.even();
                count += 1.0;
            }
            return count;
        }
        let width = 0.931 + 2.53 * mean.sqrt();
        let slope = -0.059 + 0.02483 * width;
        let inverse = 1.1239 + 1.1328 / (width - 3.4);
        let quick = 0.9277 - 3.6224 / (width - 2.0);
        loop {
            let place = self.even() - 0.5;
            let height = self.even();
            let from_edge = 0.5 - place.abs();
            let count = ((2.0 * slope / from_edge + width) * place + mean + 0.43).floor();
            if from_edge >= 0.07 && height <= quick {
                return count;
            }
            if count < 0.0 || (from_edge < 0.013 && height > from_edge) {
                continue;
            }
            if (height * inverse / (slope / (from_edge * from_edge) + width)).ln() <= count * mean.ln() - mean - ln_factorial(count) {
                return count;
            }
        }
    }
}

/// Stirling's series; k is large here, or 0.
fn ln_factorial(k: f64) -> f64 {
    let x = k + 1.0;
    if k < 8.0 {
        let (mut product, mut factor) = (1.0, 2.0);
        while factor <= k {
            product *= factor;
            factor += 1.0;
        }
        return f64::ln(product);
    }
    (x - 0.5) * x.ln() - x + 0.5 * TAU.ln() + (1.0 / 12.0 - 1.0 / (360.0 * x * x)) / x
}
