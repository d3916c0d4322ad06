//! `hms canary judge FILE`: recorded samples before the judge, with these settings or others.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::canary::replay::{BadRecording, Moment, Played, ReplaySettings, Stop, play};
use crate::cli::arguments::{JudgeArguments, Output};
use crate::cli::failure::{Exit, Failure};
use crate::event::{Estimate, MetricDetail, MetricEvidence, VerdictClass};
use crate::text::{count, duration, plain, share};

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
    let metrics: Map<String, Value> = verdict.metrics.iter().map(|metric| (key(&metric.name).to_owned(), metric_value(metric))).collect();
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
        "metrics": metrics,
    })
}

/// The file's word for a metric.
fn key(name: &str) -> &str {
    if name == "latency" { "slow" } else { name }
}

fn metric_value(metric: &MetricEvidence) -> Value {
    let detail = metric.detail.as_deref().cloned().unwrap_or_default();
    let arm = |all: u64, bad: u64, rate: Option<Estimate>| json!({"all": all, "bad": bad, "rate": rate});
    json!({
        "slo": metric.slo,
        "slower_than_seconds": metric.threshold_seconds,
        "harmed": metric.harmed,
        "passed": metric.passed,
        "passed_by": detail.passed_by,
        "canary": arm(detail.canary_all, metric.canary_bad, detail.canary_rate),
        "stable": arm(detail.stable_all, metric.stable_bad, detail.stable_rate),
        "ratio": detail.ratio,
        "evidence": {
            "harm": {"ln_e": metric.harm_ln, "needs_ln_e": detail.harm_goal_ln},
            "safe": detail.safe_ln.map(|safe| json!({"ln_e": safe, "needs_ln_e": detail.safe_goal_ln})),
            "abs": {"ln_e": metric.abs_ln, "needs_ln_e": detail.abs_goal_ln},
        },
        "dispersion": detail.dispersion,
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

fn metric_text(metric: &MetricEvidence) -> String {
    let detail = metric.detail.as_deref().cloned().unwrap_or_default();
    let mut text = format!("  {}, limit {}\n", plain(key(&metric.name)), share(metric.slo));
    let arm = |name: &str, bad: u64, all: u64, rate: Option<Estimate>| {
        let rate = rate.map_or_else(String::new, |rate| format!("  {}", rate_text(rate)));
        format!("    {name:<8}{} of {}{rate}\n", count(bad), count(all))
    };
    text.push_str(&arm("canary", metric.canary_bad, detail.canary_all, detail.canary_rate));
    if detail.stable_all > 0 {
        text.push_str(&arm("stable", metric.stable_bad, detail.stable_all, detail.stable_rate));
    }
    if let Some(ratio) = detail.ratio {
        let value = ratio.value.map_or_else(|| "no guess".to_owned(), |value| format!("{value:.2}"));
        let high = ratio.high.map_or_else(|| "∞".to_owned(), |high| format!("{high:.2}"));
        let _ = writeln!(text, "    ratio   {value}  (95 %: {:.2} to {high})", ratio.low);
    }
    let _ = writeln!(text, "    e-value {}", evidence_text(metric, &detail));
    text
}

fn rate_text(rate: Estimate) -> String {
    let high = rate.high.map_or_else(|| "100 %".to_owned(), share);
    format!("{}  (95 %: {} to {high})", rate.value.map_or_else(String::new, share), share(rate.low))
}

fn evidence_text(metric: &MetricEvidence, detail: &MetricDetail) -> String {
    let of = |name: &str, ln: f64, goal: f64| format!("{name} {} of {}", e_value(ln), e_value(goal));
    let mut parts = vec![of("HARM", metric.harm_ln, detail.harm_goal_ln)];
    parts.extend(detail.safe_ln.zip(detail.safe_goal_ln).map(|(safe, goal)| of("SAFE", safe, goal)));
    parts.extend(detail.abs_goal_ln.map(|goal| of("ABS", metric.abs_ln, goal)));
    let end = match (metric.harmed, metric.passed) {
        (true, _) => "harm",
        (false, true) => "passed",
        (false, false) => "open",
    };
    format!("{}: {end}", parts.join(", "))
}

/// An e-value for people: three digits, then powers of ten.
fn e_value(ln: f64) -> String {
    if ln.abs() < 9.0 { format!("{:.3}", ln.exp()) } else { format!("10^{:.0}", ln / std::f64::consts::LN_10) }
}
