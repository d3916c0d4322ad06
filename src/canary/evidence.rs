//! Intervals → what is known of each metric.
//!
//! Two halves with different lives: HARM gathers over all weights of a rollout; PASS, the floor, the measured share and the rates
//! are of the last weight and start anew with it (`docs/decisions.md` 9.2).

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::interval::{Interval, VersionDelta};
use super::mixture::{Mixture, Trials};
use super::settings::JudgeSettings;
use super::whole;

/// How far back the rate of traffic is looked at: long enough to smooth a thin canary, short enough to follow the day.
const RATE_WINDOW: TimeDelta = TimeDelta::minutes(5);
/// How far back "currently" reaches.
const NOW_WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Requests of both arms, some of them bad.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Requests (for latency: durations) of the canary.
    pub canary: f64,
    /// Bad ones of the canary.
    pub canary_bad: f64,
    /// Requests of stable.
    pub stable: f64,
    /// Bad ones of stable.
    pub stable_bad: f64,
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricState {
    limit: f64,
    harm: Mixture,
    abs: Mixture,
    harmed: bool,
    over_all: Counts,
    this_weight: Counts,
}

/// What is known of a canary, interval by interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    settings: JudgeSettings,
    errors: MetricState,
    latency: Option<MetricState>,
    /// Why durations of the last interval with canary requests could not be judged.
    blind: Option<String>,
    /// Requests of all versions at this weight.
    everyone: f64,
    synthetic: bool,
    recent: VecDeque<Recent>,
}

#[derive(Debug, Clone, PartialEq)]
struct Recent {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    errors: Counts,
    latency: Counts,
}

impl Counts {
    /// The canary's bad share; none without requests.
    #[must_use]
    pub fn canary_share(&self) -> Option<f64> {
        (self.canary > 0.0).then(|| self.canary_bad / self.canary)
    }

    /// Stable's bad share; none without requests.
    #[must_use]
    pub fn stable_share(&self) -> Option<f64> {
        (self.stable > 0.0).then(|| self.stable_bad / self.stable)
    }

    fn of(canary: Trials, stable: Trials) -> Self {
        Self { canary: canary.all, canary_bad: canary.bad, stable: stable.all, stable_bad: stable.bad }
    }

    fn add(&mut self, more: &Self) {
        self.canary += more.canary;
        self.canary_bad += more.canary_bad;
        self.stable += more.stable;
        self.stable_bad += more.stable_bad;
    }
}

impl MetricState {
    fn new(settings: &JudgeSettings, limit: f64) -> Self {
        // A rate is below 1; alternatives that would not be meet just under it.
        let highest = f64::midpoint(1.0, limit).max(0.99);
        let harm = if settings.absolute_only {
            Mixture::new(settings.absolute_harm_ratios.iter().map(|ratio| (ratio * limit).min(highest)))
        } else {
            Mixture::new(settings.harm_ratios.iter().copied())
        };
        let abs = abs_test(settings, limit);
        Self { limit, harm, abs, harmed: false, over_all: Counts::default(), this_weight: Counts::default() }
    }

    fn observe(&mut self, settings: &JudgeSettings, canary: Trials, stable: Trials) {
        if settings.absolute_only {
            // H0: the rate keeps the SLO. A first release that is broken has nobody to look bad beside, and is found all the same.
            self.harm.bernoulli(canary, self.limit);
        } else {
            self.harm.compare(canary, stable);
        }
        self.abs.bernoulli(canary, self.limit);
        let counts = Counts::of(canary, stable);
        self.over_all.add(&counts);
        self.this_weight.add(&counts);
        let ln_goal = (f64::from(settings.metrics()) / settings.alpha).ln();
        let enough = self.over_all.canary_bad >= whole::float(settings.min_bad_events);
        // Kept once reached: proven at one moment is proven (Ville), what comes later does not unprove it.
        self.harmed = self.harmed || (enough && self.harm.ln_value() >= ln_goal);
    }

    /// The limit as a share of requests.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// ln of the HARM e-value.
    #[must_use]
    pub fn harm_ln(&self) -> f64 {
        self.harm.ln_value()
    }

    /// ln of the ABS e-value, of this weight.
    #[must_use]
    pub fn abs_ln(&self) -> f64 {
        self.abs.ln_value()
    }

    /// Harm has been proven.
    #[must_use]
    pub fn harmed(&self) -> bool {
        self.harmed
    }

    /// This metric is proven good enough: ABS at level β. The test relative to stable (SAFE: ratio below 2) belongs here, by `||`.
    #[must_use]
    pub fn passed(&self, beta: f64) -> bool {
        self.abs_ln() >= -beta.ln()
    }

    /// Counts over all weights.
    #[must_use]
    pub fn over_all(&self) -> Counts {
        self.over_all
    }

    /// Counts of this weight.
    #[must_use]
    pub fn this_weight(&self) -> Counts {
        self.this_weight
    }

    /// At the share of bad requests so far, more of the same never passes. Not said of fewer bad ones than `min_bad_events`: those
    /// are chance.
    #[must_use]
    pub fn stuck(&self, min_bad_events: u64) -> bool {
        let counts = self.this_weight;
        counts.canary_bad >= whole::float(min_bad_events)
            && counts.canary_share().is_some_and(|share| !self.abs.grows_at(share, self.limit))
    }

    /// More good requests until [`passed`](Self::passed); none when no number of them is enough.
    #[must_use]
    pub fn good_requests_until_passed(&self, beta: f64) -> Option<u64> {
        self.abs.good_requests_until(-beta.ln(), self.limit)
    }
}

