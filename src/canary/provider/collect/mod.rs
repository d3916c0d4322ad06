//! The series of a scrape → a sample: the chosen counters and histograms, by version.
//!
//! | file | what it does |
//! |---|---|
//! | this one | which series are chosen, by which version, and what they become |
//! | `histograms` | buckets in order; native histograms as classic ones |
//! | `status` | which statuses are errors |
//! | `problem` | why a page is not used |

mod histograms;
mod problem;
mod status;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::exposition::{Dialect, Labels, Point, excerpt, points_of};
use super::metrics::{MetricsSettings, OwnSelectors, OwnSeries, is_probe, unit_of};
use super::selector::Selector;
use crate::event::{CounterSeries, OwnCounters, Sample, VersionCounters};

pub(in crate::canary::provider) use histograms::Native;
pub use problem::CollectError;

use histograms::{Histograms, add_bucket, finished, is_bucket_of};
use status::is_error;

/// So many chosen series are read at most; more are a selector that chooses too much, and would fill the journal.
pub(super) const SERIES_LIMIT: usize = 10_000;

/// Makes a sample of a page in the text format, for whoever has it already.
///
/// # Errors
/// When a line is malformed, or a chosen series cannot be read: then nothing is used.
pub fn read_page(text: &str, settings: &MetricsSettings, now: DateTime<Utc>) -> Result<Sample, CollectError> {
    collect(text, Dialect::Prometheus, settings, now)
}

/// Makes a sample of a text. Its time is the newest timestamp of the chosen series, or `now` when they have none. Without a chosen
/// series the sample is empty: a process that served nothing yet shows none.
///
/// # Errors
/// When a line is malformed, or a chosen series cannot be read: then nothing is used.
pub(in crate::canary::provider) fn collect(
    text: &str,
    dialect: Dialect,
    settings: &MetricsSettings,
    now: DateTime<Utc>,
) -> Result<Sample, CollectError> {
    let mut collector = Collector::new(settings);
    let names = collector.names();
    for point in points_of(text, dialect, |name| names.iter().any(|wanted| wanted == name)) {
        collector.take(point.map_err(CollectError::Malformed)?)?;
    }
    collector.finish(now)
}

pub(in crate::canary::provider) struct Collector<'a> {
    settings: &'a MetricsSettings,
    source: Source,
    bucket_name: Option<String>,
    requests: BTreeMap<(String, String), CounterSeries>,
    synthetic: BTreeMap<String, f64>,
    histograms: Histograms,
    own: BTreeMap<(String, String), (Vec<CounterSeries>, Vec<CounterSeries>)>,
    /// The histograms of each of the user's own metrics.
    own_histograms: BTreeMap<String, Histograms>,
    /// Which of the user's metrics are there at all, by the metric's name.
    seen: BTreeSet<String>,
    series: usize,
    unversioned: Option<String>,
    newest_ms: Option<i64>,
    newest: Option<DateTime<Utc>>,
}

impl<'a> Collector<'a> {
    pub(in crate::canary::provider) fn new(settings: &'a MetricsSettings) -> Self {
        // Some write the name as it stands in the text, with its ending.
        let base = settings.latency.as_ref().map(Selector::base_name);
        Self {
            settings,
            source: Source::Scraped,
            bucket_name: base.map(|base| format!("{base}_bucket")),
            requests: BTreeMap::new(),
            synthetic: BTreeMap::new(),
            histograms: BTreeMap::new(),
            own: BTreeMap::new(),
            own_histograms: BTreeMap::new(),
            seen: BTreeSet::new(),
            series: 0,
            unversioned: None,
            newest_ms: None,
            newest: None,
        }
    }

    /// Reads the page of one pod, before any server has put labels on it.
    pub(in crate::canary::provider) fn of_pod(settings: &'a MetricsSettings, version: Option<String>) -> Self {
        Self { source: Source::Pod { version }, ..Self::new(settings) }
    }

    /// The names of the metrics that may be chosen.
    pub(in crate::canary::provider) fn names(&self) -> Vec<String> {
        let own = &self.settings.own;
        let counters = std::iter::once(&self.settings.requests).chain(own.iter().flat_map(OwnSelectors::counters));
        let buckets = own.iter().filter_map(OwnSelectors::histogram).map(|latency| format!("{}_bucket", latency.base_name()));
        counters.map(|selector| selector.name().to_owned()).chain(self.bucket_name.clone()).chain(buckets).collect()
    }

