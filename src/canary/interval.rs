//! Two samples → what happened between them, per version (`docs/decisions.md` 9.1).
//!
//! Not left to a query language: its rates find nothing in a counter that is born at 1, and a canary's counters always are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::buckets::Buckets;
use super::mixed::Told;
use super::mixture::Trials;
use crate::event::{CounterSeries, HistogramSeries, OwnCounters, OwnMetric, Sample, VersionCounters};

/// What happened between two scrapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// The time of the earlier scrape that counts.
    pub from: DateTime<Utc>,
    /// The time of the later one.
    pub to: DateTime<Utc>,
    /// By the version label's value; a version without requests may be missing. Empty when refused.
    pub versions: BTreeMap<String, VersionDelta>,
    /// Why the later scrape was refused; what it should have told is in the next interval.
    pub refused: Option<String>,
}

/// What happened to one version. Nothing here is ever negative.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VersionDelta {
    /// Requests.
    pub requests: f64,
    /// Those that went wrong.
    pub errors: f64,
    /// Those that hms itself made, as far as the source says.
    pub synthetic: f64,
    /// Durations; none when no histogram was found.
    pub latency: Option<Buckets>,
    /// The user's own metrics, by name.
    pub own: BTreeMap<String, OwnDelta>,
    /// Its requests are of two versions, which say so.
    pub mixed: Option<String>,
}

/// What happened to one of the user's own metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnDelta {
    /// Bad events; of `all`, or of the requests when there is no such count.
    Ratio {
        /// All events.
        all: Option<f64>,
        /// Bad ones.
        bad: f64,
    },
    /// Durations.
    Latency(Buckets),
}

impl VersionDelta {
    /// Requests slower than a threshold in seconds, which must be a bucket bound; none when it is not, or without durations.
    #[must_use]
    pub fn slow(&self, threshold_seconds: f64) -> Option<f64> {
        self.latency.as_ref()?.above(threshold_seconds)
    }

    pub(super) fn error_trials(&self) -> Trials {
        Trials { all: self.requests, bad: self.errors.min(self.requests) }
    }

    /// One of the user's own metrics as trials; of durations, those above `bound` are bad. A version without requests may lack it,
    /// which is no flaw.
    pub(super) fn own_trials(&self, metric: &OwnMetric, bound: Option<f64>) -> Result<Trials, String> {
        match (self.own.get(&metric.name), metric.threshold_seconds) {
            (Some(OwnDelta::Ratio { all, bad }), _) => {
                let all = all.unwrap_or(self.requests);
                Ok(Trials { all, bad: bad.min(all) })
            }
            (Some(OwnDelta::Latency(buckets)), Some(threshold)) => match bound.and_then(|bound| buckets.above(bound)) {
                Some(slow) => Ok(Trials { all: buckets.total(), bad: slow.min(buckets.total()) }),
                None if buckets.total() > 0.0 => Err(format!("`{}` has no bucket that ends at {threshold} s or above", metric.name)),
                None => Ok(Trials::default()),
            },
            (Some(OwnDelta::Latency(_)), None) => Err(format!("`{}` is durations and has no threshold", metric.name)),
            (None, _) if self.requests > 0.0 => Err(format!("requests come without `{}`", metric.name)),
            (None, _) => Ok(Trials::default()),
        }
    }

    /// The durations of one of the user's own metrics.
    fn own_durations(&self, name: &str) -> Option<&Buckets> {
        match self.own.get(name) {
            Some(OwnDelta::Latency(buckets)) => Some(buckets),
            Some(OwnDelta::Ratio { .. }) | None => None,
        }
    }
}

/// Where one of the user's own metrics begins to be slow: the first bucket's bound that both versions have, at its threshold or above.
pub(super) fn own_bound(metric: &OwnMetric, one: &VersionDelta, other: &VersionDelta) -> Option<f64> {
    let threshold = metric.threshold_seconds?;
    let bounds = match (one.own_durations(&metric.name), other.own_durations(&metric.name)) {
        (Some(one), Some(other)) if one.total() > 0.0 && other.total() > 0.0 => one.plus(other).bounds().to_vec(),
        (Some(one), other) if one.total() > 0.0 || other.is_none() => one.bounds().to_vec(),
        (_, other) => other?.bounds().to_vec(),
    };
    bounds.into_iter().find(|bound| *bound >= threshold * (1.0 - 1e-9))
}

