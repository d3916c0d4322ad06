//! The judge's port over the canary room.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::canary::{self, Buckets, JudgeSettings, Kind, LatencySettings, PassOn, SourceState, Subject, choose_threshold};
use crate::deploy::Health;
use crate::event::{OwnMetric, Sample, Verdict, VerdictClass, Weight};
use crate::policy::{JudgeRules, PassOn as PolicyPassOn};
use crate::rollout::ports::{Judge, Span, Threshold, WatchFacts};

/// Requests of stable that its p95 is taken from at the least: of fewer than 20, the slowest one alone would be the p95.
const LEAST_OF_STABLE: f64 = 20.0;

/// What policy sets of the judge.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryJudge {
    /// The largest share of failed requests, 0 to 1.
    pub error_slo: f64,
    /// The p95 that the service promises, in seconds; none when it promises none.
    pub p95_slo: Option<f64>,
    /// How long a canary must be watched before PASS.
    pub bake: Duration,
    /// How long after the weight was set samples do not count.
    pub warm_up: Duration,
    /// From scrape to scrape.
    pub scrape: Duration,
    /// What it takes for proof.
    pub rules: JudgeRules,
    /// The user's own metrics.
    pub own: Vec<OwnMetric>,
}

impl CanaryJudge {
    fn settings(&self, facts: &WatchFacts, weight: Weight) -> JudgeSettings {
        let mut settings = JudgeSettings::new(facts.canary_version.clone(), facts.stable_version.clone(), weight);
        settings.error_slo = self.error_slo;
        settings.bake = self.bake;
        settings.warm_up = self.warm_up;
        settings.scrape_interval = self.scrape;
        settings.absolute_only = facts.absolute_only;
        settings.subject = facts.subject;
        settings.pass_on = match self.rules.pass_on {
            PolicyPassOn::Relative => PassOn::Relative,
            PolicyPassOn::Absolute => PassOn::Absolute,
            PolicyPassOn::Either => PassOn::Either,
        };
        settings.alpha = self.rules.alpha;
        settings.beta = self.rules.beta;
        settings.min_requests = self.rules.min_requests;
        settings.min_bad_events = self.rules.min_bad_events;
        settings.burst = f64::from(self.rules.burst);
        settings.share_tolerance = self.rules.share_tolerance;
        settings.own.clone_from(&self.own);
        settings.latency =
            facts.threshold.map(|threshold| LatencySettings { threshold_seconds: threshold.seconds, slow_share: threshold.slow_share });
        settings
    }

    /// Why it is not known yet what is slow; none when it is, and on a first release, which has no latency test and says so.
    fn unchosen(&self, facts: &WatchFacts, samples: &[Sample]) -> Option<String> {
        if facts.absolute_only || facts.threshold.is_some() {
            return None;
        }
        let Some(bounds) = samples.last().and_then(bounds) else { return Some("the metrics have no histogram of durations".to_owned()) };
        let highest = bounds.last().copied().unwrap_or(0.0);
        if let Some(slo) = self.p95_slo {
            return Some(format!("no bucket of the histograms ends at or above the SLO of {slo} s; the highest ends at {highest} s"));
        }
        let stable = facts.stable_version.as_deref().and_then(|version| Buckets::of_version(samples.last()?, version));
        let seen = stable.map_or(0.0, |stable| stable.total());
        Some(if seen < LEAST_OF_STABLE {
            format!("stable had {seen} of the {LEAST_OF_STABLE} requests that its p95 is taken from")
        } else {
            format!("stable's p95 lies above {highest} s, where the last bucket ends")
        })
    }
}

/// The bounds of the histograms that will be judged.
fn bounds(sample: &Sample) -> Option<&[f64]> {
    sample.versions.values().flat_map(|version| &version.latency).next().map(|series| series.bounds.as_slice())
}

/// Stable's histogram, when it says something of a p95.
fn told_by_stable(sample: &Sample, stable_version: Option<&str>) -> Option<Buckets> {
    Buckets::of_version(sample, stable_version?).filter(|stable| stable.total() >= LEAST_OF_STABLE)
}

/// What is wrong with stable at this moment, by its health or its requests.
fn stable_in_trouble(facts: &WatchFacts, judge: &canary::Judge) -> Option<String> {
    match &facts.stable_health {
        Some(Health::Failing { reason, .. }) => Some(reason.clone()),
        Some(Health::Starting | Health::Healthy) | None => judge.stable_in_trouble(),
    }
}