    pub(in crate::canary::provider) fn take(&mut self, point: Point) -> Result<(), CollectError> {
        let source = &self.source;
        let chosen = |selector: &Selector| point.name == selector.name() && source.fits(selector, &point.labels);
        let is_request = chosen(&self.settings.requests);
        let latency = self.settings.latency.as_ref();
        let is_bucket =
            Some(&point.name) == self.bucket_name.as_ref() && latency.is_some_and(|latency| source.fits(latency, &point.labels));
        let is_own =
            |own: &OwnSelectors| own.counters().any(chosen) || own.histogram().is_some_and(|one| is_bucket_of(one, &point, source));
        if !is_request && !is_bucket && !self.settings.own.iter().any(is_own) {
            return Ok(());
        }
        self.series += 1;
        if self.series > SERIES_LIMIT {
            return Err(CollectError::TooManySeries);
        }
        if !point.value.is_finite() || point.value < 0.0 {
            return Err(CollectError::BadCount { line: point.line, value: point.value });
        }
        self.take_time(point.line, point.timestamp_ms)?;
        let mut labels = point.labels.clone();
        let said = labels.remove(&self.settings.version_label);
        let Some(version) = self.source.version().or(said).filter(|version| !version.is_empty()) else {
            self.unversioned = Some(point.name);
            return Ok(());
        };
        if is_probe(&labels) {
            return Ok(());
        }
        self.take_own(&point, &version, &labels)?;
        if is_request {
            self.take_request(&point, version, &labels)
        } else if is_bucket {
            self.take_bucket(&point, &version, labels)
        } else {
            Ok(())
        }
    }

    /// Adds a series to each of the user's own metrics that choose it.
    fn take_own(&mut self, point: &Point, version: &str, labels: &Labels) -> Result<(), CollectError> {
        let settings = self.settings;
        for own in &settings.own {
            if let Some(histogram) = own.histogram().filter(|histogram| is_bucket_of(histogram, point, &self.source)) {
                let histograms = self.own_histograms.entry(own.name.clone()).or_default();
                add_bucket(histograms, point, version, labels.clone(), unit_of(histogram.base_name()))?;
            }
            let OwnSeries::Ratio { all, bad } = &own.series else { continue };
            let source = &self.source;
            let chosen = |selector: &Selector| point.name == selector.name() && source.fits(selector, &point.labels);
            let (is_all, is_bad) = (all.as_ref().is_some_and(chosen), chosen(bad));
            if is_all || is_bad {
                let series = CounterSeries { key: format!("{}{{{}}}", point.name, key(labels)), error: is_bad, value: point.value };
                self.seen.insert(point.name.clone());
                self.add_own(own, version, is_all.then(|| series.clone()), is_bad.then_some(series));
            }
        }
        Ok(())
    }

    fn add_own(&mut self, own: &OwnSelectors, version: &str, is_all: Option<CounterSeries>, is_bad: Option<CounterSeries>) {
        let (all, bad) = self.own.entry((version.to_owned(), own.name.clone())).or_default();
        all.extend(is_all);
        bad.extend(is_bad);
    }

    fn take_time(&mut self, line: usize, timestamp_ms: Option<i64>) -> Result<(), CollectError> {
        if timestamp_ms > self.newest_ms {
            self.newest_ms = timestamp_ms;
            let time = timestamp_ms.and_then(DateTime::from_timestamp_millis);
            self.newest = Some(time.ok_or(CollectError::BadTime { line })?);
        }
        Ok(())
    }

    fn take_request(&mut self, point: &Point, version: String, labels: &Labels) -> Result<(), CollectError> {
        let status = self.settings.status_labels.iter().find_map(|label| labels.get(label));
        let status = status.ok_or_else(|| CollectError::NoStatus {
            line: point.line,
            metric: point.name.clone(),
            labels: self.settings.status_labels.join(", "),
        })?;
        let error = is_error(status).ok_or_else(|| CollectError::BadStatus { line: point.line, value: excerpt(status) })?;
        if labels.contains_key("synthetic") {
            let made_here = if labels["synthetic"] == "true" { point.value } else { 0.0 };
            *self.synthetic.entry(version.clone()).or_default() += made_here;
        }
        let key = key(labels);
        let settings = self.settings;
        for own in &settings.own {
            let OwnSeries::Status(range) = own.series else { continue };
            let coarse = || CollectError::CoarseStatus { line: point.line, value: excerpt(status), name: own.name.clone() };
            if range.holds(status).ok_or_else(coarse)? {
                self.add_own(own, &version, None, Some(CounterSeries { key: key.clone(), error: true, value: point.value }));
            }
        }
        let series = CounterSeries { key: key.clone(), error, value: point.value };
        match self.requests.insert((version, key), series) {
            Some(_) => Err(CollectError::Twice { line: point.line }),
            None => Ok(()),
        }
    }