/// What each version counted of one of the user's own metrics since its processes began; else why it cannot be judged there. For
/// people who look whether it is there at all.
#[must_use]
pub fn own_totals(sample: &Sample, metric: &OwnMetric) -> BTreeMap<String, Result<Trials, String>> {
    let mut differ = Differ::default();
    let versions: Vec<_> = sample.versions.iter().map(|(name, counters)| (name, differ.take_version(name, counters))).collect();
    let trials = |(name, delta): &(&String, VersionDelta)| ((*name).clone(), delta.own_trials(metric, own_bound(metric, delta, delta)));
    versions.iter().map(trials).collect()
}

/// The intervals of a row of samples: one fewer than samples.
#[must_use]
pub fn deltas(samples: &[Sample]) -> Vec<Interval> {
    let mut differ = Differ::default();
    samples.iter().filter_map(|sample| differ.next(sample)).collect()
}

/// Makes intervals from samples as they come. It remembers each series' last value, also of one that is missing for a while.
#[derive(Debug, Clone, Default)]
pub struct Differ {
    last_at: Option<DateTime<Utc>>,
    source: Option<String>,
    counters: BTreeMap<(String, String), f64>,
    histograms: BTreeMap<(String, String), Buckets>,
    synthetic: BTreeMap<String, f64>,
}

impl Differ {
    /// Takes the next sample; none for the first good one, which is what others are compared with.
    pub fn next(&mut self, sample: &Sample) -> Option<Interval> {
        if self.last_at.is_some() && self.source != sample.source {
            // Another server's counters are a little before or behind: a fall would look like a restart, and count everything again.
            *self = Self::default();
        }
        let refused = self.refusal(sample);
        let Some(from) = self.last_at else {
            if let Some(reason) = refused {
                return Some(Interval { from: sample.at, to: sample.at, versions: BTreeMap::new(), refused: Some(reason) });
            }
            self.take(sample);
            self.last_at = Some(sample.at);
            self.source.clone_from(&sample.source);
            return None;
        };
        if refused.is_some() {
            return Some(Interval { from, to: sample.at, versions: BTreeMap::new(), refused });
        }
        let versions = self.take(sample);
        self.last_at = Some(sample.at);
        Some(Interval { from, to: sample.at, versions, refused: None })
    }

    /// Why a sample cannot be used. It is refused whole: half a scrape would count requests without their errors.
    fn refusal(&self, sample: &Sample) -> Option<String> {
        if self.last_at.is_some_and(|last| sample.at < last) {
            return Some("a sample is older than the one before it".into());
        }
        sample
            .versions
            .iter()
            .find_map(|(version, counters)| flaw(counters).map(|flaw| format!("version {}: {flaw}", version.escape_debug())))
    }

    fn take(&mut self, sample: &Sample) -> BTreeMap<String, VersionDelta> {
        let born_now_counts = self.last_at.is_some();
        let mut versions = BTreeMap::new();
        for (version, counters) in &sample.versions {
            let delta = self.take_version(version, counters);
            if born_now_counts {
                versions.insert(version.clone(), delta);
            }
        }
        versions
    }

    fn take_version(&mut self, version: &str, counters: &VersionCounters) -> VersionDelta {
        let mut delta = VersionDelta::default();
        let mut told = Told::default();
        for series in &counters.requests {
            let grown = self.grown(version, series, "");
            delta.requests += grown;
            delta.errors += if series.error { grown } else { 0.0 };
            if grown > 0.0 {
                told.take(&series.key);
            }
        }
        delta.mixed = told.mixed();
        delta.latency = self.durations(version, &counters.latency, "");
        for (name, own) in &counters.own {
            let grown = match own {
                OwnCounters::Ratio { all, bad } => OwnDelta::Ratio {
                    all: (!all.is_empty()).then(|| self.sum(version, all, &format!("{name} of "))),
                    bad: self.sum(version, bad, &format!("{name} bad ")),
                },
                OwnCounters::Latency(series) => OwnDelta::Latency(self.durations(version, series, &format!("{name} ")).unwrap_or_default()),
            };
            delta.own.insert(name.clone(), grown);
        }
        if let Some(synthetic) = counters.synthetic {
            let before = self.synthetic.insert(version.to_owned(), synthetic);
            delta.synthetic = growth(before, synthetic);
        }
        delta
    }

