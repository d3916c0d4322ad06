//! `hms canary judge FILE`: recorded samples before the judge, with these settings or others.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::canary::replay::{BadRecording, Moment, Played, ReplaySettings, Stop, play};
use crate::cli::arguments::{JudgeArguments, Output};
use crate::cli::failure::{Exit, Failure};
use crate::event::VerdictClass;
use crate::report::{metric_text, metrics_json};
use crate::text::{duration, plain};

/// A day of a thousand series, sample by sample, is some hundred MiB; more is no sample file.
const LARGEST_BYTES: u64 = 1 << 30;

pub(super) fn judge(arguments: &JudgeArguments, output: Output) -> Result<u8, Failure> {
    let name = arguments.file.to_string_lossy().into_owned();
    let text = read(&arguments.file)?;
    let mut settings = ReplaySettings::default();
    for text in &arguments.set {
        settings.say_text(text).map_err(|error| Failure::new(Exit::Usage, format!("--set {text}: {error}")))?;
    }
    let stop = if arguments.to_end { Stop::AtEnd } else { Stop::AtVerdict };
    let played = play(&text, &settings, stop).map_err(|error| refused(&name, &error))?;
    if let Some(line) = played.torn {
        let _ = writeln!(std::io::stderr(), "hms: {}:{line} is torn and is left out", plain(&name));
    }
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => out.write_all(told(&played, stop).as_bytes())?,
        Output::Json => {
            for change in played.changes.iter().filter(|_| stop == Stop::AtEnd) {
                writeln!(
                    out,
                    "{}",
                    json!({"change": word(change), "at_seconds": seconds(change.at_seconds), "reason": change.verdict.reason})
                )?;
            }
            writeln!(out, "{}", value(&played.last))?;
        }
    }
    Ok(exit_code(played.last.verdict.class))
}

/// 0 PASS, 11 HOLD, 12 ROLLBACK.
fn exit_code(class: VerdictClass) -> u8 {
    match class {
        VerdictClass::Pass => 0,
        VerdictClass::Hold => 11,
        VerdictClass::Rollback => 12,
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(LARGEST_BYTES + 1).read_to_end(&mut bytes))
    };
    let name = file.display();
    read.map_err(|error| Failure::of(Exit::NotCarriedOut, &error).because(format!("{name} cannot be read")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_BYTES {
        return Err(Failure::new(Exit::Usage, format!("{name} is larger than {} MiB", LARGEST_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        Failure::new(Exit::Usage, format!("{name}:{line}: not UTF-8"))
    })
}

fn refused(name: &str, error: &BadRecording) -> Failure {
    let place = error.line.map(|line| format!(":{line}")).unwrap_or_default();
    Failure::new(Exit::Usage, format!("{name}{place}: {}", error.why)).hint("a line is an interval, as {\"seconds\":60,\"canary\":{\"requests\":1000,\"errors\":2},\"stable\":{…}}; docs/judge.md has all of them")
}

fn word(moment: &Moment) -> String {
    moment.verdict.class.to_string()
}

/// Whole seconds as a whole number.
fn seconds(value: f64) -> Value {
    let text = value.to_string();
    text.parse::<u64>().map_or_else(|_| json!(value), |whole| json!(whole))
}

fn value(moment: &Moment) -> Value {
    let verdict = &moment.verdict;
    json!({
        "format": 1,
        "verdict": verdict.class,
        "at_seconds": seconds(moment.at_seconds),
        "reason": verdict.reason,
        "forecast": verdict.forecast,
        "forecast_seconds": verdict.forecast_seconds,
        "canary_requests": verdict.canary_requests,
        "stable_requests": verdict.stable_requests,
        "floor": verdict.floor,
        "measured_share": verdict.measured_share,
        "metrics": metrics_json(verdict),
    })
}

fn told(played: &Played, stop: Stop) -> String {
    let mut text = String::new();
    for change in played.changes.iter().filter(|_| stop == Stop::AtEnd) {
        let _ = writeln!(text, "{}  {}  {}", moment_text(change), word(change), plain(&change.verdict.reason));
    }
    let verdict = &played.last.verdict;
    let _ = writeln!(text, "{} after {}: {}", word(&played.last), moment_text(&played.last), plain(&verdict.reason));
    for sentence in &verdict.forecast {
        let _ = writeln!(text, "  {}", plain(sentence));
    }
    for metric in &verdict.metrics {
        text.push_str(&metric_text(metric));
    }
    text
}

fn moment_text(moment: &Moment) -> String {
    duration(u64::try_from(std::time::Duration::try_from_secs_f64(moment.at_seconds).unwrap_or_default().as_millis()).unwrap_or(u64::MAX))
}
