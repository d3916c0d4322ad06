//! Histograms on their way from a page to a sample: classic buckets gathered and put in order, native ones made classic.

use std::collections::BTreeMap;

use super::super::exposition::{Labels, Point};
use super::super::metrics::OwnSelectors;
use super::super::selector::Selector;
use super::{CollectError, Collector, Source, key};
use crate::event::HistogramSeries;

/// Buckets as bound and cumulative count, by version and labels.
pub(super) type Histograms = BTreeMap<(String, String), Vec<(f64, f64)>>;

/// A native histogram: buckets as lower bound, upper bound and count.
pub(in crate::canary::provider) struct Native {
    pub(in crate::canary::provider) count: f64,
    pub(in crate::canary::provider) buckets: Vec<(f64, f64, f64)>,
}

impl Collector<'_> {
    /// Takes a native histogram as a classic one on the powers of two, which every resolution shares: buckets that come and go must not
    /// look like a process that started again.
    pub(in crate::canary::provider) fn take_native(
        &mut self,
        line: usize,
        name: &str,
        labels: &Labels,
        native: &Native,
        timestamp_ms: Option<i64>,
    ) -> Result<(), CollectError> {
        let mut histograms = self.settings.latency.iter().chain(self.settings.own.iter().filter_map(OwnSelectors::histogram));
        if !histograms.any(|histogram| histogram.base_name() == name && histogram.fits(labels)) {
            return Ok(());
        }
        let bad = |value: f64| !value.is_finite() || value < 0.0;
        if bad(native.count) || native.buckets.iter().any(|(low, high, count)| bad(*count) || low.is_nan() || high.is_nan()) {
            return Err(CollectError::BadCount { line, value: native.count });
        }
        let metric = name.to_owned();
        let bounds: Vec<f64> = (-10_i32..=10).map(|exponent| f64::from(exponent).exp2()).collect();
        let mut places = bounds.iter().copied();
        let crosses = |bound: f64| native.buckets.iter().any(|(low, high, _)| *low < bound * (1.0 - 1e-9) && *high > bound * (1.0 + 1e-9));
        if places.any(crosses) {
            return Err(CollectError::OddNative { line, metric });
        }
        let below =
            |bound: f64| native.buckets.iter().filter(|(_, high, _)| *high <= bound * (1.0 + 1e-9)).map(|(_, _, count)| count).sum();
        let cumulative = bounds.iter().map(|bound| (*bound, below(*bound))).chain([(f64::INFINITY, native.count)]);
        for (bound, value) in cumulative {
            let mut labels = labels.clone();
            labels.insert("le".to_owned(), bound.to_string());
            // One series, however many bounds it is written with.
            self.series = self.series.saturating_sub(usize::from(bound.is_finite()));
            self.take(Point { line, name: format!("{name}_bucket"), labels, value, timestamp_ms })?;
        }
        Ok(())
    }
}

/// Whether a point is a bucket of the histogram that a selector chooses.
pub(super) fn is_bucket_of(histogram: &Selector, point: &Point, source: &Source) -> bool {
    point.name.strip_suffix("_bucket") == Some(histogram.base_name()) && source.fits(histogram, &point.labels)
}

pub(super) fn add_bucket(
    histograms: &mut Histograms,
    point: &Point,
    version: &str,
    mut labels: Labels,
    unit_seconds: f64,
) -> Result<(), CollectError> {
    let bound = labels.remove("le").and_then(|le| le.parse::<f64>().ok()).filter(|bound| !bound.is_nan());
    let bound = bound.ok_or(CollectError::BadBound { line: point.line })? * unit_seconds;
    let buckets = histograms.entry((version.to_owned(), key(&labels))).or_default();
    if buckets.iter().any(|(have, _)| have.total_cmp(&bound).is_eq()) {
        return Err(CollectError::Twice { line: point.line });
    }
    buckets.push((bound, point.value));
    Ok(())
}

/// Each histogram with its version, its buckets in order.
pub(super) fn finished(histograms: Histograms, metric: &str) -> Result<Vec<(String, HistogramSeries)>, CollectError> {
    let series = |((version, key), mut buckets): ((String, String), Vec<(f64, f64)>)| {
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let (bounds, counts): (Vec<f64>, Vec<f64>) = buckets.into_iter().unzip();
        match bounds.split_last().filter(|(last, _)| last.is_infinite() && **last > 0.0) {
            Some((_, finite)) => Ok((version, HistogramSeries { key, bounds: finite.to_vec(), counts })),
            None => Err(CollectError::NoInfinity { metric: metric.to_owned(), key }),
        }
    };
    histograms.into_iter().map(series).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{now, settings};
    use super::*;

    #[test]
    fn native_histograms_become_classic_ones_on_powers_of_two() {
        let settings = settings();
        let labels: Labels = [("app", "shop"), ("version", "a")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let read = |buckets: &[(f64, f64, f64)], count: f64| {
            let mut collector = Collector::new(&settings);
            let native = Native { count, buckets: buckets.to_vec() };
            collector.take_native(1, "http_request_duration_seconds", &labels, &native, None)?;
            collector.finish(now())
        };
        let half = 0.5_f64.sqrt();
        let sample =
            read(&[(0.25, half / 2.0 * 1.0, 0.0), (0.125, 0.25, 4.0), (0.5, half, 2.0), (half, 1.0, 1.0), (1.0, 2.0, 3.0)], 11.0).unwrap();
        let histogram = &sample.versions["a"].latency[0];
        let at = |bound: f64| histogram.counts[histogram.bounds.iter().position(|have| (have - bound).abs() < 1e-12).unwrap()];
        assert_eq!((at(0.25), at(0.5), at(1.0), at(2.0), histogram.counts.last().copied()), (4.0, 4.0, 7.0, 10.0, Some(11.0)));
        assert!(matches!(read(&[(0.3, 0.6, 1.0)], 1.0), Err(CollectError::OddNative { .. })));
        assert!(matches!(read(&[(0.5, 1.0, f64::NAN)], 1.0), Err(CollectError::BadCount { .. })));
    }
}
