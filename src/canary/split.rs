//! Does the canary get the share of requests that was asked for (`docs/decisions.md` 21.6)?
//!
//! Nothing is proven of the canary by it: harm and PASS rest on the requests that came. But a share that is not the one asked for means
//! that something between the wish and the traffic is broken, and that is said before anything is passed.

use super::confidence::{ln_beta, ln_chance};
use super::mixture::Trials;

/// The Bayes factor that is a mismatch.
const MISMATCH: f64 = 1000.0;
/// Expected canary requests over which a mismatch must be gone.
const FRESH_LOOK: f64 = 100.0;

/// The test of one weight.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    share: f64,
    lowest: f64,
    highest: f64,
    /// Requests of both arms since the test began, or began anew.
    canary: f64,
    stable: f64,
    mismatch: Option<Mismatch>,
}

/// A share that is not the one asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mismatch {
    /// Requests of the canary when it was found.
    pub(super) canary: f64,
    /// Requests of both arms.
    pub(super) all: f64,
    /// The share asked for.
    pub(super) asked: f64,
}

impl Split {
    /// Tests a share, 0 to 1, with a tolerance that is a part of it. None where there is nothing to test: no share, or all of it.
    pub(super) fn new(share: f64, tolerance: f64) -> Option<Self> {
        let (lowest, highest) = (share * (1.0 - tolerance), share * (1.0 + tolerance));
        let tested = lowest > 0.0 && highest < 1.0;
        tested.then_some(Self { share, lowest, highest, canary: 0.0, stable: 0.0, mismatch: None })
    }

    /// Takes an interval in.
    pub(super) fn observe(&mut self, canary: f64, stable: f64) {
        self.canary += canary;
        self.stable += stable;
        let all = self.canary + self.stable;
        if self.ln_factor() >= MISMATCH.ln() {
            self.mismatch = Some(Mismatch { canary: self.canary, all, asked: self.share });
        } else if self.mismatch.is_none() || all * self.share < FRESH_LOOK {
            return;
        } else if (self.lowest..=self.highest).contains(&(self.canary / all)) {
            self.mismatch = None;
        }
        (self.canary, self.stable) = (0.0, 0.0);
    }

    /// The mismatch, if there is one now.
    pub(super) fn mismatch(&self) -> Option<Mismatch> {
        self.mismatch
    }

    /// ln of the Bayes factor of a Beta(1, 1/share − 1) mixture against the nearest share that is tolerated.
    fn ln_factor(&self) -> f64 {
        let (canary, stable) = (self.canary, self.stable);
        if canary + stable <= 0.0 {
            return 0.0;
        }
        let wide = self.share.recip() - 1.0;
        let mixture = ln_beta(canary + 1.0, stable + wide) - ln_beta(1.0, wide);
        let nearest = (canary / (canary + stable)).clamp(self.lowest, self.highest);
        mixture - ln_chance(canary, nearest) - ln_chance(stable, 1.0 - nearest)
    }
}

/// What is most likely wrong, from the share that was measured.
pub(super) fn likely_cause(mismatch: &Mismatch) -> &'static str {
    let all = Trials { all: mismatch.all, bad: mismatch.canary };
    let measured = all.bad / all.all;
    if measured <= mismatch.asked * 0.05 {
        "the route to the canary is not in force, or its requests are not measured"
    } else if (0.45..=0.55).contains(&measured) && mismatch.asked < 0.4 {
        "the router ignores weights and takes both backends alike"
    } else if measured < mismatch.asked {
        "clients that stay with stable (affinity, open connections), or canary pods that are not measured"
    } else {
        "weights by replicas instead of by requests, retries against the canary, or stable pods that are not measured"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(share: f64, canary: f64, stable: f64) -> Split {
        let mut split = Split::new(share, 0.1).unwrap();
        split.observe(canary, stable);
        split
    }

    #[test]
    fn the_share_asked_for_is_no_mismatch_and_a_broken_route_is() {
        for (share, canary, stable) in [(0.01, 100.0, 9_900.0), (0.01, 130.0, 9_870.0), (0.01, 10_900.0, 989_100.0), (0.25, 260.0, 740.0)] {
            assert_eq!(after(share, canary, stable).mismatch(), None, "{share}: {canary}");
        }
        for (canary, stable, cause) in [
            (0.0, 2_000.0, "not in force"),
            (500.0, 500.0, "ignores weights"),
            (91.0, 909.0, "replicas"),
            (500.0, 99_500.0, "affinity"),
            (12_500.0, 987_500.0, "replicas"),
        ] {
            let mismatch = after(0.01, canary, stable).mismatch().unwrap_or_else(|| panic!("{canary}:{stable}"));
            assert!(likely_cause(&mismatch).contains(cause), "{canary}:{stable}: {}", likely_cause(&mismatch));
        }
        assert_eq!(Split::new(1.0, 0.1), None);
        assert_eq!(Split::new(0.0, 0.1), None);
    }

    #[test]
    fn a_route_that_is_mended_is_believed_again() {
        let mut split = after(0.01, 500.0, 500.0);
        split.observe(10.0, 990.0);
        assert!(split.mismatch().is_some(), "ten expected requests are no proof");
        split.observe(95.0, 9_405.0);
        assert_eq!(split.mismatch(), None);
        split.observe(5_000.0, 5_000.0);
        assert!(split.mismatch().is_some());
    }
}
