//! The latency threshold, chosen once when the canary starts and written down (`WatchStarted`).

use super::buckets::Buckets;
use super::settings::LatencySettings;

/// The share of slow requests that a p95 SLO allows.
const SHARE_OF_SLO: f64 = 0.05;
/// The share allowed above stable's own p95: twice what stable itself has there.
const SHARE_OF_STABLE: f64 = 0.10;

/// Chooses what is slow: the first bucket bound at or above the SLO's p95 (in seconds), else the first at or above stable's p95 at
/// the start. None when there is neither (a first release without an SLO), or when no finite bound lies that high: then latency
/// cannot be judged, which the caller says.
///
/// `bounds` are of the histograms that will be judged; `stable` is stable's whole histogram so far ([`Buckets::of_version`]).
#[must_use]
pub fn choose_threshold(bounds: &[f64], slo_p95: Option<f64>, stable: Option<&Buckets>) -> Option<LatencySettings> {
    let (least, slow_share) = match (slo_p95, stable) {
        (Some(slo), _) => (slo, SHARE_OF_SLO),
        (None, Some(stable)) => (bound_of_p95(stable)?, SHARE_OF_STABLE),
        (None, None) => return None,
    };
    let threshold_seconds = bounds.iter().copied().find(|bound| bound.is_finite() && *bound >= least)?;
    Some(LatencySettings { threshold_seconds, slow_share })
}

/// The bound of the bucket that the p95 lies in. The first bound at or above the p95 is this one, whatever is supposed inside the bucket.
fn bound_of_p95(buckets: &Buckets) -> Option<f64> {
    let rank = 0.95 * buckets.total();
    let place = buckets.counts().iter().position(|count| *count >= rank && *count > 0.0)?;
    buckets.bounds().get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 4] = [0.1, 0.25, 0.5, 1.0];

    fn stable(counts: [f64; 5]) -> Buckets {
        Buckets::new(BOUNDS.to_vec(), counts.to_vec()).unwrap()
    }

    #[test]
    fn the_slo_comes_first_then_stable() {
        let some = |threshold_seconds, slow_share| Some(LatencySettings { threshold_seconds, slow_share });
        let usual = stable([90.0, 96.0, 100.0, 100.0, 100.0]);
        assert_eq!(choose_threshold(&BOUNDS, Some(0.25), Some(&usual)), some(0.25, 0.05));
        assert_eq!(choose_threshold(&BOUNDS, Some(0.3), None), some(0.5, 0.05));
        assert_eq!(choose_threshold(&BOUNDS, None, Some(&usual)), some(0.25, 0.10));
        assert_eq!(choose_threshold(&BOUNDS, None, Some(&stable([95.0, 96.0, 100.0, 100.0, 100.0]))), some(0.1, 0.10));
    }

    #[test]
    fn without_a_bound_there_is_no_threshold() {
        assert_eq!(choose_threshold(&BOUNDS, None, None), None);
        assert_eq!(choose_threshold(&BOUNDS, Some(2.0), None), None);
        assert_eq!(choose_threshold(&[], Some(0.1), None), None);
        assert_eq!(choose_threshold(&BOUNDS, None, Some(&stable([0.0; 5]))), None);
        assert_eq!(choose_threshold(&BOUNDS, None, Some(&stable([0.0, 0.0, 0.0, 50.0, 100.0]))), None);
    }
}