impl Judge for CanaryJudge {
    fn assess(&self, facts: &WatchFacts, samples: &[Sample], now: DateTime<Utc>) -> Verdict {
        let last = facts.spans.last().cloned().unwrap_or(Span { weight: Weight::ZERO, since: now });
        let source = SourceState { missed: facts.missed, reason: facts.missed_reason.clone() };
        let mut judge = canary::Judge::new(&self.settings(facts, last.weight), last.since);
        for sample in samples {
            judge.push(sample);
        }
        let mut verdict = judge.verdict(now, &source);
        if let Some(unchosen) = self.unchosen(facts, samples)
            && matches!(judge.kind(now, &source), Kind::Proven | Kind::Gathering)
        {
            verdict.class = VerdictClass::Hold;
            verdict.reason = format!("latency cannot be judged: {unchosen}");
            verdict.forecast_seconds = None;
        }
        if let Some(Health::Failing { reason, .. }) = &facts.health {
            match stable_in_trouble(facts, &judge) {
                // Taken back, its users would be no better off; proven harm is acted on all the same.
                Some(trouble) if verdict.class != VerdictClass::Rollback => {
                    verdict.class = VerdictClass::Hold;
                    verdict.reason =
                        format!("environment incident: the canary does not run ({reason}), and stable is in trouble too: {trouble}");
                }
                Some(_) => {}
                None => {
                    verdict.class = VerdictClass::Rollback;
                    let whose = match facts.subject {
                        Subject::Canary => "the canary",
                        Subject::Production => "the release",
                    };
                    verdict.reason = format!("{whose} does not run: {reason}");
                }
            }
            verdict.forecast_seconds = None;
        }
        verdict
    }

    fn threshold(&self, sample: Option<&Sample>, stable_version: Option<&str>) -> Option<Threshold> {
        let chosen = choose_threshold(bounds(sample?)?, self.p95_slo, told_by_stable(sample?, stable_version).as_ref())?;
        Some(Threshold { seconds: chosen.threshold_seconds, slow_share: chosen.slow_share })
    }

