//! The lines of a sample file, one after the other, before a judge.

use chrono::{DateTime, TimeDelta, Utc};

use super::BadRecording;
use super::line::{Arm, Counted, Line, Recorded};
use super::settings::{Facts, ReplaySettings};
use crate::canary::{Judge, JudgeSettings, LatencySettings, Observed, Reading, SourceState, Subject, Trials};
use crate::event::{RolloutEvent, Sample, Stamped, Verdict, VerdictClass, Weight};

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At the first PASS or ROLLBACK.
    AtVerdict,
    /// At the end of the file.
    AtEnd,
}

/// A verdict, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Seconds since the canary began.
    pub at_seconds: f64,
    /// What was said.
    pub verdict: Verdict,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Every change of the verdict's word, the first word included.
    pub changes: Vec<Moment>,
    /// The last word.
    pub last: Moment,
    /// The number of a torn last line that was left out.
    pub torn: Option<usize>,
}

/// Judges a file. `settings` count over those in it.
///
/// # Errors
/// When a line or a setting is none.
pub fn play(text: &str, settings: &ReplaySettings, stop: Stop) -> Result<Played, BadRecording> {
    let (lines, torn) = read(text)?;
    let mut said = ReplaySettings::default();
    for (number, line) in &lines {
        if let Line::Settings(fields) = line {
            said.say(fields.clone()).map_err(|error| BadRecording::at(*number, error.why))?;
        }
    }
    said.say(settings.said().clone())?;
    let mut player = Player::new(said, &lines)?;
    let mut changes: Vec<Moment> = Vec::new();
    for (number, line) in lines {
        if !player.take(number, line)? {
            continue;
        }
        let class = player.class();
        if changes.last().is_none_or(|last| last.verdict.class != class) {
            changes.push(player.moment());
        }
        if stop == Stop::AtVerdict && class != VerdictClass::Hold {
            break;
        }
    }
    Ok(Played { changes, last: player.moment(), torn })
}

/// Lines with their numbers.
type Numbered = Vec<(usize, Line)>;

/// The lines, and the number of a torn last one.
fn read(text: &str) -> Result<(Numbered, Option<usize>), BadRecording> {
    let mut lines = Numbered::new();
    let mut rest = (1..).zip(text.split('\n')).peekable();
    while let Some((number, line)) = rest.next() {
        let is_last = rest.peek().is_none();
        if line.trim().is_empty() {
            continue;
        }
        match Line::read(number, line) {
            Err(_) if is_last && !lines.is_empty() && serde_json::from_str::<serde_json::Value>(line).is_err() => {
                return Ok((lines, Some(number)));
            }
            Err(error) => return Err(error),
            Ok(Line::Settings(_)) if !lines.is_empty() => return Err(BadRecording::at(number, "`settings` is the first line or none")),
            Ok(read) => lines.push((number, read)),
        }
    }
    Ok((lines, None))
}

/// Where the numbers come from, decided by the first line that has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Intervals,
    Samples,
    Journal,
}

