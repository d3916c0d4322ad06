//! Evidence and circumstances → PASS, HOLD or ROLLBACK. The order of the rules is the rule:
//!
//! 1. harm proven → ROLLBACK, with or without fresh data, floor and bake;
//! 2. no data, refused or stale data, no canary requests, durations that cannot be read → HOLD;
//! 3. the canary is far over its limit right now, proven or not → HOLD;
//! 4. every metric passed, floor reached, bake over → PASS; else HOLD, with when it can be known.
//!
//! PASS is not kept: it is said as long as the evidence says it, so a canary that turns bad behind an open gate loses it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::evidence::{Counts, Evidence};
use super::forecast::{Forecast, HORIZON, forecast};
use super::interval::Differ;
use super::settings::{BadSettings, JudgeSettings};
use super::{sentence, whole};
use crate::event::{MetricEvidence, Sample, Verdict, VerdictClass, Weight};

/// So many scrape intervals without a sample are no data.
const STALE_INTERVALS: u32 = 3;
/// The canary is "far over its limit" above so many times the limit.
const FAR_OVER: f64 = 3.0;

/// How the source of samples is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// Scrapes in a row that failed, up to now.
    pub missed: u32,
    /// Why the last one failed.
    pub reason: Option<String>,
}

/// Judges a canary sample by sample. Feeding it all samples and asking once is the same as asking after each.
#[derive(Debug, Clone)]
pub struct Judge {
    settings: JudgeSettings,
    unfit: Option<BadSettings>,
    differ: Differ,
    evidence: Evidence,
    first_at: Option<DateTime<Utc>>,
    watch_started_at: DateTime<Utc>,
    last: Option<Last>,
    intervals: u64,
    refused: Option<String>,
}

/// What matters of the last good sample.
#[derive(Debug, Clone)]
struct Last {
    at: DateTime<Utc>,
    names_anyone: bool,
    names_canary: bool,
}