    fn take_bucket(&mut self, point: &Point, version: &str, labels: Labels) -> Result<(), CollectError> {
        add_bucket(&mut self.histograms, point, version, labels, self.settings.latency_unit_seconds)
    }

    pub(in crate::canary::provider) fn finish(self, now: DateTime<Utc>) -> Result<Sample, CollectError> {
        let mut versions: BTreeMap<String, VersionCounters> = BTreeMap::new();
        for ((version, _), series) in self.requests {
            versions.entry(version).or_default().requests.push(series);
        }
        for (version, series) in finished(self.histograms, self.bucket_name.as_deref().unwrap_or_default())? {
            versions.entry(version).or_default().latency.push(series);
        }
        for (version, made_here) in self.synthetic {
            versions.entry(version).or_default().synthetic = Some(made_here);
        }
        // Whoever has requests has each of the user's counters, be it with no event yet: a counter is born with its first one. But
        // a metric of which nothing at all is there is a name that is wrong, and not one without bad events.
        let named = |selector: &Selector| selector.name() == self.settings.requests.name() || self.seen.contains(selector.name());
        let there: Vec<&OwnSelectors> =
            self.settings.own.iter().filter(|own| own.histogram().is_none() && own.counters().all(named)).collect();
        for counters in versions.values_mut().filter(|counters| !counters.requests.is_empty()) {
            let none = |own: &&OwnSelectors| (own.name.clone(), OwnCounters::Ratio { all: none_yet(own), bad: Vec::new() });
            counters.own.extend(there.iter().map(none));
        }
        for ((version, name), (mut all, bad)) in self.own {
            let Some(own) = there.iter().find(|own| own.name == name) else { continue };
            if all.is_empty() {
                all = none_yet(own);
            }
            versions.entry(version).or_default().own.insert(name, OwnCounters::Ratio { all, bad });
        }
        for (name, histograms) in self.own_histograms {
            for (version, series) in finished(histograms, &name)? {
                let own = &mut versions.entry(version).or_default().own;
                if let OwnCounters::Latency(all) = own.entry(name.clone()).or_insert_with(|| OwnCounters::Latency(Vec::new())) {
                    all.push(series);
                }
            }
        }
        match self.unversioned {
            Some(metric) if versions.is_empty() => Err(CollectError::NoVersion { metric, label: self.settings.version_label.clone() }),
            Some(_) | None => Ok(Sample { at: self.newest.unwrap_or(now), versions, source: None }),
        }
    }
}

/// Where a page comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A server, or a process that knows its labels: they are as they are meant.
    Scraped,
    /// A single pod. Conditions on labels that only a server adds are passed over, and its version is the pod's where that is known.
    Pod { version: Option<String> },
}

impl Source {
    fn fits(&self, selector: &Selector, labels: &Labels) -> bool {
        match self {
            Self::Scraped => selector.fits(labels),
            Self::Pod { .. } => selector.may_fit(labels),
        }
    }

    fn version(&self) -> Option<String> {
        match self {
            Self::Scraped => None,
            Self::Pod { version } => version.clone(),
        }
    }
}

/// What counts all events of a metric that had none yet; nothing where all are the requests.
fn none_yet(own: &OwnSelectors) -> Vec<CounterSeries> {
    let counted = matches!(own.series, OwnSeries::Ratio { all: Some(_), .. });
    counted.then(|| CounterSeries { key: String::new(), error: false, value: 0.0 }).into_iter().collect()
}

