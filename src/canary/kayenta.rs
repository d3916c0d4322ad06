//! Kayenta's scoring, for those who must match it: never the default, and no verdict of hms comes from it.
//!
//! Its judge (`NetflixACAJudge`) takes one number for each scrape interval, however many requests it stands for, and asks by Mann
//! and Whitney's test whether the canary's numbers are shifted. What that misses is in `docs/judge.md`. Source of the rules:
//! github.com/spinnaker/kayenta 0.21.0, `NetflixACAJudge.scala`, `MannWhitney.scala`, `MannWhitneyClassifier.scala`; Brent's method is
//! from R. P. Brent, Algorithms for Minimization without Derivatives, 1973, chapter 4.

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KayentaSettings {
    /// A shift counts when it is certain to this level. 0.98.
    pub confidence: f64,
    /// How wide the interval of the shift may be, as a part of the shift. 0.25.
    pub tolerance: f64,
    /// Which shifts count.
    pub direction: Direction,
    /// How many times the baseline's mean the canary's must at least be to be High. 1: any significant shift counts.
    pub allowed_increase: f64,
    /// And at most, to be Low.
    pub allowed_decrease: f64,
}

impl Default for KayentaSettings {
    fn default() -> Self {
        Self { confidence: 0.98, tolerance: 0.25, direction: Direction::Either, allowed_increase: 1.0, allowed_decrease: 1.0 }
    }
}

/// Which shifts of a metric count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Only up is bad.
    Increase,
    /// Only down is bad.
    Decrease,
    /// Both are.
    Either,
}

/// What it calls a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// No shift that counts.
    Pass,
    /// Shifted up.
    High,
    /// Shifted down.
    Low,
    /// One arm has no numbers.
    Nodata,
}

/// The interval of a shift, and its best guess.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The guess.
    pub estimate: f64,
}

/// Labels a metric by its numbers; those that are no numbers are left out.
#[must_use]
pub fn label(baseline: &[f64], canary: &[f64], settings: &KayentaSettings) -> Label {
    let sorted = |values: &[f64]| {
        let mut kept: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        kept.sort_by(f64::total_cmp);
        kept
    };
    let (mut baseline, mut canary) = (sorted(baseline), sorted(canary));
    if baseline.is_empty() || canary.is_empty() {
        return Label::Nodata;
    }
    if baseline == canary {
        return Label::Pass;
    }
    let effect = mean(&canary) / mean(&baseline);
    // The test needs some spread. A constant arm gets a hair of it, fixed instead of drawn.
    if [&baseline, &canary].into_iter().all(|arm| arm.first() == arm.last()) {
        spread(&mut baseline);
        spread(&mut canary);
    }
    let Some(shift) = shift(&canary, &baseline, settings.confidence) else { return Label::Pass };
    let bound = settings.tolerance * shift.estimate.abs();
    // A mean of 0 makes no ratio: then the effect is not looked at.
    let has_effect = effect.is_finite() && effect != 0.0;
    let high = settings.direction != Direction::Decrease && shift.low > bound && (!has_effect || effect >= settings.allowed_increase);
    let low = settings.direction != Direction::Increase && shift.high < -bound && (!has_effect || effect <= settings.allowed_decrease);
    match (high, low) {
        (true, _) => Label::High,
        (false, true) => Label::Low,
        (false, false) => Label::Pass,
    }
}

/// The score of groups of labels with their weights in percent: 100 is all passed. Half of the metrics without data, or more, is 0.
#[must_use]
pub fn score(groups: &[(f64, Vec<Label>)]) -> f64 {
    let all: Vec<Label> = groups.iter().flat_map(|(_, labels)| labels).copied().collect();
    let number = |labels: &[Label], wanted: fn(Label) -> bool| labels.iter().filter(|label| wanted(**label)).fold(0.0, |sum, _| sum + 1.0);
    let nodata = number(&all, |label| label == Label::Nodata);
    if all.is_empty() || nodata * 2.0 >= number(&all, |_| true) {
        return 0.0;
    }
    let of_group = |labels: &[Label]| {
        let judged = number(labels, |label| label != Label::Nodata);
        if judged > 0.0 { 100.0 * number(labels, |label| label == Label::Pass) / judged } else { 100.0 }
    };
    let sum: f64 = groups.iter().map(|(weight, labels)| of_group(labels) * weight / 100.0).sum();
    (sum * 100.0).round() / 100.0
}

