//! One line of a sample file.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::BadRecording;
use crate::canary::Guard;
use crate::event::{RolloutEvent, Sample, Stamped};

/// An interval longer than this is no interval.
const LONGEST_SECONDS: f64 = 1e8;

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Settings, for the whole file.
    Settings(Map<String, Value>),
    /// What happened in some time.
    Interval {
        /// How long, in seconds.
        seconds: f64,
        /// In the canary.
        canary: Arm,
        /// In stable; none when there is none.
        stable: Option<Arm>,
        /// The share asked for from here on.
        share: Option<f64>,
        /// The canary's release from here on.
        release: Option<String>,
        /// Why its counts are impossible.
        flaw: Option<String>,
    },
    /// The source failed.
    SourceError {
        /// With what.
        reason: String,
        /// For how long, in seconds.
        seconds: f64,
    },
    /// The canary does not run.
    Guard(Guard),
    /// What hms recorded.
    Recorded(Recorded),
}

/// A line of hms's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// A sample by itself.
    Sample(Sample),
    /// A line of a rollout's journal.
    Event(Box<Stamped<RolloutEvent>>),
}

/// The counts of one arm.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arm {
    /// Requests.
    pub requests: f64,
    /// Bad events by metric: `errors`, `slow`, and the user's own.
    pub metrics: BTreeMap<String, Counted>,
}

/// Bad events, and of how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// All of them; none when they are of the requests.
    pub all: Option<f64>,
    /// Bad ones.
    pub bad: f64,
}

impl Line {
    /// Reads the line with this number, from 1.
    ///
    /// # Errors
    /// When it is none of the lines that a sample file has.
    pub fn read(place: usize, text: &str) -> Result<Self, BadRecording> {
        let bad = |why: String| BadRecording::at(place, why);
        let value: Value =
            serde_json::from_str(text).map_err(|error| bad(format!("column {}: no JSON: {}", error.column(), cause(&error))))?;
        let Value::Object(fields) = value else { return Err(bad("a line is one JSON object".into())) };
        let has = |key: &str| fields.contains_key(key);
        if has("type") && has("seq") {
            // An event of a newer hms is read as one that is not known, as views do.
            let event = serde_json::from_value(Value::Object(fields)).map_err(|error| bad(format!("no line of a journal: {error}")))?;
            return Ok(Self::Recorded(Recorded::Event(Box::new(event))));
        }
        if has("at") && has("versions") {
            let sample = serde_json::from_value(Value::Object(fields)).map_err(|error| bad(format!("no sample: {error}")))?;
            return Ok(Self::Recorded(Recorded::Sample(sample)));
        }
        let only = |keys: &[&str]| match fields.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(unknown) => Err(bad(format!("`{}` is not known here; known are {}", unknown.escape_debug(), keys.join(", ")))),
            None => Ok(()),
        };
        if let Some(settings) = fields.get("settings") {
            only(&["settings"])?;
            return settings.as_object().cloned().map(Self::Settings).ok_or_else(|| bad("`settings` is an object".into()));
        }
        if let Some(guard) = fields.get("guard") {
            only(&["guard"])?;
            let known = Guard::WORDS.iter().find(|(word, _)| guard.as_str() == Some(word));
            let words: Vec<&str> = Guard::WORDS.iter().map(|(word, _)| *word).collect();
            return known.map(|(_, guard)| Self::Guard(*guard)).ok_or_else(|| bad(format!("`guard` is one of {}", words.join(", "))));
        }
        if let Some(error) = fields.get("source_error") {
            only(&["source_error", "seconds"])?;
            let reason = error.as_str().ok_or_else(|| bad("`source_error` is a text".into()))?.to_owned();
            let seconds = if has("seconds") { number(&fields, "seconds").map_err(bad)? } else { 0.0 };
            return match seconds_flaw(seconds) {
                Some(flaw) if seconds != 0.0 => Err(bad(flaw)),
                Some(_) | None => Ok(Self::SourceError { reason, seconds }),
            };
        }
        if !has("canary") {
            return Err(bad("neither an interval (`canary`), nor `source_error`, `guard`, `settings`, or what hms recorded".into()));
        }
        only(&["seconds", "canary", "stable", "share", "release"])?;
        interval(&fields).map_err(bad)
    }
}

/// The parser's message without its place, which stands before it.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn interval(fields: &Map<String, Value>) -> Result<Line, String> {
    let seconds = number(fields, "seconds")?;
    let canary = arm(fields.get("canary").unwrap_or(&Value::Null), "canary")?;
    let stable = match fields.get("stable") {
        None | Some(Value::Null) => None,
        Some(stable) => Some(arm(stable, "stable")?),
    };
    let share = match fields.get("share") {
        None | Some(Value::Null) => None,
        Some(_) => Some(number(fields, "share")?)
            .filter(|share| *share > 0.0 && *share <= 1.0)
            .map_or_else(|| Err("`share` lies above 0 and up to 1"), |share| Ok(Some(share)))?,
    };
    let release = match fields.get("release") {
        None | Some(Value::Null) => None,
        Some(release) => Some(release.as_str().ok_or("`release` is a text")?.to_owned()),
    };
    let flaw = seconds_flaw(seconds)
        .or_else(|| arm_flaw(&canary, "the canary"))
        .or_else(|| stable.as_ref().and_then(|stable| arm_flaw(stable, "stable")));
    Ok(Line::Interval { seconds, canary, stable, share, release, flaw })
}

fn number(fields: &Map<String, Value>, key: &str) -> Result<f64, String> {
    fields.get(key).and_then(Value::as_f64).ok_or_else(|| format!("`{key}` is a number"))
}

fn seconds_flaw(seconds: f64) -> Option<String> {
    (!(seconds > 0.0 && seconds <= LONGEST_SECONDS)).then(|| format!("it lasts {seconds} seconds"))
}