    fn sum(&mut self, version: &str, all: &[CounterSeries], of: &str) -> f64 {
        all.iter().fold(0.0, |sum, series| sum + self.grown(version, series, of))
    }

    /// What was added to a counter. `of` tells apart the counters of different metrics that have the same labels.
    fn grown(&mut self, version: &str, series: &CounterSeries, of: &str) -> f64 {
        let key = (version.to_owned(), format!("{of}{}", series.key));
        growth(self.counters.insert(key, series.value), series.value)
    }

    fn durations(&mut self, version: &str, series: &[HistogramSeries], of: &str) -> Option<Buckets> {
        let mut sum: Option<Buckets> = None;
        for series in series {
            let Some(now) = Buckets::new(series.bounds.clone(), series.counts.clone()) else { continue };
            let before = self.histograms.insert((version.to_owned(), format!("{of}{}", series.key)), now.clone());
            let grown = before.map_or_else(|| now.clone(), |before| now.since(&before));
            sum = Some(sum.map_or_else(|| grown.clone(), |sum| sum.plus(&grown)));
        }
        sum
    }
}

/// A counter that fell started again; one never seen was born at 0. The first scrape of all is the caller's matter.
fn growth(before: Option<f64>, now: f64) -> f64 {
    match before {
        Some(before) if now >= before => now - before,
        Some(_) | None => now,
    }
}

