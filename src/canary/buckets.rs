//! Classic histograms: exact shares at a bound, and quantiles for people to look at.
//!
//! Nothing is decided by a quantile: 20 requests of exactly 110 ms have an interpolated p95 of 242.5 ms on the usual bounds.

use serde::{Deserialize, Serialize};

use crate::event::{HistogramSeries, Sample};

/// A histogram, or what was added to one. Bounds ascend; counts are cumulative and never fall.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Buckets {
    bounds: Vec<f64>,
    counts: Vec<f64>,
}

/// A quantile read from a histogram, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The value.
    pub seconds: f64,
    /// It lies in the +Inf bucket: the truth is this or more.
    pub at_least: bool,
    /// It was interpolated inside a bucket.
    pub interpolated: bool,
}

impl Buckets {
    /// Makes a histogram from ascending bounds in seconds and cumulative counts, one more than bounds (the last is +Inf).
    /// A count below the one before it, which a racing exporter can show, is raised to it. None when the shape is wrong or a
    /// number is no number.
    #[must_use]
    pub fn new(bounds: Vec<f64>, mut counts: Vec<f64>) -> Option<Self> {
        let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = bounds.iter().all(|bound| bound.is_finite()) && counts.iter().all(|count| count.is_finite() && *count >= 0.0);
        if counts.len() != bounds.len() + 1 || !ascending || !finite {
            return None;
        }
        let mut highest = 0.0_f64;
        for count in &mut counts {
            highest = highest.max(*count);
            *count = highest;
        }
        Some(Self { bounds, counts })
    }

    /// A version's whole histogram in one sample, since its processes began; none when it has none.
    #[must_use]
    pub fn of_version(sample: &Sample, version: &str) -> Option<Self> {
        let series = &sample.versions.get(version)?.latency;
        let mut all = series.iter().map(|one: &HistogramSeries| Self::new(one.bounds.clone(), one.counts.clone()));
        let first = all.next()??;
        all.try_fold(first, |sum, one| Some(sum.plus(&one?)))
    }

    /// The upper bounds in seconds, without +Inf.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// The cumulative counts, the last for +Inf.
    #[must_use]
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// All observations.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.last().copied().unwrap_or(0.0)
    }

    /// Observations above a bound; none when it is no bound of this histogram, for then it could only be guessed.
    #[must_use]
    pub fn above(&self, bound: f64) -> Option<f64> {
        let place = self.bounds.iter().position(|have| same_bound(*have, bound))?;
        Some((self.total() - self.counts[place]).max(0.0))
    }

    /// The sum of two histograms, on the bounds that both have: there a cumulative count is exact.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = Self::default();
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            if let Some(place) = other.bounds.iter().position(|have| same_bound(*have, *bound)) {
                sum.bounds.push(*bound);
                sum.counts.push(count + other.counts[place]);
            }
        }
        sum.counts.push(self.total() + other.total());
        sum
    }

    /// What was added since an earlier state of the same series. When a count fell or the bounds changed, the process started
    /// again and all of it is new.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let fell = self.counts.iter().zip(&earlier.counts).any(|(now, before)| now < before);
        if self.bounds != earlier.bounds || fell {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now - before).collect();
        // Raised where a racing exporter makes one bucket run ahead of the next.
        Self::new(self.bounds.clone(), counts).unwrap_or_else(|| self.clone())
    }
}

/// The q-quantile (0 to 1), for display: linear inside a bucket, as everyone's dashboards do it; a lower limit in the +Inf bucket.
/// None without observations.
#[must_use]
pub fn quantile(buckets: &Buckets, q: f64) -> Option<Quantile> {
    let total = buckets.total();
    if total <= 0.0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let rank = q * total;
    let place = buckets.counts.iter().position(|count| *count >= rank && *count > 0.0)?;
    let Some(upper) = buckets.bounds.get(place) else {
        return buckets.bounds.last().map(|highest| Quantile { seconds: *highest, at_least: true, interpolated: false });
    };
    let (lower, below) = match place.checked_sub(1) {
        Some(before) => (buckets.bounds[before], buckets.counts[before]),
        None => (upper.min(0.0), 0.0),
    };
    let inside = (rank - below) / (buckets.counts[place] - below);
    let seconds = lower + (upper - lower) * inside.clamp(0.0, 1.0);
    Some(Quantile { seconds, at_least: false, interpolated: inside < 1.0 })
}

/// Bounds are read from decimal text by different programs; a part in a billion is no difference.
fn same_bound(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

    fn observed(seconds: &[f64]) -> Buckets {
        let below = |bound: f64| f64::from(u32::try_from(seconds.iter().filter(|value| **value <= bound).count()).unwrap());
        let counts = USUAL.iter().copied().chain([f64::INFINITY]).map(below).collect();
        Buckets::new(USUAL.to_vec(), counts).unwrap()
    }

    #[test]
    fn quantiles_are_what_dashboards_show() {
        let steady = quantile(&observed(&[0.110; 20]), 0.95).unwrap();
        assert!((steady.seconds - 0.2425).abs() < 1e-12 && steady.interpolated && !steady.at_least);
        let mut outliers = vec![0.110; 18];
        outliers.extend([4.0, 4.0]);
        assert!((quantile(&observed(&outliers), 0.95).unwrap().seconds - 3.75).abs() < 1e-9);
        let edge = quantile(&observed(&[&[0.110; 19][..], &[4.0]].concat()), 0.95).unwrap();
        assert!((edge.seconds - 0.25).abs() < 1e-12 && !edge.interpolated);
        let endless = quantile(&observed(&[12.0; 50]), 0.95).unwrap();
        assert_eq!(endless, Quantile { seconds: 10.0, at_least: true, interpolated: false });
        assert_eq!(quantile(&observed(&[]), 0.95), None);
        assert_eq!(quantile(&observed(&[1.0]), f64::NAN), None);
    }

    #[test]
    fn slow_requests_are_counted_at_a_bound_or_not_at_all() {
        let buckets = observed(&[0.1, 0.2, 0.25, 0.26, 3.0, 20.0]);
        assert_eq!(buckets.above(0.25), Some(3.0));
        assert_eq!(buckets.above(10.0), Some(1.0));
        assert_eq!(buckets.above(0.3), None);
    }

    #[test]
    fn sums_keep_only_shared_bounds() {
        let left = Buckets::new(vec![0.1, 0.25, 1.0], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let right = Buckets::new(vec![0.25, 2.0], vec![10.0, 20.0, 30.0]).unwrap();
        assert_eq!(left.plus(&right), Buckets::new(vec![0.25], vec![12.0, 34.0]).unwrap());
    }

    #[test]
    fn a_wrong_shape_is_refused_and_a_race_is_mended() {
        assert_eq!(Buckets::new(vec![1.0], vec![1.0]), None);
        assert_eq!(Buckets::new(vec![2.0, 1.0], vec![1.0, 1.0, 1.0]), None);
        assert_eq!(Buckets::new(vec![1.0], vec![f64::NAN, 1.0]), None);
        assert_eq!(Buckets::new(vec![1.0], vec![5.0, 4.0]).unwrap().counts(), [5.0, 5.0]);
    }
}