impl Evidence {
    /// Begins with nothing known. The settings should have passed [`JudgeSettings::check`].
    #[must_use]
    pub fn new(settings: &JudgeSettings) -> Self {
        Self {
            errors: MetricState::new(settings, settings.error_slo),
            latency: settings.latency.map(|latency| MetricState::new(settings, latency.slow_share)),
            settings: settings.clone(),
            blind: None,
            everyone: 0.0,
            synthetic: false,
            recent: VecDeque::new(),
        }
    }

    /// Takes an interval in; a refused one says nothing.
    pub fn observe(&mut self, interval: &Interval) {
        if interval.refused.is_some() {
            return;
        }
        let none = VersionDelta::default();
        let arm = |version: &str| interval.versions.get(version).unwrap_or(&none);
        let canary = arm(&self.settings.canary_version);
        let stable = self.settings.stable_version.as_deref().map_or(&none, arm);
        let errors = [canary, stable].map(|delta| Trials { all: delta.requests, bad: delta.errors.min(delta.requests) });
        self.errors.observe(&self.settings, errors[0], errors[1]);
        self.everyone += interval.versions.values().map(|delta| delta.requests).sum::<f64>();
        self.synthetic = self.synthetic || canary.synthetic > 0.0 || stable.synthetic > 0.0;
        let latency = self.observe_latency(canary, stable);
        self.remember(Recent { from: interval.from, to: interval.to, errors: Counts::of(errors[0], errors[1]), latency });
    }

    fn observe_latency(&mut self, canary: &VersionDelta, stable: &VersionDelta) -> Counts {
        let (Some(state), Some(latency)) = (&mut self.latency, self.settings.latency) else { return Counts::default() };
        match (durations(canary, latency.threshold_seconds), durations(stable, latency.threshold_seconds)) {
            (Ok(of_canary), Ok(of_stable)) => {
                if of_canary.all > 0.0 {
                    self.blind = None;
                }
                state.observe(&self.settings, of_canary, of_stable);
                Counts::of(of_canary, of_stable)
            }
            (Err(flaw), _) => {
                self.blind = Some(format!("the canary's {flaw}"));
                Counts::default()
            }
            (_, Err(flaw)) => {
                self.blind = Some(format!("stable's {flaw}"));
                Counts::default()
            }
        }
    }

    fn remember(&mut self, interval: Recent) {
        let oldest = interval.to - RATE_WINDOW;
        self.recent.push_back(interval);
        while self.recent.front().is_some_and(|first| first.to <= oldest) {
            self.recent.pop_front();
        }
    }

    /// A weight begins: what counts for PASS starts anew; what counts for HARM stays.
    pub fn begin_weight(&mut self) {
        let settings = &self.settings;
        for state in std::iter::once(&mut self.errors).chain(&mut self.latency) {
            state.abs = abs_test(settings, state.limit);
            state.this_weight = Counts::default();
        }
        self.everyone = 0.0;
        self.recent.clear();
    }

    /// The metrics by name: `errors`, and `latency` when it is judged.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, &MetricState)> {
        std::iter::once(("errors", &self.errors)).chain(self.latency.iter().map(|state| ("latency", state)))
    }

    /// Errors, which are always judged.
    #[must_use]
    pub fn errors(&self) -> &MetricState {
        &self.errors
    }

    /// The canary's share of all requests at this weight, 0 to 1; none without requests.
    #[must_use]
    pub fn measured_share(&self) -> Option<f64> {
        (self.everyone > 0.0).then(|| self.errors.this_weight.canary / self.everyone)
    }

    /// Some of the requests were made by hms itself.
    #[must_use]
    pub fn synthetic(&self) -> bool {
        self.synthetic
    }

    /// Why durations cannot be judged, if they should be and cannot.
    #[must_use]
    pub fn blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// Canary requests a second over the last minutes; none when there is no time to speak of.
    #[must_use]
    pub fn canary_rate(&self) -> Option<f64> {
        let elapsed = (self.recent.back()?.to - self.recent.front()?.from).as_seconds_f64();
        (elapsed > 0.0).then(|| self.recent.iter().map(|recent| recent.errors.canary).sum::<f64>() / elapsed)
    }

    /// A metric's counts of the last minute or twelve intervals, whichever is longer.
    #[must_use]
    pub fn lately(&self, metric: &str) -> Counts {
        let twelve = TimeDelta::from_std(self.settings.scrape_interval * 12).unwrap_or(NOW_WINDOW);
        let mut sum = Counts::default();
        let Some(last) = self.recent.back() else { return sum };
        for recent in self.recent.iter().rev().take_while(|recent| recent.to > last.to - twelve.max(NOW_WINDOW)) {
            sum.add(if metric == "latency" { &recent.latency } else { &recent.errors });
        }
        sum
    }
}

fn abs_test(settings: &JudgeSettings, limit: f64) -> Mixture {
    Mixture::new(settings.absolute_fractions.iter().map(|fraction| fraction * limit))
}

/// Durations as trials; a version without requests has none, which is no flaw.
fn durations(delta: &VersionDelta, threshold_seconds: f64) -> Result<Trials, String> {
    match (&delta.latency, delta.slow(threshold_seconds)) {
        (Some(buckets), Some(slow)) => Ok(Trials { all: buckets.total(), bad: slow.min(buckets.total()) }),
        (Some(buckets), None) if buckets.total() > 0.0 => Err(format!("histogram has no bucket bound at {threshold_seconds} s")),
        (None, _) if delta.requests > 0.0 => Err("requests come without durations".into()),
        (Some(_) | None, _) => Ok(Trials::default()),
    }
}