struct Player {
    settings: ReplaySettings,
    source: Source,
    names: Vec<String>,
    seen: Vec<bool>,
    judge: Judge,
    share: Option<f64>,
    release: Option<String>,
    subject: Subject,
    state: SourceState,
    start: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Player {
    fn new(settings: ReplaySettings, lines: &[(usize, Line)]) -> Result<Self, BadRecording> {
        let source = lines.iter().find_map(|(_, line)| source_of(line)).unwrap_or(Source::Intervals);
        let facts = facts(lines);
        let begin = DateTime::UNIX_EPOCH;
        let judged = match source {
            Source::Intervals => settings.for_intervals(&facts)?,
            Source::Samples => settings.for_samples()?,
            Source::Journal => settings.for_journal(JudgeSettings::new("canary", None, Weight::ZERO))?,
        };
        let errors = facts.errors.then(|| "errors".to_owned());
        let names: Vec<String> = errors.into_iter().chain(facts.own).collect();
        Ok(Self {
            source,
            seen: vec![false; names.len()],
            names,
            share: judged.exact_share,
            judge: Judge::new(&judged, begin),
            release: None,
            subject: Subject::Canary,
            state: SourceState::default(),
            start: (source == Source::Intervals).then_some(begin),
            now: begin,
            settings,
        })
    }

    fn class(&self) -> VerdictClass {
        self.judge.kind(self.now, &self.state).class()
    }

    fn moment(&self) -> Moment {
        let at_seconds = self.start.map_or(0.0, |start| (self.now - start).as_seconds_f64().max(0.0));
        Moment { at_seconds, verdict: self.judge.verdict(self.now, &self.state) }
    }

    /// Takes a line in; false when it changes nothing for the judge.
    fn take(&mut self, number: usize, line: Line) -> Result<bool, BadRecording> {
        if source_of(&line).is_some_and(|source| source != self.source) {
            return Err(BadRecording::at(number, "intervals, samples and a journal do not stand in one file"));
        }
        match line {
            Line::Settings(_) => return Ok(false),
            Line::Interval { seconds, canary, stable, share, release, flaw } => {
                self.begin(share, release);
                if let Some(flaw) = flaw {
                    self.judge.refuse(format!("line {number}: {flaw}"));
                    self.pass_time(seconds);
                } else {
                    let from = self.now;
                    self.pass_time(seconds);
                    let observed = self.observed(from, &canary, stable.as_ref());
                    self.judge.take(observed);
                }
            }
            Line::SourceError { reason, seconds } => {
                self.pass_time(seconds);
                self.judge.source_failed(reason);
            }
            Line::Guard(guard) => self.judge.down(guard),
            Line::Recorded(Recorded::Sample(sample)) => self.sample(&sample),
            Line::Recorded(Recorded::Event(event)) => return self.event(*event),
        }
        Ok(true)
    }

    fn pass_time(&mut self, seconds: f64) {
        // Nanoseconds: a float of seconds to a date, rounded where the date's own grain is.
        let step = std::time::Duration::try_from_secs_f64(seconds).ok().and_then(|step| TimeDelta::from_std(step).ok());
        self.now = step.and_then(|step| self.now.checked_add_signed(step)).unwrap_or(self.now);
    }

    fn begin(&mut self, share: Option<f64>, release: Option<String>) {
        if let Some(release) = release {
            if self.release.as_ref().is_some_and(|before| *before != release) {
                self.judge.begin_release("canary", self.now);
                self.seen.fill(false);
            }
            self.release = Some(release);
        }
        if let Some(share) = share.filter(|share| self.share.is_some_and(|before| (before - share).abs() > f64::EPSILON)) {
            self.share = Some(share);
            self.judge.begin_share(share, self.now);
        }
    }

    fn observed(&mut self, from: DateTime<Utc>, canary: &Arm, stable: Option<&Arm>) -> Observed {
        let nobody = Arm::default();
        let beside = stable.unwrap_or(&nobody);
        let mut readings = Vec::with_capacity(self.names.len());
        for (name, seen) in self.names.iter().zip(&mut self.seen) {
            readings.push(match canary.metrics.get(name) {
                Some(counted) => {
                    *seen = true;
                    let of_stable = beside.metrics.get(name).map_or_else(Trials::default, |counted| trials(beside, *counted));
                    Reading::Counts(trials(canary, *counted), of_stable)
                }
                None if *seen && canary.requests > 0.0 => Reading::Blind(format!("the canary's {name} are not counted any more")),
                None => Reading::Counts(Trials::default(), Trials::default()),
            });
        }
        Observed {
            from,
            to: self.now,
            canary: canary.requests,
            stable: beside.requests,
            everyone: canary.requests + beside.requests,
            both_named: stable.is_some(),
            synthetic: false,
            readings,
        }
    }

    fn sample(&mut self, sample: &Sample) {
        if self.start.is_none() {
            self.start = Some(sample.at);
            if let Ok(settings) = self.settings.for_samples() {
                self.judge = Judge::new(&settings, sample.at);
            }
        }
        self.now = self.now.max(sample.at);
        self.judge.push(sample);
    }

    fn event(&mut self, stamped: Stamped<RolloutEvent>) -> Result<bool, BadRecording> {
        if let RolloutEvent::WatchStarted {
            weight,
            threshold_seconds,
            slow_share,
            absolute_only,
            canary_version,
            stable_version,
            next: _,
            own,
        } = stamped.event
        {
            self.now = stamped.time;
            self.start.get_or_insert(stamped.time);
            if self.release.as_ref() == Some(&canary_version) && self.subject == Subject::Canary {
                self.judge.begin_weight(weight, stamped.time);
                return Ok(false);
            }
            let mut recorded = JudgeSettings::new(canary_version.clone(), stable_version, weight);
            recorded.absolute_only = absolute_only;
            recorded.subject = self.subject;
            recorded.own = own;
            recorded.latency =
                threshold_seconds.zip(slow_share).map(|(threshold_seconds, slow_share)| LatencySettings { threshold_seconds, slow_share });
            self.judge = Judge::new(&self.settings.for_journal(recorded)?, stamped.time);
            self.release = Some(canary_version);
            return Ok(false);
        }
        if let RolloutEvent::ProductionWatched { holdback: None, .. } = stamped.event {
            // Judged by its SLOs alone from here on, on what it does from here on.
            self.subject = Subject::Production;
            return Ok(false);
        }
        if let RolloutEvent::Sampled { sample } = stamped.event {
            self.now = self.now.max(stamped.time).max(sample.at);
            self.state = SourceState::default();
            self.judge.push(&sample);
            return Ok(true);
        }
        if let RolloutEvent::SampleMissed { reason } = stamped.event {
            self.now = self.now.max(stamped.time);
            self.state = SourceState { missed: self.state.missed + 1, reason: Some(reason) };
            return Ok(true);
        }
        Ok(false)
    }
}

fn trials(arm: &Arm, counted: Counted) -> Trials {
    Trials { all: counted.all.unwrap_or(arm.requests), bad: counted.bad }
}

fn source_of(line: &Line) -> Option<Source> {
    match line {
        Line::Interval { .. } => Some(Source::Intervals),
        Line::Recorded(Recorded::Sample(_)) => Some(Source::Samples),
        Line::Recorded(Recorded::Event(_)) => Some(Source::Journal),
        Line::Settings(_) | Line::SourceError { .. } | Line::Guard(_) => None,
    }
}

/// What the settings depend on: which metrics the intervals count, and whether there is a stable to compare with.
fn facts(lines: &[(usize, Line)]) -> Facts {
    let mut own: Vec<String> = Vec::new();
    let (mut errors, mut alone) = (false, true);
    for (_, line) in lines {
        let Line::Interval { canary, stable, .. } = line else { continue };
        alone = alone && stable.is_none();
        for name in canary.metrics.keys() {
            if name == "errors" {
                errors = true;
            } else if !own.contains(name) {
                own.push(name.clone());
            }
        }
    }
    Facts { own, errors, alone }
}
