//! Evidence and circumstances → PASS, HOLD or ROLLBACK. The order of the rules is the rule:
//!
//! 1. the canary does not run → ROLLBACK, whatever was measured;
//! 2. harm proven → ROLLBACK, with or without fresh data, floor and bake;
//! 3. no data, refused or stale data, no canary requests, a metric that cannot be read → HOLD;
//! 4. the share is not the one asked for → HOLD;
//! 5. the canary is far over its limit right now, proven or not → HOLD;
//! 6. every metric passed, floor reached, bake over → PASS; else HOLD, with when it can be known.
//!
//! PASS is not kept: it is said as long as the evidence says it, so a canary that turns bad behind an open gate loses it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::evidence::{Evidence, Observed};
use super::forecast::{Forecast, HORIZON, forecast, outlook};
use super::interval::{Differ, Interval};
use super::metric::{Counts, finite};
use super::sentence::percent;
use super::settings::{BadSettings, JudgeSettings};
use super::split::Mismatch;
use super::{sentence, whole};
use crate::event::{MetricEvidence, Sample, Verdict, VerdictClass, Weight};

/// So many scrape intervals without a sample are no data.
const STALE_INTERVALS: u32 = 3;
/// A source that scrapes less often than this is late, whatever its rhythm.
const SLOWEST_SOURCE: Duration = Duration::from_mins(2);
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
    /// Times between the last samples, the newest last: a server that scrapes every minute is not late after 16 s.
    rhythm: [TimeDelta; 3],
    intervals: u64,
    flaw: Option<Flaw>,
    guard: Option<Guard>,
}

/// A canary that does not run: no number of requests is needed to see that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Its process ends again and again.
    CrashLoop,
    /// It was not ready in the time it had.
    ProgressDeadline,
    /// None of it is ready.
    NoReadyPod,
}

impl Guard {
    /// The words for it, as they are written.
    pub const WORDS: [(&'static str, Self); 3] =
        [("crash_loop", Self::CrashLoop), ("progress_deadline", Self::ProgressDeadline), ("no_ready_pod", Self::NoReadyPod)];
}

/// Why the newest that came is no use.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flaw {
    /// It was refused.
    Refused(String),
    /// Nothing came but an error.
    Source(String),
}

/// What matters of the last good sample.
#[derive(Debug, Clone)]
struct Last {
    at: DateTime<Utc>,
    names_anyone: bool,
    names_canary: bool,
}

/// Whether a forecast is wanted: it is most of the work.
#[derive(Debug, Clone, Copy)]
enum Look {
    Ahead,
    Here,
}

/// What a verdict rests on, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Harm is proven.
    Harm,
    /// Good enough is proven.
    Proven,
    /// The canary does not run.
    Down,
    /// The share is not the one asked for.
    Misrouted,
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
            Self::Harm | Self::Down => VerdictClass::Rollback,
            Self::Proven => VerdictClass::Pass,
            Self::Gathering | Self::Misrouted | Self::NoData | Self::NoCanary | Self::Alarming | Self::Incident | Self::Unfit => {
                VerdictClass::Hold
            }
        }
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ground {
    /// The settings mean nothing.
    Unfit(BadSettings),
    /// The canary does not run.
    Down(Guard),
    /// Harm is proven.
    Harm,
    /// The source of the numbers failed.
    SourceError(String),
    /// No metric is judged at all.
    NothingJudged,
    /// The share is not the one asked for.
    Misrouted(Mismatch),
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
    /// A metric should be judged and cannot be read.
    Blind { metric: String, flaw: String },
    /// A metric is far over its limit, on the canary alone or (shared) on both sides.
    FarOver { metric: String, lately: Counts, shared: bool },
    /// Good enough.
    Proven,
    /// Not known yet.
    Gathering(Forecast),
}

impl Ground {
    fn kind(&self) -> Kind {
        match self {
            Self::Unfit(_) => Kind::Unfit,
            Self::Down(_) => Kind::Down,
            Self::Harm => Kind::Harm,
            Self::Misrouted(_) => Kind::Misrouted,
            Self::NoData
            | Self::Refused(_)
            | Self::SourceError(_)
            | Self::NothingJudged
            | Self::Stale(_)
            | Self::ClockAhead(_)
            | Self::NobodyNamed
            | Self::Blind { .. } => Kind::NoData,
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
            rhythm: [TimeDelta::zero(); 3],
            intervals: 0,
            flaw: None,
            guard: None,
        }
    }

    /// Another weight came into force: PASS is for it alone, HARM goes on.
    pub fn begin_weight(&mut self, requested: Weight, watch_started_at: DateTime<Utc>) {
        self.settings.requested = requested;
        self.settings.exact_share = None;
        self.begin(watch_started_at);
    }

