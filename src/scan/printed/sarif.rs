//! A report as SARIF 2.1.0 (OASIS standard), with what code hosts read beside it: `partialFingerprints` to know a result again,
//! and `security-severity` on the rule, a number from 0 to 10.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scan::detector;
use crate::scan::escape;
use crate::scan::report::{Advisories, Finding, Outcome, Report};
use crate::scan::severity::Severity;
use crate::text::uri_of;

/// The report as a SARIF log with one run, ending in a newline.
pub(crate) fn sarif(report: &Report, advisories: Advisories) -> serde_json::Result<String> {
    let rules: BTreeMap<&str, Value> = detector::all().map(|rule| (rule.id, descriptor(rule.id, rule.title, rule.severity))).collect();
    let results: Vec<Value> = report.findings.iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": report.tool, "semanticVersion": report.version, "rules": rules.into_values().collect::<Vec<_>>()}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.outcome(advisories) != Outcome::NotCarriedOut,
                "toolExecutionNotifications": notifications(report, advisories),
            }],
            "results": results,
        }],
    });
    let mut text = escape::for_json(&serde_json::to_string_pretty(&log)?);
    text.push('\n');
    Ok(text)
}

fn descriptor(id: &str, title: &str, severity: Severity) -> Value {
    let mut properties = json!({"tags": ["security", "secret"]});
    if let (Some(score), Some(properties)) = (score(severity), properties.as_object_mut()) {
        properties.insert("security-severity".to_owned(), json!(score));
    }
    json!({
        "id": id,
        "shortDescription": {"text": title},
        "defaultConfiguration": {"level": level(severity)},
        "properties": properties,
    })
}

fn result(finding: &Finding) -> Value {
    json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": {"text": format!("{}: {}", finding.title, finding.masked)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri_of(&finding.path)},
            "region": {"startLine": finding.line, "startColumn": finding.column},
        }}],
        "partialFingerprints": {"hmsSecret/v1": finding.fingerprint},
    })
}

fn notifications(report: &Report, advisories: Advisories) -> Vec<Value> {
    let broken = report.failures.iter().chain(&report.limits);
    let mut notes: Vec<Value> = broken.map(|failure| note("error", &format!("{}: {}", failure.path, failure.why))).collect();
    notes.extend(report.skipped.iter().map(|skipped| note("note", &format!("skipped {}: {}", skipped.path, skipped.reason))));
    if report.is_empty() {
        notes.push(note("error", "nothing was scanned"));
    }
    if report.has_unchecked_packages() {
        let level = match advisories {
            Advisories::Required => "error",
            Advisories::Optional => "warning",
        };
        notes.push(note(level, &format!("packages were not looked up in advisories ({} or more)", report.packages)));
    }
    notes
}

fn note(level: &str, text: &str) -> Value {
    json!({"level": level, "message": {"text": text}})
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low => "note",
    }
}

/// The middle of the band that hosts sort a severity into: above 9 critical, from 7 high, from 4 medium.
fn score(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Unknown => None,
    }
}