    fn own(&self) -> Vec<OwnMetric> {
        self.own.clone()
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({
            "judge": "harm-safe-abs-2",
            "error_slo": self.error_slo,
            "p95_slo_seconds": self.p95_slo,
            "bake_ms": u64::try_from(self.bake.as_millis()).unwrap_or(u64::MAX),
            "warm_up_ms": u64::try_from(self.warm_up.as_millis()).unwrap_or(u64::MAX),
            "rules": self.rules,
            "own": self.own,
            "scrape_ms": u64::try_from(self.scrape.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::{CounterSeries, HistogramSeries, VersionCounters};

    const BOUNDS: [f64; 3] = [0.05, 0.1, 1.0];

    fn judge(p95_slo: Option<f64>) -> CanaryJudge {
        CanaryJudge {
            error_slo: 0.01,
            p95_slo,
            bake: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            scrape: Duration::from_secs(5),
            rules: JudgeRules::default(),
            own: Vec::new(),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    /// That many requests, each under the bound of that place.
    fn counters(requests: f64, place: Option<usize>) -> VersionCounters {
        let histogram = |place| HistogramSeries {
            key: String::new(),
            bounds: BOUNDS.to_vec(),
            counts: (0..=BOUNDS.len()).map(|bucket| if bucket >= place { requests } else { 0.0 }).collect(),
        };
        VersionCounters {
            requests: vec![CounterSeries { key: String::new(), error: false, value: requests }],
            latency: place.map(histogram).into_iter().collect(),
            synthetic: None,
            own: BTreeMap::new(),
        }
    }

    fn sample(seconds: i64, old: VersionCounters, new: VersionCounters) -> Sample {
        Sample { at: at(seconds), versions: BTreeMap::from([("old".to_owned(), old), ("new".to_owned(), new)]), source: None }
    }

    fn facts(threshold: Option<Threshold>) -> WatchFacts {
        WatchFacts {
            spans: vec![Span { weight: Weight::from_thousandths(100).unwrap(), since: at(0) }],
            threshold,
            absolute_only: false,
            canary_version: "new".to_owned(),
            stable_version: Some("old".to_owned()),
            missed: 0,
            missed_reason: None,
            health: None,
            stable_health: None,
            subject: Subject::Canary,
        }
    }

    /// A thousand good requests of the canary, every one of them slow.
    fn slow_canary() -> [Sample; 3] {
        let seen = |seconds, requests: f64| sample(seconds, counters(requests * 10.0, Some(0)), counters(requests, Some(2)));
        [seen(0, 0.0), seen(5, 500.0), seen(10, 1000.0)]
    }

    #[test]
    fn without_a_threshold_only_a_first_release_can_pass() {
        let without = slow_canary().map(|sample| Sample {
            versions: sample.versions.into_iter().map(|(name, one)| (name, VersionCounters { latency: Vec::new(), ..one })).collect(),
            ..sample
        });
        for (slo, samples, why) in [
            (None, &without, "latency cannot be judged: the metrics have no histogram of durations"),
            (
                Some(2.0),
                &slow_canary(),
                "latency cannot be judged: no bucket of the histograms ends at or above the SLO of 2 s; the highest ends at 1 s",
            ),
        ] {
            let verdict = judge(slo).assess(&facts(None), samples, at(10));
            assert_eq!((verdict.class, verdict.reason.as_str()), (VerdictClass::Hold, why));
        }
        let first = WatchFacts { absolute_only: true, stable_version: None, ..facts(None) };
        let verdict = judge(None).assess(&first, &slow_canary(), at(10));
        assert_eq!(verdict.class, VerdictClass::Pass, "{}", verdict.reason);
        assert!(verdict.reason.ends_with("no latency test"), "{}", verdict.reason);
    }

    #[test]
    fn a_threshold_that_comes_late_judges_what_came_before_it_too() {
        let samples = slow_canary();
        let chosen = judge(Some(0.05)).threshold(samples.last(), Some("old"));
        assert_eq!(chosen, Some(Threshold { seconds: 0.05, slow_share: 0.05 }));
        let verdict = judge(Some(0.05)).assess(&facts(chosen), &samples, at(10));
        assert_eq!(verdict.class, VerdictClass::Rollback, "{}", verdict.reason);
    }

    #[test]
    fn a_canary_that_does_not_answer_is_taken_back_unless_stable_does_not_either() {
        let failing = |reason: &str| Some(Health::Failing { reason: reason.to_owned(), last_lines: Vec::new() });
        let down =
            WatchFacts { health: failing("it answers GET / with 503"), ..facts(Some(Threshold { seconds: 0.05, slow_share: 0.05 })) };
        let with = |requests: f64, bad: f64| {
            let mut counters = counters(requests, Some(0));
            counters.requests.push(CounterSeries { key: "code=\"503\"".to_owned(), error: true, value: bad });
            counters
        };
        let samples = |bad: f64| [sample(0, with(0.0, 0.0), with(0.0, 0.0)), sample(5, with(1_000.0, bad), with(100.0, bad / 10.0))];
        let judge = judge(Some(0.05));
        let alone = judge.assess(&down, &samples(0.0), at(5));
        assert_eq!((alone.class, alone.reason.as_str()), (VerdictClass::Rollback, "the canary does not run: it answers GET / with 503"));
        // The same outage in both arms, told by stable's requests or by its health: taken back, its users would be no better off.
        let shared = judge.assess(&down, &samples(500.0), at(5));
        assert_eq!(shared.class, VerdictClass::Hold, "{}", shared.reason);
        assert!(
            shared.reason.starts_with("environment incident: ") && shared.reason.contains("errors in 33.3 % of its"),
            "{}",
            shared.reason
        );
        let both = WatchFacts { stable_health: failing("it answers GET / with 503"), ..down.clone() };
        assert_eq!(judge.assess(&both, &samples(0.0), at(5)).class, VerdictClass::Hold);
        // Proven harm is acted on, whatever else is wrong.
        let harm = [sample(0, with(0.0, 0.0), with(0.0, 0.0)), sample(5, with(1_000.0, 100.0), with(100.0, 90.0))];
        assert_eq!(judge.assess(&both, &harm, at(5)).class, VerdictClass::Rollback);
    }

    #[test]
    fn metrics_of_ones_own_are_judged_beside_the_others() {
        use crate::event::OwnCounters;
        let own = |name: &str, threshold_seconds| OwnMetric { name: name.to_owned(), slo: 0.05, threshold_seconds };
        let judge = CanaryJudge { own: vec![own("client_errors", None), own("search", Some(0.07))], ..judge(Some(0.05)) };
        let with = |requests: f64, denied: f64, slow: bool| {
            let mut counters = counters(requests, Some(0));
            let bad = CounterSeries { key: String::new(), error: true, value: denied };
            counters.own.insert("client_errors".to_owned(), OwnCounters::Ratio { all: Vec::new(), bad: vec![bad] });
            let search = super::tests::counters(requests, Some(if slow { 2 } else { 1 })).latency;
            counters.own.insert("search".to_owned(), OwnCounters::Latency(search));
            counters
        };
        let samples = |denied: f64, slow: bool| {
            [0.0, 500.0, 1000.0].map(|seen| {
                let second = if seen > 500.0 {
                    10
                } else if seen > 0.0 {
                    5
                } else {
                    0
                };
                sample(second, with(seen * 10.0, 0.0, false), with(seen, seen * denied, slow))
            })
        };
        let facts = facts(Some(Threshold { seconds: 0.05, slow_share: 0.05 }));
        let said = |denied, slow| judge.assess(&facts, &samples(denied, slow), at(10));
        let good = said(0.0, false);
        assert_eq!(good.class, VerdictClass::Pass, "{}", good.reason);
        assert_eq!(
            good.metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(),
            ["errors", "latency", "client_errors", "search"]
        );
        // Four metrics share alpha.
        assert!((good.metrics[2].detail.as_ref().unwrap().harm_goal_ln - 400.0_f64.ln()).abs() < 1e-9);
        for (denied, slow, name) in [(0.2, false, "client_errors"), (0.0, true, "search slower than 70 ms")] {
            let bad = said(denied, slow);
            assert_eq!(bad.class, VerdictClass::Rollback, "{}", bad.reason);
            assert!(bad.reason.contains(name), "{}", bad.reason);
        }
        // One that is not there any more is no proof of anything.
        let mut gone = samples(0.0, false);
        gone[2].versions.get_mut("new").unwrap().own.remove("search");
        let verdict = judge.assess(&facts, &gone, at(10));
        assert!(verdict.class == VerdictClass::Hold && verdict.reason.contains("requests come without `search`"), "{}", verdict.reason);
    }

    /// Nothing is beside it: one side, against what was promised, and the words are not a canary's.
    #[test]
    fn production_is_judged_by_its_slos_alone() {
        let alone = WatchFacts {
            spans: vec![Span { weight: Weight::FULL, since: at(0) }],
            absolute_only: true,
            stable_version: None,
            subject: Subject::Production,
            ..facts(None)
        };
        let failing = |requests: f64, failed: f64| {
            let failed = CounterSeries { key: "5xx".to_owned(), error: true, value: failed };
            let mut counters = counters(requests - failed.value, Some(0));
            counters.requests.push(failed);
            counters
        };
        // The release before is gone, and what it once counted stands still beside it.
        let samples = |failed: f64| {
            [(0, 0.0), (5, 0.5), (10, 1.0)]
                .map(|(second, part)| sample(second, counters(90_000.0, Some(0)), failing(2_000.0 * part, failed * part)))
        };
        let judge = judge(None);
        let said = |failed| judge.assess(&alone, &samples(failed), at(10));
        let (good, bad) = (said(2.0), said(80.0));
        assert_eq!(good.class, VerdictClass::Pass, "{}", good.reason);
        assert_eq!(bad.class, VerdictClass::Rollback, "{}", bad.reason);
        assert_eq!(bad.reason, "errors: 80 of 2,000 requests (4 %), the limit is 1 %");
        assert!(!good.reason.contains("canary"), "{}", good.reason);
        // Twice as bad as the release before, and within what was promised: that is another test's to say.
        assert_ne!(said(12.0).class, VerdictClass::Rollback);
        let down =
            WatchFacts { health: Some(Health::Failing { reason: "it exited with 1".to_owned(), last_lines: Vec::new() }), ..alone.clone() };
        assert_eq!(judge.assess(&down, &samples(0.0), at(10)).reason, "the release does not run: it exited with 1");
    }

    #[test]
    fn an_slo_needs_bounds_alone_and_a_p95_of_stable_needs_requests() {
        let idle = sample(0, counters(0.0, Some(0)), counters(3.0, Some(2)));
        assert_eq!(judge(Some(0.07)).threshold(Some(&idle), Some("old")).map(|chosen| chosen.seconds), Some(0.1));
        assert_eq!(judge(None).threshold(Some(&idle), Some("old")), None);
        let thin = sample(0, counters(19.0, Some(0)), counters(3.0, Some(2)));
        assert_eq!(judge(None).threshold(Some(&thin), Some("old")), None);
        let verdict = judge(None).assess(&facts(None), &[idle.clone(), Sample { at: at(5), ..thin }], at(5));
        assert_eq!(verdict.class, VerdictClass::Hold);
        let busy = sample(0, counters(20.0, Some(0)), counters(3.0, Some(2)));
        assert_eq!(judge(None).threshold(Some(&busy), Some("old")), Some(Threshold { seconds: 0.05, slow_share: 0.10 }));
    }
}
