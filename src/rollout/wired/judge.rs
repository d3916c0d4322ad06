//! The judge's port over the canary room.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::canary::{Buckets, JudgeSettings, LatencySettings, SourceState, assess, choose_threshold};
use crate::deploy::Health;
use crate::event::{Sample, Verdict, VerdictClass, Weight};
use crate::rollout::ports::{Judge, Span, Threshold, WatchFacts};

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
}

impl CanaryJudge {
    fn settings(&self, facts: &WatchFacts, weight: Weight) -> JudgeSettings {
        let mut settings = JudgeSettings::new(facts.canary_version.clone(), facts.stable_version.clone(), weight);
        settings.error_slo = self.error_slo;
        settings.bake = self.bake;
        settings.warm_up = self.warm_up;
        settings.scrape_interval = self.scrape;
        settings.absolute_only = facts.absolute_only;
        settings.latency =
            facts.threshold.map(|threshold| LatencySettings { threshold_seconds: threshold.seconds, slow_share: threshold.slow_share });
        settings
    }
}

impl Judge for CanaryJudge {
    fn assess(&self, facts: &WatchFacts, samples: &[Sample], now: DateTime<Utc>) -> Verdict {
        let last = facts.spans.last().cloned().unwrap_or(Span { weight: Weight::ZERO, since: now });
        let source = SourceState { missed: facts.missed, reason: facts.missed_reason.clone() };
        let mut verdict = assess(&self.settings(facts, last.weight), samples, last.since, now, &source);
        if let Some(Health::Failing { reason, .. }) = &facts.health {
            verdict.class = VerdictClass::Rollback;
            verdict.reason = format!("the canary does not run: {reason}");
            verdict.forecast_seconds = None;
        }
        verdict
    }

    fn threshold(&self, before: Option<&Sample>, stable_version: Option<&str>) -> Option<Threshold> {
        let sample = before?;
        let stable = stable_version.and_then(|version| Buckets::of_version(sample, version));
        let any = sample.versions.values().flat_map(|version| &version.latency).next()?;
        let chosen = choose_threshold(&any.bounds, self.p95_slo, stable.as_ref())?;
        Some(Threshold { seconds: chosen.threshold_seconds, slow_share: chosen.slow_share })
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({
            "judge": "harm-abs-1",
            "error_slo": self.error_slo,
            "p95_slo_seconds": self.p95_slo,
            "bake_ms": u64::try_from(self.bake.as_millis()).unwrap_or(u64::MAX),
            "warm_up_ms": u64::try_from(self.warm_up.as_millis()).unwrap_or(u64::MAX),
            "scrape_ms": u64::try_from(self.scrape.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