fn is_count(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn flaw(counters: &VersionCounters) -> Option<String> {
    let own = counters.own.iter().find_map(|(name, own)| match own {
        OwnCounters::Ratio { all, bad } => {
            counter_flaw(all, &format!("counter of `{name}`")).or_else(|| counter_flaw(bad, &format!("counter of bad `{name}`")))
        }
        OwnCounters::Latency(series) => histogram_flaw(series, &format!("histogram of `{name}`")),
    });
    counter_flaw(&counters.requests, "request counter")
        .or_else(|| histogram_flaw(&counters.latency, "histogram"))
        .or(own)
        .or_else(|| counters.synthetic.filter(|value| !is_count(*value)).map(|value| format!("the count of synthetic requests is {value}")))
}

fn counter_flaw(all: &[CounterSeries], what: &str) -> Option<String> {
    let mut seen = BTreeSet::new();
    all.iter().find_map(|series| {
        if !is_count(series.value) {
            return Some(format!("the {what} {{{}}} is {}", series.key, series.value));
        }
        (!seen.insert(&series.key)).then(|| format!("the {what} {{{}}} is there twice", series.key))
    })
}

fn histogram_flaw(all: &[HistogramSeries], what: &str) -> Option<String> {
    let mut seen = BTreeSet::new();
    all.iter().find_map(|series| {
        if Buckets::new(series.bounds.clone(), series.counts.clone()).is_none() {
            return Some(format!("the {what} {{{}}} has a bucket that is no count", series.key));
        }
        (!seen.insert(&series.key)).then(|| format!("the {what} {{{}}} is there twice", series.key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn sample(second: i64, series: &[(&str, &str, f64)]) -> Sample {
        let mut versions: BTreeMap<String, VersionCounters> = BTreeMap::new();
        for (version, code, value) in series {
            let one = CounterSeries { key: format!("code=\"{code}\""), error: code.starts_with('5'), value: *value };
            versions.entry((*version).to_owned()).or_default().requests.push(one);
        }
        Sample { at: at(second), versions, source: None }
    }

    fn counted(interval: &Interval, version: &str) -> (f64, f64) {
        interval.versions.get(version).map_or((0.0, 0.0), |delta| (delta.requests, delta.errors))
    }

    #[test]
    fn the_first_scrape_is_no_news_and_series_are_summed() {
        let both = deltas(&[sample(0, &[("a", "200", 100.0), ("a", "500", 7.0)]), sample(5, &[("a", "200", 110.0), ("a", "500", 8.0)])]);
        assert_eq!(both.len(), 1);
        assert_eq!(counted(&both[0], "a"), (11.0, 1.0));
        assert_eq!((both[0].from, both[0].to), (at(0), at(5)));
    }

    #[test]
    fn a_reset_counts_from_zero() {
        let two = deltas(&[sample(0, &[("a", "200", 100.0)]), sample(5, &[("a", "200", 4.0)])]);
        assert_eq!(counted(&two[0], "a"), (4.0, 0.0));
    }

    #[test]
    fn a_series_born_later_counts_from_zero() {
        let two = deltas(&[sample(0, &[("a", "200", 100.0)]), sample(5, &[("a", "200", 100.0), ("b", "503", 1.0), ("a", "500", 2.0)])]);
        assert_eq!(counted(&two[0], "b"), (1.0, 1.0));
        assert_eq!(counted(&two[0], "a"), (2.0, 2.0));
    }

    #[test]
    fn a_series_that_goes_and_comes_back_is_the_same_one() {
        let row = deltas(&[sample(0, &[("a", "200", 100.0)]), sample(5, &[]), sample(10, &[("a", "200", 103.0)])]);
        assert_eq!(counted(&row[0], "a"), (0.0, 0.0));
        assert_eq!(counted(&row[1], "a"), (3.0, 0.0));
    }

    #[test]
    fn what_is_no_count_is_refused_and_nothing_is_lost_by_it() {
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            let row = deltas(&[sample(0, &[("a", "200", 1.0)]), sample(5, &[("a", "200", bad)]), sample(10, &[("a", "200", 4.0)])]);
            assert!(row[0].refused.as_ref().unwrap().starts_with("version a: the request counter {code=\"200\"} is"), "{:?}", row[0]);
            assert_eq!((row[1].from, counted(&row[1], "a")), (at(0), (3.0, 0.0)));
        }
        let twice = deltas(&[sample(0, &[]), sample(5, &[("a", "200", 1.0), ("a", "200", 1.0)])]);
        assert!(twice[0].refused.as_ref().unwrap().contains("twice"));
        let older = deltas(&[sample(5, &[("a", "200", 4.0)]), sample(0, &[("a", "200", 1.0)])]);
        assert!(older[0].refused.as_ref().unwrap().contains("older"));
    }

    #[test]
    fn another_servers_counters_are_a_new_beginning() {
        let from = |source: &str, second, value| Sample { source: Some(source.into()), ..sample(second, &[("a", "200", value)]) };
        let row = deltas(&[from("x", 0, 100.0), from("x", 5, 110.0), from("y", 10, 109.0), from("y", 15, 119.0), from("x", 20, 140.0)]);
        let counts: Vec<_> = row.iter().map(|interval| (interval.to, counted(interval, "a").0)).collect();
        assert_eq!(counts, [(at(5), 10.0), (at(15), 10.0)]);
    }

    #[test]
    fn histograms_are_differences_too_and_start_again_with_their_process() {
        let with = |second, counts: [f64; 3], bounds: [f64; 2]| {
            let series = HistogramSeries { key: String::new(), bounds: bounds.to_vec(), counts: counts.to_vec() };
            let counters = VersionCounters { latency: vec![series], ..VersionCounters::default() };
            Sample { at: at(second), versions: BTreeMap::from([("a".to_owned(), counters)]), source: None }
        };
        let row = deltas(&[
            with(0, [5.0, 6.0, 6.0], [0.1, 0.25]),
            with(5, [7.0, 9.0, 10.0], [0.1, 0.25]),
            with(10, [1.0, 1.0, 2.0], [0.1, 0.25]),
            with(15, [3.0, 4.0, 9.0], [0.1, 0.5]),
        ]);
        let counts: Vec<_> = row.iter().map(|interval| interval.versions["a"].latency.clone().unwrap().counts().to_vec()).collect();
        assert_eq!(counts, [[2.0, 3.0, 4.0], [1.0, 1.0, 2.0], [3.0, 4.0, 9.0]]);
        assert_eq!(row[0].versions["a"].slow(0.25), Some(1.0));
        assert_eq!(row[2].versions["a"].slow(0.25), None);
    }
}