/// The shift of x against y with its interval at a confidence; none when all their numbers are one.
#[must_use]
pub fn shift(x: &[f64], y: &[f64], confidence: f64) -> Option<Shift> {
    let bounds =
        |values: &[f64]| values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let ((x_low, x_high), (y_low, y_high)) = (bounds(x), bounds(y));
    let (lowest, highest) = (x_low - y_high, x_high - y_low);
    if x.is_empty() || y.is_empty() || lowest >= highest {
        return None;
    }
    let z = normal_quantile(1.0 - (1.0 - confidence) / 2.0);
    let root = |quantile: f64| {
        let difference = |shift: f64| statistic(x, y, shift) - quantile;
        let (at_lowest, at_highest) = (difference(lowest), difference(highest));
        if at_lowest <= 0.0 {
            lowest
        } else if at_highest >= 0.0 {
            highest
        } else {
            brent(difference, lowest, highest, at_lowest, at_highest)
        }
    };
    Some(Shift { low: root(z), high: root(-z), estimate: root(0.0) })
}

/// W of x − shift against y, standardised, with ties and the correction for continuity.
fn statistic(x: &[f64], y: &[f64], shift: f64) -> f64 {
    let mut ranked: Vec<(f64, bool)> = x.iter().map(|value| (value - shift, true)).chain(y.iter().map(|value| (*value, false))).collect();
    ranked.sort_by(|left, right| left.0.total_cmp(&right.0));
    let length = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let (of_x, of_y) = (length(x.len()), length(y.len()));
    let (mut ranks, mut ties, mut below) = (0.0, 0.0, 0.0);
    for same in ranked.chunk_by(|left, right| left.0.total_cmp(&right.0).is_eq()) {
        let count = length(same.len());
        let middle = below + f64::midpoint(count, 1.0);
        ranks += middle * length(same.iter().filter(|(_, is_x)| *is_x).count());
        ties += count.powi(3) - count;
        below += count;
    }
    let above = ranks - of_x * (of_x + 1.0) / 2.0 - of_x * of_y / 2.0;
    let correction = if above == 0.0 { 0.0 } else { 0.5 * above.signum() };
    let all = of_x + of_y;
    let sigma = (of_x * of_y / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)))).sqrt();
    (above - correction) / sigma
}

/// Absolute, as in the original: shifts below it are not seen, so small fractions must not be judged by this.
const BRENT_TOLERANCE: f64 = 1e-4;
const BRENT_STEPS: u32 = 1000;

/// A root between a and b, whose values have different signs.
#[expect(clippy::many_single_char_names, reason = "the names of the method's book")]
fn brent(f: impl Fn(f64) -> f64, a: f64, b: f64, fa: f64, fb: f64) -> f64 {
    let (mut a, mut b, mut c) = (a, b, a);
    let (mut fa, mut fb, mut fc) = (fa, fb, fa);
    for _ in 0..BRENT_STEPS {
        let previous = b - a;
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + BRENT_TOLERANCE / 2.0;
        let mut step = (c - b) / 2.0;
        if step.abs() <= tolerance || fb == 0.0 {
            return b;
        }
        if previous.abs() >= tolerance && fa.abs() > fb.abs() {
            let (mut p, mut q);
            let cb = c - b;
            let s = fb / fa;
            if a.total_cmp(&c).is_eq() {
                p = cb * s;
                q = 1.0 - s;
            } else {
                let (r, t) = (fa / fc, fb / fc);
                p = s * (cb * r * (r - t) - (b - a) * (t - 1.0));
                q = (r - 1.0) * (t - 1.0) * (s - 1.0);
            }
            if p > 0.0 {
                q = -q;
            } else {
                p = -p;
            }
            if p < 0.75 * cb * q - (tolerance * q).abs() / 2.0 && p < (previous * q / 2.0).abs() {
                step = p / q;
            }
        }
        if step.abs() < tolerance {
            step = tolerance.copysign(step);
        }
        (a, fa) = (b, fb);
        b += step;
        fb = f(b);
        if (fb > 0.0 && fc > 0.0) || (fb < 0.0 && fc < 0.0) {
            (c, fc) = (a, fa);
        }
    }
    b
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.iter().fold(0.0, |count, _| count + 1.0)
}

