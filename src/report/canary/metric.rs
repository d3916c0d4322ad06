//! A metric's evidence, as JSON and in lines: counts, rates and ratio with their intervals, e-values with what they need.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::event::{Estimate, MetricDetail, MetricEvidence, Verdict};
use crate::text::{count, plain, share};

/// Every metric of a verdict by its name in the sample file.
#[must_use]
pub fn metrics_json(verdict: &Verdict) -> Map<String, Value> {
    verdict.metrics.iter().map(|metric| (metric_key(&metric.name).to_owned(), metric_json(metric))).collect()
}

/// The sample file's word for a metric.
#[must_use]
pub fn metric_key(name: &str) -> &str {
    if name == "latency" { "slow" } else { name }
}

fn metric_json(metric: &MetricEvidence) -> Value {
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

/// A metric in lines, two columns in.
#[must_use]
pub fn metric_text(metric: &MetricEvidence) -> String {
    let detail = metric.detail.as_deref().cloned().unwrap_or_default();
    let slower = metric.threshold_seconds.map(|seconds| format!(", slower than {}", crate::text::seconds_latency(seconds)));
    let mut text = format!("  {}, limit {}{}\n", plain(metric_key(&metric.name)), share(metric.slo), slower.unwrap_or_default());
    let arm = |name: &str, bad: u64, all: u64, rate: Option<Estimate>| {
        let rate = rate.map_or_else(String::new, |rate| format!("  {}", rate_text(rate)));
        format!("    {name:<8}{} of {}{rate}\n", count(bad), count(all))
    };
    text.push_str(&arm("canary", metric.canary_bad, detail.canary_all, detail.canary_rate));
    if detail.stable_all > 0 {
        text.push_str(&arm("stable", metric.stable_bad, detail.stable_all, detail.stable_rate));
    }
    if let Some(ratio) = detail.ratio {
        let _ = writeln!(text, "    ratio   {}", ratio_text(ratio));
    }
    let _ = writeln!(text, "    e-value {}", evidence_text(metric, &detail));
    text
}

fn rate_text(rate: Estimate) -> String {
    let high = rate.high.map_or_else(|| "100 %".to_owned(), share);
    format!("{}  (95 %: {} to {high})", rate.value.map_or_else(String::new, share), share(rate.low))
}

fn ratio_text(ratio: Estimate) -> String {
    let value = ratio.value.map_or_else(|| "no guess".to_owned(), |value| format!("{value:.2}"));
    let high = ratio.high.map_or_else(|| "∞".to_owned(), |high| format!("{high:.2}"));
    format!("{value}  (95 %: {:.2} to {high})", ratio.low)
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
#[must_use]
pub fn e_value(ln: f64) -> String {
    let value = ln.exp();
    match value {
        _ if !(-9.0..9.0).contains(&ln) => format!("10^{:.0}", ln / std::f64::consts::LN_10),
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