    /// The same, for a share that may be finer than a weight.
    pub(super) fn begin_share(&mut self, share: f64, watch_started_at: DateTime<Utc>) {
        self.settings.exact_share = Some(share);
        self.begin(watch_started_at);
    }

    fn begin(&mut self, watch_started_at: DateTime<Utc>) {
        self.watch_started_at = watch_started_at;
        self.evidence.ask_share(&self.settings);
        self.evidence.begin_weight();
    }

    /// Another release came in the canary's place: what is known is of the one before, and is forgotten.
    pub fn begin_release(&mut self, canary_version: impl Into<String>, watch_started_at: DateTime<Utc>) {
        self.settings.canary_version = canary_version.into();
        *self = Self::new(&self.settings, watch_started_at);
    }

    /// The canary does not run. It stays said until another release begins.
    pub fn down(&mut self, guard: Guard) {
        self.guard = self.guard.or(Some(guard));
    }

    /// The source of samples failed: HOLD until the next sample.
    pub fn source_failed(&mut self, reason: impl Into<String>) {
        self.flaw = Some(Flaw::Source(reason.into()));
    }

    /// What came cannot be used: HOLD until the next that can.
    pub(super) fn refuse(&mut self, reason: impl Into<String>) {
        self.flaw = Some(Flaw::Refused(reason.into()));
    }

    /// Takes the next sample.
    pub fn push(&mut self, sample: &Sample) {
        let interval = self.differ.next(sample);
        if let Some(reason) = interval.as_ref().and_then(|interval| interval.refused.clone()) {
            self.refuse(reason);
            return;
        }
        self.flaw = None;
        self.first_at.get_or_insert(sample.at);
        if let Some(gap) = self.last.as_ref().map(|last| sample.at - last.at).filter(|gap| *gap > TimeDelta::zero()) {
            self.rhythm = [self.rhythm[1], self.rhythm[2], gap];
        }
        self.last = Some(Last {
            at: sample.at,
            names_anyone: !sample.versions.is_empty(),
            names_canary: sample.versions.contains_key(&self.settings.canary_version),
        });
        let Some(interval) = interval else { return };
        if let Some((version, mixed)) = self.mixed(&interval) {
            // Whose requests these are nobody can tell, so they count for nobody.
            self.refuse(format!("version {}: {mixed}; a version_label that tells them apart is needed", version.escape_debug()));
            return;
        }
        self.intervals += 1;
        if self.counts(interval.from) {
            self.evidence.observe(&interval);
            self.forget_if_before_weight(interval.from);
        }
    }