/// Moves equal values apart by a hundred-thousandth, evenly around themselves.
fn spread(values: &mut [f64]) {
    let middle = values.iter().fold(-1.0, |count, _| count + 1.0) / 2.0;
    let mut place = -middle;
    for value in values {
        *value += *value * 1e-5 * place / middle.max(1.0);
        place += 1.0;
    }
}

/// The quantile of the normal distribution, by bisection of its distribution function (Abramowitz and Stegun 26.2.17 is too coarse).
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        *(if normal_below(middle) < p { &mut low } else { &mut high }) = middle;
    }
    f64::midpoint(low, high)
}

/// Φ(z), by its power series around 0 (Marsaglia 2004); exact to 1e-15 for |z| < 7, and beyond that 0 or 1.
fn normal_below(z: f64) -> f64 {
    if z.abs() > 7.0 {
        return if z > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term.abs() > 1e-18 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    0.5 + sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    /// The test's own settings where the field's tables say nothing else.
    const LOOSE: KayentaSettings =
        KayentaSettings { confidence: 0.95, tolerance: 0.10, direction: Direction::Either, allowed_increase: 1.0, allowed_decrease: 1.0 };

    const SMALL: [f64; 5] = [1.0, 2.2, 1.1, 2.5, 3.0];
    const LARGE: [f64; 5] = [20.0, 22.0, 21.0, 25.0, 30.0];

    #[test]
    fn intervals_are_those_of_r() {
        let tie_out = shift(&[10.0, 20.0, 30.0, 40.0], &[1.0, 2.0, 3.0, 4.0], 0.95).unwrap();
        close(tie_out.low, 6.0);
        close(tie_out.high, 39.0);
        assert!((tie_out.estimate - 22.5).abs() < 1e-3, "{tie_out:?}");
        close(normal_quantile(0.99), 2.326_347_874_040_841);
    }

    /// Seven of ten a hundredfold is a Pass, eight of ten is High: known, and one reason why this is not the default.
    #[test]
    fn the_published_internals_are_reproduced() {
        let canary = |large: usize| [vec![100.0; large], vec![1.0; 10 - large]].concat();
        let seven = shift(&canary(7), &[1.0; 10], 0.98).unwrap();
        close(seven.low, 6.825_022_991_538_781e-5);
        close(seven.high, 99.0);
        close(seven.estimate, 98.999_929_041_701_93);
        let settings = KayentaSettings::default();
        assert_eq!(label(&[1.0; 10], &canary(7), &settings), Label::Pass);
        assert_eq!(label(&[1.0; 10], &canary(8), &settings), Label::High);
        assert_eq!(label(&[0.0; 6], &[0.0, 1.0, 2.0, 1.0, 0.0, 0.0], &settings), Label::Pass, "sparse errors are not seen");
    }

    #[test]
    fn labels_are_those_of_the_original_tests() {
        let effect = |allowed_decrease, allowed_increase| KayentaSettings { allowed_increase, allowed_decrease, ..LOOSE };
        let towards = |direction| KayentaSettings { direction, ..LOOSE };
        let ascending = [1.0, 2.0, 3.0, 4.0, 5.0];
        let zeros = [0.0; 5];
        let some = [54.9, 54.5, 55.1, 55.6, 57.4];
        let cases: [(&[f64], &[f64], KayentaSettings, Label); 15] = [
            (&SMALL, &LARGE, effect(0.8, 1.2), Label::High),
            (&LARGE, &[10.0, 12.2, 10.1, 12.5, 23.0], effect(0.5, 1.0), Label::Pass),
            (&SMALL, &LARGE, effect(1.0, 5.0), Label::High),
            (&SMALL, &LARGE, effect(1.0, 13.0), Label::Pass),
            (&[10.0, 20.2, 10.1, 20.5, 30.0], &[2.0, 2.0, 2.0, 2.0, 3.0], LOOSE, Label::Low),
            (&[1.0, 1.0], &[1.0, 1.0, 1.0], towards(Direction::Decrease), Label::Pass),
            (&[5.0, 4.0, 3.0, 2.0, 1.0], &ascending, towards(Direction::Decrease), Label::Pass),
            (&[1.0; 5], &[0.0, 1.0, 1.0, 1.0, 1.0], towards(Direction::Decrease), Label::Pass),
            (&ascending, &[], LOOSE, Label::Nodata),
            (&[1.0; 5], &[1.0, 1.0, 1.0, 1.0, 10.0], LOOSE, Label::Pass),
            (&[1.0; 5], &[10.0; 5], LOOSE, Label::High),
            (&zeros, &[10.0; 5], LOOSE, Label::High),
            (&zeros, &some, effect(0.8, 1.2), Label::High),
            (&some, &zeros, effect(0.8, 1.2), Label::Low),
            (&zeros, &zeros, effect(0.8, 1.2), Label::Pass),
        ];
        for (place, (baseline, canary, settings, expected)) in cases.iter().enumerate() {
            assert_eq!(label(baseline, canary, settings), *expected, "case {place}");
        }
        assert_eq!(label(&LARGE, &SMALL, &towards(Direction::Increase)), Label::Pass);
        assert_eq!(label(&SMALL, &LARGE, &towards(Direction::Decrease)), Label::Pass);
    }

    /// The same doubling is seen in parts per million and not as a fraction.
    #[test]
    fn its_tolerance_has_a_unit() {
        let of = |unit: f64| {
            let baseline: Vec<f64> = (0..20).map(|place| (40.0 + f64::from(place % 5)) * unit).collect();
            // One interval of the canary is as good as stable's: the arms overlap.
            let canary: Vec<f64> = baseline.iter().skip(1).map(|value| value * 2.0).chain([42.0 * unit]).collect();
            label(&baseline, &canary, &KayentaSettings::default())
        };
        assert_eq!((of(1.0), of(1e-6)), (Label::High, Label::Pass));
    }

    #[test]
    fn scores_are_those_of_the_original_tests() {
        use Label::{High, Low, Nodata, Pass};
        for (groups, expected) in [
            (vec![(100.0, vec![Pass])], 100.0),
            (vec![(100.0, vec![High])], 0.0),
            (vec![(100.0, vec![Nodata])], 0.0),
            (vec![(50.0, vec![Pass, Pass]), (50.0, vec![Nodata])], 100.0),
            (vec![(100.0, vec![Pass, High])], 50.0),
            (vec![(100.0, vec![Pass, High, Low])], 33.33),
            (vec![(75.0, vec![Pass, Pass]), (25.0, vec![High])], 75.0),
            (vec![(50.0, vec![Pass, High]), (50.0, vec![High])], 25.0),
            (vec![(50.0, vec![Pass, Nodata]), (50.0, vec![High])], 50.0),
            (vec![(15.0, vec![High, Low, Pass]), (85.0, vec![High])], 5.0),
        ] {
            close(score(&groups), expected);
        }
    }
}
