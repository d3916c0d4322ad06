//! Intervals → what is known of each metric.
//!
//! Two halves with different lives: HARM gathers over all weights of a rollout; PASS, the floor, the measured share and the rates
//! are of the last weight and start anew with it (`docs/decisions.md` 9.2).

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::interval::{Interval, VersionDelta, own_bound};
use super::metric::{Counts, MetricState};
use super::mixture::Trials;
use super::ratio::Points;
use super::settings::JudgeSettings;
use super::split::{Mismatch, Split};

/// How far back the rate of traffic is looked at: long enough to smooth a thin canary, short enough to follow the day.
const RATE_WINDOW: TimeDelta = TimeDelta::minutes(5);
/// How far back "currently" reaches.
const NOW_WINDOW: TimeDelta = TimeDelta::minutes(1);

/// What one interval says, sorted by arm and metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
    /// Requests of the canary.
    pub canary: f64,
    /// Requests of stable.
    pub stable: f64,
    /// Requests of everyone, these two included.
    pub everyone: f64,
    /// Both arms could be counted; else the share of this interval is not known.
    pub both_named: bool,
    /// Some of them were made by hms itself.
    pub synthetic: bool,
    /// A reading of each metric, in the order of [`Evidence::metrics`].
    pub readings: Vec<Reading>,
}

/// What one interval says of one metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// What happened in the canary and in stable.
    Counts(Trials, Trials),
    /// It cannot be read, and why.
    Blind(String),
}

/// What is known of a canary, interval by interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    settings: JudgeSettings,
    metrics: Vec<Followed>,
    points: Points,
    over_all: Counts,
    this_weight: Counts,
    /// Requests of all versions at this weight.
    everyone: f64,
    split: Option<Split>,
    synthetic: bool,
    recent: VecDeque<Recent>,
    began: Option<DateTime<Utc>>,
    fresh_stakes: u32,
}