    /// An arm whose requests are of two versions.
    fn mixed<'a>(&self, interval: &'a Interval) -> Option<(&'a str, &'a str)> {
        let arms = std::iter::once(&self.settings.canary_version).chain(&self.settings.stable_version);
        arms.filter_map(|arm| interval.versions.get_key_value(arm))
            .find_map(|(version, delta)| Some((version.as_str(), delta.mixed.as_deref()?)))
    }

    /// Takes what an interval says, where that is known without samples.
    pub fn take(&mut self, observed: Observed) {
        self.flaw = None;
        self.first_at.get_or_insert(observed.from);
        self.last = Some(Last { at: observed.to, names_anyone: true, names_canary: true });
        self.intervals += 1;
        let from = observed.from;
        if self.counts(from) {
            self.evidence.take(observed);
            self.forget_if_before_weight(from);
        }
    }

    fn warm_up(&self) -> TimeDelta {
        TimeDelta::from_std(self.settings.warm_up).unwrap_or(TimeDelta::MAX)
    }

    fn counts(&self, from: DateTime<Utc>) -> bool {
        self.unfit.is_none() && self.first_at.is_some_and(|first| from - first >= self.warm_up())
    }

    /// What was partly before this weight counts for harm alone.
    fn forget_if_before_weight(&mut self, from: DateTime<Utc>) {
        if from - self.watch_started_at < self.warm_up().max(TimeDelta::zero()) {
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
        let ground = self.ground(now, source, Look::Ahead);
        let class = ground.kind().class();
        let requests = match class {
            VerdictClass::Rollback => self.evidence.over_all(),
            VerdictClass::Pass | VerdictClass::Hold => self.evidence.this_weight(),
        };
        let wait = if let Ground::Gathering(forecast) = &ground { forecast.wait } else { None };
        let forecast_seconds = wait.filter(|wait| *wait <= HORIZON).map(sentence::rough_seconds);
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
            forecast: outlook(&ground, &self.settings, &self.evidence),
        }
    }

    /// What the verdict at a moment rests on. Verdicts of one kind differ in numbers only, and a journal need not hold each.
    #[must_use]
    pub fn kind(&self, now: DateTime<Utc>, source: &SourceState) -> Kind {
        self.ground(now, source, Look::Here).kind()
    }

    fn metric_evidence(&self, class: VerdictClass) -> Vec<MetricEvidence> {
        let over_all = class == VerdictClass::Rollback;
        let metrics = self.evidence.metrics().map(|state| {
            let counts = if over_all { state.over_all() } else { state.this_weight() };
            MetricEvidence {
                name: state.name().to_owned(),
                slo: state.limit(),
                threshold_seconds: state.threshold_seconds(),
                canary_bad: whole::floor(counts.canary_bad),
                stable_bad: whole::floor(counts.stable_bad),
                harm_ln: finite(state.harm_ln()),
                abs_ln: finite(state.abs_ln()),
                passed: state.passed(),
                harmed: state.harmed(),
                detail: Some(Box::new(state.detail(&self.settings, self.evidence.points(), &counts, over_all))),
            }
        });
        // With unfit settings the logs are no numbers, and JSON has no word for that.
        if self.unfit.is_some() { Vec::new() } else { metrics.collect() }
    }

    fn ground(&self, now: DateTime<Utc>, source: &SourceState, look: Look) -> Ground {
        if let Some(guard) = self.guard {
            return Ground::Down(guard);
        }
        if let Some(unfit) = &self.unfit {
            return Ground::Unfit(unfit.clone());
        }
        if self.evidence.metrics().any(super::metric::MetricState::harmed) {
            return Ground::Harm;
        }
        self.trouble(now, source)
            .or_else(|| self.evidence.mismatch().map(Ground::Misrouted))
            .or_else(|| self.far_over())
            .unwrap_or_else(|| self.progress(now, look))
    }

    /// Why nothing can be said, whatever the numbers are.
    fn trouble(&self, now: DateTime<Utc>, source: &SourceState) -> Option<Ground> {
        match &self.flaw {
            Some(Flaw::Refused(reason)) => return Some(Ground::Refused(reason.clone())),
            Some(Flaw::Source(reason)) => return Some(Ground::SourceError(reason.clone())),
            None => {}
        }
        let Some(last) = &self.last else { return Some(Ground::NoData) };
        // The shortest of the last times: one long gap does not make a source slow.
        let rhythm = self.rhythm.iter().min().and_then(|gap| gap.to_std().ok()).unwrap_or_default();
        let limit = self.settings.scrape_interval.max(rhythm.min(SLOWEST_SOURCE)).saturating_mul(STALE_INTERVALS);
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
        if self.evidence.this_weight().canary <= 0.0 {
            return Some(Ground::NoCanaryRequests);
        }
        if !last.names_canary {
            return Some(Ground::CanaryGone);
        }
        if self.evidence.metrics().next().is_none() {
            return Some(Ground::NothingJudged);
        }
        self.evidence.blind().map(|(metric, flaw)| Ground::Blind { metric: metric.to_owned(), flaw: flaw.to_owned() })
    }

    /// What is wrong with stable just now: a metric over its limit there, with enough bad requests to say so. Then a canary that does
    /// not answer is no proof against the canary.
    #[must_use]
    pub fn stable_in_trouble(&self) -> Option<String> {
        let least = whole::float(self.settings.min_bad_events);
        self.evidence.metrics().zip(self.evidence.lately()).find_map(|(state, lately)| {
            let share = lately.stable_share().filter(|share| *share > state.limit() && lately.stable_bad >= least)?;
            Some(format!("{} in {} of its requests just now, limit {}", state.name(), percent(share), percent(state.limit())))
        })
    }

    fn far_over(&self) -> Option<Ground> {
        let least = whole::float(self.settings.min_bad_events);
        self.evidence.metrics().zip(self.evidence.lately()).find_map(|(state, lately)| {
            let over = lately.canary_bad >= least && lately.canary_share()? > FAR_OVER * state.limit();
            let shared = lately.stable_share().is_some_and(|share| share > state.limit());
            over.then(|| Ground::FarOver { metric: state.name().to_owned(), lately, shared })
        })
    }

    fn progress(&self, now: DateTime<Utc>, look: Look) -> Ground {
        let elapsed = (now - self.watch_started_at).to_std().unwrap_or_default();
        let passed = self.evidence.metrics().all(super::metric::MetricState::passed);
        let enough = whole::floor(self.evidence.this_weight().canary) >= self.settings.floor();
        if passed && enough && elapsed >= self.settings.bake {
            Ground::Proven
        } else {
            Ground::Gathering(match look {
                Look::Ahead => forecast(&self.settings, &self.evidence, elapsed),
                Look::Here => Forecast::default(),
            })
        }
    }
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
