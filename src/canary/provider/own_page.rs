//! How many requests one process counts on its own page: no Prometheus has looked at it yet, so labels of the target are not there.

use super::collect::CollectError;
use super::exposition::{Dialect, points_of};
use super::metrics::is_probe;
use super::selector::Selector;

/// The requests on a page, those of health checks left out; none when the page has no such counter.
///
/// A condition on a label that a series does not have is passed over: Prometheus is what adds `app` or `namespace`.
///
/// # Errors
/// When a line is malformed, or a count is none.
pub fn requests_on(page: &str, requests: &Selector) -> Result<Option<f64>, CollectError> {
    let mut sum = None;
    for point in points_of(page, Dialect::Prometheus, |name| name == requests.name()) {
        let point = point.map_err(CollectError::Malformed)?;
        if !requests.may_fit(&point.labels) {
            continue;
        }
        if !point.value.is_finite() || point.value < 0.0 {
            return Err(CollectError::BadCount { line: point.line, value: point.value });
        }
        let counted = if is_probe(&point.labels) { 0.0 } else { point.value };
        sum = Some(sum.unwrap_or(0.0) + counted);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(page: &str) -> Option<f64> {
        let requests = r#"http_requests_total{app="shop",code!="499"}"#.parse().unwrap();
        requests_on(page, &requests).unwrap()
    }

    #[test]
    fn what_a_process_counts_is_summed_whatever_prometheus_would_add() {
        assert_eq!(on("http_requests_total{code=\"200\"} 7\nhttp_requests_total{code=\"500\"} 1\nother 9\n"), Some(8.0));
        assert_eq!(on("http_requests_total{code=\"200\",path=\"/healthz\"} 7\nhttp_requests_total{code=\"499\"} 1\n"), Some(0.0));
        assert_eq!(on("http_requests_total{app=\"other\"} 7\n"), None, "another app's counter is none of this one");
        assert_eq!(on("# nothing was served yet\n"), None);
    }

    #[test]
    fn a_page_that_is_none_is_no_count() {
        let requests: Selector = "http_requests_total".parse().unwrap();
        assert!(requests_on("<html>", &requests).is_err());
        assert!(requests_on("http_requests_total NaN", &requests).is_err());
    }
}