#[derive(Debug, Clone, PartialEq)]
struct Followed {
    state: MetricState,
    /// Why it could not be judged in the last interval with canary requests.
    blind: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Recent {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    requests: Counts,
    metrics: Vec<Counts>,
}

impl Evidence {
    /// Begins with nothing known. The settings should have passed [`JudgeSettings::check`].
    #[must_use]
    pub fn new(settings: &JudgeSettings) -> Self {
        let follow = |name: &str, limit, threshold| Followed { state: MetricState::new(settings, name, limit, threshold), blind: None };
        let errors = settings.judge_errors.then(|| follow("errors", settings.error_slo, None));
        let latency = settings.latency.map(|latency| follow("latency", latency.slow_share, Some(latency.threshold_seconds)));
        let own = settings.own.iter().map(|own| follow(&own.name, own.slo, own.threshold_seconds));
        Self {
            metrics: errors.into_iter().chain(latency).chain(own).collect(),
            points: Points::default(),
            over_all: Counts::default(),
            this_weight: Counts::default(),
            everyone: 0.0,
            split: split_test(settings),
            synthetic: false,
            recent: VecDeque::new(),
            began: None,
            fresh_stakes: 0,
            settings: settings.clone(),
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
        let errors = self.settings.judge_errors.then(|| Reading::Counts(canary.error_trials(), stable.error_trials()));
        let latency = self
            .settings
            .latency
            .map(|latency| both(durations(canary, latency.threshold_seconds), durations(stable, latency.threshold_seconds)));
        let own = self.settings.own.iter().map(|own| {
            let bound = own_bound(own, canary, stable);
            both(canary.own_trials(own, bound), stable.own_trials(own, bound))
        });
        let observed = Observed {
            from: interval.from,
            to: interval.to,
            canary: canary.requests,
            stable: stable.requests,
            everyone: interval.versions.values().map(|delta| delta.requests).sum(),
            both_named: self.settings.stable_version.as_ref().is_some_and(|stable| interval.versions.contains_key(stable)),
            synthetic: canary.synthetic > 0.0 || stable.synthetic > 0.0,
            readings: errors.into_iter().chain(latency).chain(own).collect(),
        };
        self.take(observed);
    }

    /// Takes in what an interval says. Readings beyond the metrics are passed over.
    pub fn take(&mut self, observed: Observed) {
        self.stake_anew(observed.from);
        let (canary, stable) = (observed.canary, observed.stable);
        let requests = Counts { canary, stable, ..Counts::default() };
        self.over_all.add(&requests);
        self.this_weight.add(&requests);
        self.everyone += observed.everyone;
        self.synthetic = self.synthetic || observed.synthetic;
        if let Some(split) = self.split.as_mut().filter(|_| observed.both_named) {
            split.observe(canary, stable);
        }
        let mut metrics = Vec::with_capacity(self.metrics.len());
        for (followed, reading) in self.metrics.iter_mut().zip(observed.readings) {
            metrics.push(match reading {
                Reading::Counts(of_canary, of_stable) => {
                    if of_canary.all > 0.0 {
                        followed.blind = None;
                    }
                    followed.state.observe(&self.settings, &self.points, of_canary, of_stable);
                    Counts::of(of_canary, of_stable)
                }
                Reading::Blind(flaw) => {
                    followed.blind = Some(flaw);
                    Counts::default()
                }
            });
        }
        self.remember(Recent { from: observed.from, to: observed.to, requests, metrics });
    }

    /// Puts what is due of HARM's kept capital on it, before the interval's outcome is looked at.
    fn stake_anew(&mut self, from: DateTime<Utc>) {
        let began = *self.began.get_or_insert(from);
        let elapsed = (from - began).num_milliseconds();
        let every = i64::try_from(self.settings.fresh_stake.as_millis()).unwrap_or(i64::MAX).max(1);
        // Above some thousands a fresh stake is worth nothing: a gap of years is no loop of years.
        let due = u32::try_from((elapsed / every).clamp(0, 100_000)).unwrap_or(0);
        while self.fresh_stakes < due {
            self.fresh_stakes += 1;
            for followed in &mut self.metrics {
                followed.state.stake_anew(self.fresh_stakes);
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
        for followed in &mut self.metrics {
            followed.state.begin_weight(&self.settings);
        }
        self.this_weight = Counts::default();
        self.everyone = 0.0;
        self.split = split_test(&self.settings);
        self.recent.clear();
    }

    /// Another share is asked for from here on.
    pub(super) fn ask_share(&mut self, settings: &JudgeSettings) {
        self.settings.requested = settings.requested;
        self.settings.exact_share = settings.exact_share;
    }

    /// The metrics: `errors`, `latency`, then the user's own, as far as each is judged.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricState> {
        self.metrics.iter().map(|followed| &followed.state)
    }

    /// A metric by its name; none when it is not judged.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&MetricState> {
        self.metrics().find(|state| state.name() == name)
    }

    /// Requests of both arms over all weights.
    #[must_use]
    pub fn over_all(&self) -> Counts {
        self.over_all
    }

    /// Requests of both arms at this weight.
    #[must_use]
    pub fn this_weight(&self) -> Counts {
        self.this_weight
    }

    /// The canary's share of all requests at this weight, 0 to 1; none without requests.
    #[must_use]
    pub fn measured_share(&self) -> Option<f64> {
        (self.everyone > 0.0).then(|| self.this_weight.canary / self.everyone)
    }

    /// The share is not the one asked for.
    pub(super) fn mismatch(&self) -> Option<Mismatch> {
        self.split.as_ref().and_then(Split::mismatch)
    }

    /// Some of the requests were made by hms itself.
    #[must_use]
    pub fn synthetic(&self) -> bool {
        self.synthetic
    }

    /// A metric that cannot be judged, and why.
    #[must_use]
    pub fn blind(&self) -> Option<(&str, &str)> {
        self.metrics.iter().find_map(|followed| Some((followed.state.name(), followed.blind.as_deref()?)))
    }

    /// Canary requests a second over the last minutes; none when there is no time to speak of.
    #[must_use]
    pub fn canary_rate(&self) -> Option<f64> {
        let elapsed = (self.recent.back()?.to - self.recent.front()?.from).as_seconds_f64();
        (elapsed > 0.0).then(|| self.recent.iter().map(|recent| recent.requests.canary).sum::<f64>() / elapsed)
    }

    /// The counts of each metric in the last minute or twelve intervals, whichever is longer.
    #[must_use]
    pub fn lately(&self) -> Vec<Counts> {
        let twelve = TimeDelta::from_std(self.settings.scrape_interval * 12).unwrap_or(NOW_WINDOW);
        let mut sums = vec![Counts::default(); self.metrics.len()];
        let Some(last) = self.recent.back() else { return sums };
        for recent in self.recent.iter().rev().take_while(|recent| recent.to > last.to - twelve.max(NOW_WINDOW)) {
            for (sum, counts) in sums.iter_mut().zip(&recent.metrics) {
                sum.add(counts);
            }
        }
        sums
    }

    pub(super) fn points(&self) -> &Points {
        &self.points
    }
}

fn split_test(settings: &JudgeSettings) -> Option<Split> {
    let tolerance = settings.share_tolerance.filter(|_| !settings.absolute_only)?;
    Split::new(settings.share(), tolerance)
}

fn both(canary: Result<Trials, String>, stable: Result<Trials, String>) -> Reading {
    match (canary, stable) {
        (Ok(canary), Ok(stable)) => Reading::Counts(canary, stable),
        (Err(flaw), _) => Reading::Blind(format!("the canary's {flaw}")),
        (_, Err(flaw)) => Reading::Blind(format!("stable's {flaw}")),
    }
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