/// What a verdict rests on, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Harm is proven.
    Harm,
    /// Good enough is proven.
    Proven,
    /// Evidence is coming in and is not enough yet.
    Gathering,
    /// Data is missing, late, refused or unreadable.
    NoData,
    /// Data comes, and the canary is not in it.
    NoCanary,
    /// A metric is far over its limit on the canary, not proven worse than stable.
    Alarming,
    /// A metric is far over its limit on both sides.
    Incident,
    /// The settings mean nothing.
    Unfit,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn class(self) -> VerdictClass {
        match self {
            Self::Harm => VerdictClass::Rollback,
            Self::Proven => VerdictClass::Pass,
            Self::Gathering | Self::NoData | Self::NoCanary | Self::Alarming | Self::Incident | Self::Unfit => VerdictClass::Hold,
        }
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ground {
    /// The settings mean nothing.
    Unfit(BadSettings),
    /// Harm is proven.
    Harm,
    /// Nothing was measured yet.
    NoData,
    /// The last sample was no use.
    Refused(String),
    /// Samples stopped coming.
    Stale(Duration),
    /// Samples come from the future.
    ClockAhead(Duration),
    /// The metrics name no version.
    NobodyNamed,
    /// The canary had no request at this weight.
    NoCanaryRequests,
    /// The metrics do not name the canary any more.
    CanaryGone,
    /// Durations should be judged and cannot be read.
    Blind(String),
    /// A metric is far over its limit, on the canary alone or (shared) on both sides.
    FarOver { metric: &'static str, lately: Counts, shared: bool },
    /// Good enough.
    Proven,
    /// Not known yet.
    Gathering(Forecast),
}

impl Ground {
    fn kind(&self) -> Kind {
        match self {
            Self::Unfit(_) => Kind::Unfit,
            Self::Harm => Kind::Harm,
            Self::NoData | Self::Refused(_) | Self::Stale(_) | Self::ClockAhead(_) | Self::NobodyNamed | Self::Blind(_) => Kind::NoData,
            Self::NoCanaryRequests | Self::CanaryGone => Kind::NoCanary,
            Self::FarOver { shared: true, .. } => Kind::Incident,
            Self::FarOver { shared: false, .. } => Kind::Alarming,
            Self::Proven => Kind::Proven,
            Self::Gathering(_) => Kind::Gathering,
        }
    }
}

impl Judge {
    /// Begins without samples. `watch_started_at` is when the weight came into force.
    #[must_use]
    pub fn new(settings: &JudgeSettings, watch_started_at: DateTime<Utc>) -> Self {
        Self {
            unfit: settings.check().err(),
            differ: Differ::default(),
            evidence: Evidence::new(settings),
            settings: settings.clone(),
            first_at: None,
            watch_started_at,
            last: None,
            intervals: 0,
            refused: None,
        }
    }

    /// Another weight came into force: PASS is for it alone, HARM goes on.
    pub fn begin_weight(&mut self, requested: Weight, watch_started_at: DateTime<Utc>) {
        self.settings.requested = requested;
        self.watch_started_at = watch_started_at;
        self.evidence.begin_weight();
    }

    /// Takes the next sample.
    pub fn push(&mut self, sample: &Sample) {
        let interval = self.differ.next(sample);
        if let Some(reason) = interval.as_ref().and_then(|interval| interval.refused.clone()) {
            self.refused = Some(reason);
            return;
        }
        self.refused = None;
        let warm_up = TimeDelta::from_std(self.settings.warm_up).unwrap_or(TimeDelta::MAX);
        let first_at = *self.first_at.get_or_insert(sample.at);
        self.last = Some(Last {
            at: sample.at,
            names_anyone: !sample.versions.is_empty(),
            names_canary: sample.versions.contains_key(&self.settings.canary_version),
        });
        let Some(interval) = interval else { return };
        self.intervals += 1;
        if self.unfit.is_some() || interval.from - first_at < warm_up {
            return;
        }
        self.evidence.observe(&interval);
        if interval.from - self.watch_started_at < warm_up.max(TimeDelta::zero()) {
            // Part of it was before this weight: it counts for harm alone.
            self.evidence.begin_weight();
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The verdict at a moment.
    ///
    /// Its counts are of this weight, because floor and PASS are; a ROLLBACK's are of all weights, because harm is.
    #[must_use]
    pub fn verdict(&self, now: DateTime<Utc>, source: &SourceState) -> Verdict {
        let ground = self.ground(now, source);
        let class = ground.kind().class();
        let requests = self.counts(class);
        let wait = if let Ground::Gathering(forecast) = &ground { forecast.wait } else { None };
        let forecast_seconds = wait.filter(|wait| *wait <= HORIZON).map(|wait| wait.as_secs());
        Verdict {
            class,
            reason: sentence::reason(&ground, &self.settings, &self.evidence, source),
            canary_requests: whole::floor(requests.canary),
            stable_requests: whole::floor(requests.stable),
            floor: self.settings.floor(),
            forecast_seconds,
            synthetic: self.evidence.synthetic(),
            measured_share: self.evidence.measured_share(),
            metrics: self.metric_evidence(class),
        }
    }

    /// What the verdict at a moment rests on. Verdicts of one kind differ in numbers only, and a journal need not hold each.
    #[must_use]
    pub fn kind(&self, now: DateTime<Utc>, source: &SourceState) -> Kind {
        self.ground(now, source).kind()
    }

    fn counts(&self, class: VerdictClass) -> Counts {
        match class {
            VerdictClass::Rollback => self.evidence.errors().over_all(),
            VerdictClass::Pass | VerdictClass::Hold => self.evidence.errors().this_weight(),
        }
    }

    fn metric_evidence(&self, class: VerdictClass) -> Vec<MetricEvidence> {
        let metrics = self.evidence.metrics().map(|(name, state)| {
            let counts = if class == VerdictClass::Rollback { state.over_all() } else { state.this_weight() };
            let threshold = if name == "latency" { self.settings.latency.map(|latency| latency.threshold_seconds) } else { None };
            MetricEvidence {
                name: name.to_owned(),
                slo: state.limit(),
                threshold_seconds: threshold,
                canary_bad: whole::floor(counts.canary_bad),
                stable_bad: whole::floor(counts.stable_bad),
                harm_ln: finite(state.harm_ln()),
                abs_ln: finite(state.abs_ln()),
                passed: state.passed(self.settings.beta),
                harmed: state.harmed(),
            }
        });
        // With unfit settings the logs are no numbers, and JSON has no word for that.
        if self.unfit.is_some() { Vec::new() } else { metrics.collect() }
    }

    fn ground(&self, now: DateTime<Utc>, source: &SourceState) -> Ground {
        if let Some(unfit) = &self.unfit {
            return Ground::Unfit(unfit.clone());
        }
        if self.evidence.metrics().any(|(_, state)| state.harmed()) {
            return Ground::Harm;
        }
        self.trouble(now, source).or_else(|| self.far_over()).unwrap_or_else(|| self.progress(now))
    }

    /// Why nothing can be said, whatever the numbers are.
    fn trouble(&self, now: DateTime<Utc>, source: &SourceState) -> Option<Ground> {
        if let Some(reason) = &self.refused {
            return Some(Ground::Refused(reason.clone()));
        }
        let Some(last) = &self.last else { return Some(Ground::NoData) };
        let limit = self.settings.scrape_interval.saturating_mul(STALE_INTERVALS);
        let age = (now - last.at).to_std();
        let ahead = (last.at - now).to_std().unwrap_or_default();
        if ahead > limit {
            return Some(Ground::ClockAhead(ahead));
        }
        let age = age.unwrap_or_default();
        if age > limit || source.missed >= STALE_INTERVALS {
            return Some(Ground::Stale(age));
        }
        if !last.names_anyone {
            return Some(Ground::NobodyNamed);
        }
        if self.intervals == 0 {
            return Some(Ground::NoData);
        }
        if self.evidence.errors().this_weight().canary <= 0.0 {
            return Some(Ground::NoCanaryRequests);
        }
        if !last.names_canary {
            return Some(Ground::CanaryGone);
        }
        self.evidence.blind().map(|flaw| Ground::Blind(flaw.to_owned()))
    }

    fn far_over(&self) -> Option<Ground> {
        let least = whole::float(self.settings.min_bad_events);
        self.evidence.metrics().find_map(|(metric, state)| {
            let lately = self.evidence.lately(metric);
            let over = lately.canary_bad >= least && lately.canary_share()? > FAR_OVER * state.limit();
            let shared = lately.stable_share().is_some_and(|share| share > state.limit());
            over.then_some(Ground::FarOver { metric, lately, shared })
        })
    }

    fn progress(&self, now: DateTime<Utc>) -> Ground {
        let elapsed = (now - self.watch_started_at).to_std().unwrap_or_default();
        let passed = self.evidence.metrics().all(|(_, state)| state.passed(self.settings.beta));
        let enough = whole::floor(self.evidence.errors().this_weight().canary) >= self.settings.floor();
        if passed && enough && elapsed >= self.settings.bake {
            Ground::Proven
        } else {
            Ground::Gathering(forecast(&self.settings, &self.evidence, elapsed))
        }
    }
}

/// JSON has no word for −∞, which a bet that lost everything has.
fn finite(ln: f64) -> f64 {
    ln.clamp(f64::MIN, f64::MAX)
}

/// Judges a row of samples at once: a pure function of its arguments.
///
/// `watch_started_at` is when the last weight came into force. Samples from before it (of earlier weights) count for harm.
#[must_use]
pub fn assess(
    settings: &JudgeSettings,
    samples: &[Sample],
    watch_started_at: DateTime<Utc>,
    now: DateTime<Utc>,
    source: &SourceState,
) -> Verdict {
    let mut judge = Judge::new(settings, watch_started_at);
    for sample in samples {
        judge.push(sample);
    }
    judge.verdict(now, source)
}