fn arm(value: &Value, name: &str) -> Result<Arm, String> {
    let fields = value.as_object().ok_or_else(|| format!("`{name}` is an object with `requests`"))?;
    let mut arm = Arm { requests: number(fields, "requests").map_err(|why| format!("{name}: {why}"))?, metrics: BTreeMap::new() };
    for (key, value) in fields {
        if key == "requests" || value.is_null() {
            continue;
        }
        let counted = match value {
            Value::Object(own) => {
                let part = |part: &str| number(own, part).map_err(|why| format!("{name}.{key}: {why}"));
                if own.len() != 2 {
                    return Err(format!("{name}.{key} is a count, or {{\"all\":…,\"bad\":…}}"));
                }
                Counted { all: Some(part("all")?), bad: part("bad")? }
            }
            Value::Number(bad) => Counted { all: None, bad: bad.as_f64().unwrap_or(f64::NAN) },
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {
                return Err(format!("{name}.{} is a count, or {{\"all\":…,\"bad\":…}}", key.escape_debug()));
            }
        };
        arm.metrics.insert(key.clone(), counted);
    }
    Ok(arm)
}

/// Why these counts are impossible.
fn arm_flaw(arm: &Arm, name: &str) -> Option<String> {
    let is_count = |value: f64| value.is_finite() && value >= 0.0;
    if !is_count(arm.requests) {
        return Some(format!("{name} had {} requests", arm.requests));
    }
    arm.metrics.iter().find_map(|(metric, counted)| {
        let all = counted.all.unwrap_or(arm.requests);
        let metric = metric.escape_debug();
        if !is_count(counted.bad) || !is_count(all) {
            return Some(format!("{name} had {} {metric} of {all}", counted.bad));
        }
        (counted.bad > all).then(|| format!("{name} had {} {metric} of {all}: more bad ones than there were", counted.bad))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Line::read(7, text).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let text = r#"{"seconds":60,"canary":{"requests":1000,"errors":2,"slow":50,"checkout":{"all":30,"bad":1}},"stable":{"requests":99000,"errors":198,"slow":4950}}"#;
        let Line::Interval { seconds, canary, stable, share, release, flaw } = Line::read(1, text).unwrap() else { panic!() };
        assert_eq!((seconds.to_bits(), share, release, flaw), (60.0_f64.to_bits(), None, None, None));
        assert_eq!(canary.metrics["checkout"], Counted { all: Some(30.0), bad: 1.0 });
        assert_eq!(stable.unwrap().metrics["slow"], Counted { all: None, bad: 4950.0 });
        assert_eq!(Line::read(1, r#"{"guard":"crash_loop"}"#).unwrap(), Line::Guard(Guard::CrashLoop));
        let error = Line::SourceError { reason: "down".into(), seconds: 0.0 };
        assert_eq!(Line::read(1, r#"{"source_error":"down"}"#).unwrap(), error);
        assert!(matches!(Line::read(1, r#"{"settings":{"share":null}}"#).unwrap(), Line::Settings(_)));
        assert!(matches!(Line::read(1, r#"{"at":"2026-11-24T16:02:11Z","versions":{}}"#).unwrap(), Line::Recorded(Recorded::Sample(_))));
        let other = r#"{"format":1,"seq":3,"time":"2026-11-24T16:02:11.123Z","type":"SomethingNew","x":1}"#;
        let Line::Recorded(Recorded::Event(event)) = Line::read(1, other).unwrap() else { panic!() };
        assert_eq!(event.event, RolloutEvent::Unknown);
    }

    #[test]
    fn what_is_no_such_line_is_refused_by_number() {
        for (text, why) in [
            ("", "line 7: column"),
            ("[]", "one JSON object"),
            ("{}", "neither an interval"),
            (r#"{"seconds":60}"#, "neither an interval"),
            (r#"{"seconds":60,"canary":{"errors":1}}"#, "canary: `requests` is a number"),
            (r#"{"canary":{"requests":1}}"#, "`seconds` is a number"),
            (r#"{"seconds":60,"canary":{"requests":1},"stabel":{}}"#, "`stabel` is not known here"),
            (r#"{"seconds":60,"canary":{"requests":1,"errors":"2"}}"#, "canary.errors is a count"),
            (r#"{"seconds":60,"canary":{"requests":NaN}}"#, "no JSON"),
            (r#"{"seconds":60,"share":2,"canary":{"requests":1}}"#, "`share`"),
            (r#"{"format":1,"seq":3,"time":"2026-11-24T16:02:11.123Z","type":"Sampled"}"#, "no line of a journal"),
            (r#"{"guard":"tired"}"#, "one of crash_loop"),
            (r#"{"source_error":"x","seconds":-1}"#, "it lasts -1 seconds"),
            (r#"{"settings":[]}"#, "`settings` is an object"),
        ] {
            assert!(refused(text).contains(why), "{text}: {}", refused(text));
        }
    }

    #[test]
    fn impossible_counts_are_no_error_of_the_file() {
        for (text, flaw) in [
            (r#"{"seconds":60,"canary":{"requests":-1}}"#, "the canary had -1 requests"),
            (r#"{"seconds":60,"canary":{"requests":1,"errors":2}}"#, "more bad ones than there were"),
            (r#"{"seconds":60,"canary":{"requests":1},"stable":{"requests":1,"slow":-3}}"#, "stable had -3 slow of 1"),
            (r#"{"seconds":0,"canary":{"requests":1}}"#, "it lasts 0 seconds"),
        ] {
            let Line::Interval { flaw: Some(found), .. } = Line::read(1, text).unwrap() else { panic!("{text}") };
            assert!(found.contains(flaw), "{found}");
        }
    }
}