/// Labels in order, as text.
fn key(labels: &Labels) -> String {
    labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::exposition::LineError;
    use super::*;

    pub(in crate::canary::provider) fn settings() -> MetricsSettings {
        let latency = "http_request_duration_seconds{app=\"shop\"}".parse().unwrap();
        MetricsSettings::new("http_requests_total{app=\"shop\"}".parse().unwrap(), Some(latency), "version")
    }

    pub(in crate::canary::provider) fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn read(text: &str) -> Result<Sample, CollectError> {
        collect(text, Dialect::Prometheus, &settings(), now())
    }

    #[test]
    fn series_are_sorted_by_version() {
        let sample = read(concat!(
            "http_requests_total{app=\"shop\",version=\"a\",code=\"200\"} 10\n",
            "http_requests_total{app=\"shop\",version=\"a\",code=\"503\",synthetic=\"true\"} 2\n",
            "http_requests_total{app=\"shop\",version=\"b\",status=\"5xx\"} 1\n",
            "http_requests_total{app=\"other\",version=\"b\",code=\"200\"} 99\n",
            "http_request_duration_seconds_bucket{app=\"shop\",version=\"a\",le=\"+Inf\"} 12\n",
            "http_request_duration_seconds_bucket{app=\"shop\",version=\"a\",le=\"0.5\"} 11\n",
            "http_request_duration_seconds_bucket{app=\"shop\",version=\"a\",le=\"0.1\"} 4\n",
            "http_request_duration_seconds_sum{app=\"shop\",version=\"a\"} NaN\n",
        ))
        .unwrap();
        assert_eq!(sample.at, now());
        let a = &sample.versions["a"];
        let counters: Vec<_> = a.requests.iter().map(|series| (series.key.as_str(), series.error, series.value)).collect();
        assert_eq!(counters, [("app=\"shop\",code=\"200\"", false, 10.0), ("app=\"shop\",code=\"503\",synthetic=\"true\"", true, 2.0)]);
        assert_eq!((a.synthetic, sample.versions["b"].synthetic), (Some(2.0), None));
        assert_eq!(a.latency[0].bounds, [0.1, 0.5]);
        assert_eq!(a.latency[0].counts, [4.0, 11.0, 12.0]);
        assert!(sample.versions["b"].requests[0].error);
        assert!(read("up 1\n").unwrap().versions.is_empty());
    }

    #[test]
    fn the_newest_timestamp_is_the_samples_time() {
        let sample = read(concat!(
            "http_requests_total{app=\"shop\",version=\"a\",code=\"200\"} 10 1700000000500\n",
            "http_requests_total{app=\"shop\",version=\"a\",code=\"500\"} 10 1700000000000\n",
            "up 1 1900000000000\n",
        ));
        assert_eq!(sample.unwrap().at.timestamp_millis(), 1_700_000_000_500);
    }

    #[test]
    fn what_could_hide_an_error_is_refused() {
        let request = |labels: &str, value: &str| read(&format!("http_requests_total{{app=\"shop\",{labels}}} {value}\n"));
        assert!(matches!(request("version=\"a\"", "1"), Err(CollectError::NoStatus { line: 1, .. })));
        assert!(matches!(request("version=\"a\",code=\"bad\"", "1"), Err(CollectError::BadStatus { .. })));
        assert!(matches!(request("code=\"200\"", "1"), Err(CollectError::NoVersion { .. })));
        for bad in ["NaN", "-1", "+Inf"] {
            assert!(matches!(request("version=\"a\",code=\"200\"", bad), Err(CollectError::BadCount { line: 1, .. })), "{bad}");
        }
        let line = "http_requests_total{app=\"shop\",version=\"a\",code=\"200\"} 1\n";
        assert_eq!(read(&line.repeat(2)), Err(CollectError::Twice { line: 2 }));
        let bucket = |le: &str| format!("http_request_duration_seconds_bucket{{app=\"shop\",version=\"a\",{le}}} 1\n");
        assert!(matches!(read(&bucket("le=\"0.1\"")), Err(CollectError::NoInfinity { .. })));
        assert!(matches!(read(&bucket("le=\"x\"")), Err(CollectError::BadBound { .. })));
        assert!(matches!(read(&bucket("x=\"1\"")), Err(CollectError::BadBound { .. })));
        assert!(matches!(read("<html>"), Err(CollectError::Malformed(LineError { line: 1, .. }))));
    }

    #[test]
    fn probes_are_nobodys_requests() {
        let line = |path: &str| format!("http_requests_total{{app=\"shop\",version=\"a\",code=\"200\",path=\"{path}\"}} 5\n");
        let sample = read(&["/", "/healthz", "/metrics", "/health/", "/healthy-food"].map(line).concat()).unwrap();
        let paths: Vec<_> = sample.versions["a"].requests.iter().map(|series| series.key.as_str()).collect();
        assert_eq!(paths, ["app=\"shop\",code=\"200\",path=\"/\"", "app=\"shop\",code=\"200\",path=\"/healthy-food\""]);
        assert!(read(&line("/livez")).unwrap().versions.is_empty(), "only probes are no requests at all");
    }

    #[test]
    fn own_metrics_are_chosen_from_the_same_series() {
        let own = |name: &str, series: OwnSeries| OwnSelectors { name: name.into(), series };
        let ratio =
            |all: Option<&str>, bad: &str| OwnSeries::Ratio { all: all.map(|text| text.parse().unwrap()), bad: bad.parse().unwrap() };
        let mut settings = settings();
        settings.own = vec![
            own("denied", ratio(None, "http_requests_total{code=~\"4..\"}")),
            own("jobs", ratio(Some("jobs_total"), "jobs_total{result=\"failed\"}")),
            own("client_errors", OwnSeries::Status("4xx".parse().unwrap())),
            own("too_many", OwnSeries::Status("429".parse().unwrap())),
            own("misspelt", ratio(Some("jobs_total"), "jobs_faild_total")),
            own("search", OwnSeries::Latency("search_milliseconds_bucket".parse().unwrap())),
        ];
        let text = concat!(
            "http_requests_total{app=\"shop\",version=\"a\",code=\"200\"} 10\n",
            "http_requests_total{app=\"shop\",version=\"a\",code=\"403\"} 3\n",
            "http_requests_total{app=\"shop\",version=\"b\",code=\"200\"} 1\n",
            "jobs_total{version=\"a\",result=\"done\"} 7\njobs_total{version=\"a\",result=\"failed\"} 2\n",
            "search_milliseconds_bucket{version=\"a\",le=\"250\"} 3\nsearch_milliseconds_bucket{version=\"a\",le=\"+Inf\"} 4\n",
        );
        let sample = collect(text, Dialect::Prometheus, &settings, now()).unwrap();
        let of = |version: &str, name: &str| match &sample.versions[version].own[name] {
            OwnCounters::Ratio { all, bad } => {
                [all, bad].map(|series| series.iter().fold(0.0, |sum, series| sum + series.value).to_string())
            }
            OwnCounters::Latency(_) => panic!(),
        };
        assert_eq!(of("a", "denied"), ["0", "3"]);
        assert_eq!(of("a", "jobs"), ["9", "2"]);
        assert_eq!(of("b", "denied"), ["0", "0"], "no bad one yet is no missing metric");
        let all_of = |name: &str| match &sample.versions["b"].own[name] {
            OwnCounters::Ratio { all, .. } => all.len(),
            OwnCounters::Latency(_) => panic!(),
        };
        assert_eq!((all_of("jobs"), all_of("denied")), (1, 0), "no job yet is not as many jobs as requests");
        assert_eq!((of("a", "client_errors"), of("a", "too_many")), (["0", "3"].map(str::to_owned), ["0", "0"].map(str::to_owned)));
        assert!(!sample.versions["a"].own.contains_key("misspelt"), "a metric that is not there is none without bad events");
        let OwnCounters::Latency(search) = &sample.versions["a"].own["search"] else { panic!() };
        assert_eq!((search[0].bounds.clone(), search[0].counts.clone()), (vec![0.25], vec![3.0, 4.0]));
        assert!(!sample.versions["b"].own.contains_key("search"));
        let coarse = "http_requests_total{app=\"shop\",version=\"a\",code=\"4xx\"} 1\n";
        let refused = collect(coarse, Dialect::Prometheus, &settings, now());
        assert!(matches!(refused, Err(CollectError::CoarseStatus { line: 1, .. })), "{refused:?}");
    }

    #[test]
    fn too_many_series_are_refused() {
        let line = |path: usize| format!("http_requests_total{{app=\"shop\",version=\"a\",code=\"200\",path=\"{path}\"}} 1");
        let text = (0..=SERIES_LIMIT).map(line).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&text), Err(CollectError::TooManySeries));
    }
}
