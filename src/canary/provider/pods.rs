//! Pages of metrics of single pods → one sample. Whoever calls brings the pages; nothing here asks anybody.
//!
//! A page of a process lacks what Prometheus adds (`app`, `namespace`, the version): conditions on labels that are not there are passed
//! over, and the version is the pod's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::collect::{CollectError, Collector, SERIES_LIMIT};
use super::exposition::{Dialect, points_of};
use super::many::together;
use super::metrics::MetricsSettings;
use crate::event::{OwnCounters, Sample};

/// A page of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPage {
    /// Which process, for good: one that starts anew is another.
    pub instance: String,
    /// Which version it is of; none when only its series can tell.
    pub version: Option<String>,
    /// The page.
    pub text: String,
}

/// A page of a pod that cannot be used; then none of them is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the metrics of {instance} cannot be used")]
pub struct BadPage {
    /// Which pod.
    pub instance: String,
    /// Why.
    #[source]
    pub source: CollectError,
}

/// Makes one sample of the pages of pods.
///
/// # Errors
/// When one of them cannot be read whole, or all of them have more series than one release can have.
pub fn read_pods(pages: &[PodPage], settings: &MetricsSettings, now: DateTime<Utc>) -> Result<Sample, BadPage> {
    let mut all = BTreeMap::new();
    let mut series = 0;
    for page in pages {
        let bad = |source| BadPage { instance: page.instance.clone(), source };
        let sample = read(page, settings, now).map_err(bad)?;
        series += count(&sample);
        if series > SERIES_LIMIT {
            return Err(bad(CollectError::TooManySeries));
        }
        all.insert(page.instance.clone(), sample);
    }
    Ok(together(all, now))
}

fn read(page: &PodPage, settings: &MetricsSettings, now: DateTime<Utc>) -> Result<Sample, CollectError> {
    let mut collector = Collector::of_pod(settings, page.version.clone());
    let names = collector.names();
    for point in points_of(&page.text, Dialect::Prometheus, |name| names.iter().any(|wanted| wanted == name)) {
        collector.take(point.map_err(CollectError::Malformed)?)?;
    }
    // Each page is read at its own moment, and the sample is of this one: clocks of pods are not compared.
    collector.finish(now).map(|sample| Sample { at: now, ..sample })
}

fn count(sample: &Sample) -> usize {
    let own = |own: &OwnCounters| match own {
        OwnCounters::Ratio { all, bad } => all.len() + bad.len(),
        OwnCounters::Latency(series) => series.len(),
    };
    sample.versions.values().map(|one| one.requests.len() + one.latency.len() + one.own.values().map(own).sum::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> MetricsSettings {
        let (requests, latency) = (r#"http_requests_total{app="shop"}"#, r#"http_request_duration_seconds{app="shop"}"#);
        MetricsSettings::new(requests.parse().unwrap(), Some(latency.parse().unwrap()), "version")
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn page(instance: &str, version: Option<&str>, text: &str) -> PodPage {
        PodPage { instance: instance.to_owned(), version: version.map(str::to_owned), text: text.to_owned() }
    }

    #[test]
    fn pods_are_summed_by_their_version_whatever_prometheus_would_add() {
        let good = "http_requests_total{code=\"200\"} 7 1700000000000\nhttp_requests_total{code=\"500\"} 1\n";
        let buckets = "http_request_duration_seconds_bucket{le=\"0.1\"} 5\nhttp_request_duration_seconds_bucket{le=\"+Inf\"} 8\n";
        // What the process says of its own version is not what its arm is known by.
        let other = "http_requests_total{code=\"200\",version=\"1.4.0\"} 3\nhttp_requests_total{app=\"else\",code=\"200\"} 99\n";
        let pages = [
            page("shop-1/a", Some("new"), &format!("{good}{buckets}")),
            page("shop-2/b", Some("new"), good),
            page("shop-3/c", Some("old"), other),
            page("shop-4/d", Some("old"), "# it answered nobody yet\n"),
        ];
        let sample = read_pods(&pages, &settings(), now()).unwrap();
        assert_eq!((sample.at, sample.versions.keys().map(String::as_str).collect::<Vec<_>>()), (now(), vec!["new", "old"]));
        let new = &sample.versions["new"];
        let sum = |error| new.requests.iter().filter(|series| series.error == error).map(|series| series.value).sum::<f64>();
        assert_eq!((sum(false).to_string(), sum(true).to_string(), new.requests.len(), new.latency.len()), ("14".into(), "2".into(), 4, 1));
        assert!(new.requests.iter().all(|series| series.key.contains(",@=\"shop-")), "a pod that starts anew is seen as its own");
        assert_eq!(sample.versions["old"].requests.len(), 1, "another app's counter is none of this one");
        assert!(read_pods(&[], &settings(), now()).unwrap().versions.is_empty());
    }

    #[test]
    fn a_page_that_could_hide_an_error_takes_all_with_it() {
        let good = page("shop-1/a", Some("new"), "http_requests_total{code=\"200\"} 7\n");
        let refused = |text: &str, version| read_pods(&[good.clone(), page("shop-2/b", version, text)], &settings(), now()).unwrap_err();
        let html = refused("<html>", Some("new"));
        assert!(html.instance == "shop-2/b" && matches!(html.source, CollectError::Malformed(_)), "{html:?}");
        let status = refused("http_requests_total 1\n", Some("new"));
        assert!(matches!(status.source, CollectError::NoStatus { .. }), "{status:?}");
        let whose = refused("http_requests_total{code=\"200\"} 1\n", None);
        assert!(matches!(whose.source, CollectError::NoVersion { .. }), "{whose:?}");
    }

    #[test]
    fn all_pods_together_have_one_budget() {
        let line = |path: usize| format!("http_requests_total{{code=\"200\",path=\"/{path}\"}} 1\n");
        let text: String = (0..SERIES_LIMIT / 2).map(line).collect();
        let pages: Vec<PodPage> = (0..3).map(|pod| page(&format!("shop-{pod}"), Some("new"), &text)).collect();
        assert!(read_pods(&pages[..2], &settings(), now()).is_ok());
        assert_eq!(read_pods(&pages, &settings(), now()).unwrap_err().source, CollectError::TooManySeries);
    }
}
