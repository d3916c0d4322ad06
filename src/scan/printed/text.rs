//! A report as lines for people: findings, notices and the one line that sums it up.

use std::fmt::Write as _;

use crate::scan::escape::for_terminal;
use crate::scan::report::{Advisories, Outcome, Report};
use crate::scan::severity::Severity;

/// A line for each finding and each lockfile: the result.
pub(crate) fn findings(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let path = for_terminal(&finding.path);
        let severity = finding.severity.word();
        let _ = writeln!(
            text,
            "{path}:{}:{}: {severity} {}: {} [{}]",
            finding.line, finding.column, finding.title, finding.masked, finding.rule
        );
    }
    for lockfile in &report.lockfiles {
        let path = for_terminal(&lockfile.path);
        let _ = match lockfile.packages {
            Some(0) => writeln!(text, "{path}: no packages"),
            Some(packages) => writeln!(text, "{path}: {} NOT CHECKED", counted(packages, "package", "packages")),
            None => writeln!(text, "{path}: packages NOT CHECKED: their number is not known"),
        };
    }
    text
}

/// A line for each thing passed over, not read, or cut short, and for what to do about packages.
pub(crate) fn notices(report: &Report, advisories: Advisories) -> String {
    let mut text = String::new();
    for skipped in &report.skipped {
        let _ = writeln!(text, "skipped {}: {}", for_terminal(&skipped.path), for_terminal(&skipped.reason));
    }
    for failure in &report.failures {
        let _ = writeln!(text, "error: {}: {}", for_terminal(&failure.path), for_terminal(&failure.why));
    }
    for limit in &report.limits {
        let _ = writeln!(text, "error: {}: {}", for_terminal(&limit.path), for_terminal(&limit.why));
    }
    if report.is_empty() {
        text.push_str("error: nothing was scanned: no file in the given paths could be read, or all are empty\n");
        text.push_str("hint: name a folder that holds files, for instance the job's artifacts\n");
    }
    if report.has_unchecked_packages() {
        text.push_str(match advisories {
            Advisories::Required => {
                "error: packages were not looked up in advisories, and that is required\n\
                 hint: this version cannot look them up; --advisories optional (and policy `scan.advisories: optional`) lets them pass, said\n"
            }
            Advisories::Optional => "warning: packages were not looked up in advisories; that is optional here\n",
        });
    }
    text
}

/// The one line: `✔ 0 critical 0 high 2 medium · 0 secrets · 41 files · 214 packages NOT CHECKED`.
/// Low and unknown are shown when there are any.
pub(crate) fn summary(report: &Report, outcome: Outcome) -> String {
    let mark = match outcome {
        Outcome::Clean => '✔',
        Outcome::Found | Outcome::NotCarriedOut => '✘',
    };
    let mut line = String::from(mark);
    for severity in Severity::ALL {
        let count = report.count(severity);
        let always = matches!(severity, Severity::Critical | Severity::High | Severity::Medium);
        if always || count > 0 {
            let _ = write!(line, " {count} {}", severity.word());
        }
    }
    let secrets = counted(crate::scan::report::count(report.findings.len()), "secret", "secrets");
    let _ = write!(line, " · {secrets} · {} · {}", counted(report.files, "file", "files"), packages(report));
    let failed = report.failures.len() + report.limits.len();
    if report.is_empty() {
        line.push_str(" · NOTHING SCANNED");
    } else if failed > 0 {
        let _ = write!(line, " · {failed} NOT READ");
    }
    line.push('\n');
    line
}

fn packages(report: &Report) -> String {
    let unread = report.lockfiles.iter().filter(|lockfile| lockfile.packages.is_none()).count();
    match (report.packages, unread, report.lockfiles.as_slice()) {
        (0, 0, []) => "no lockfile found".to_owned(),
        (0, 0, [only]) => format!("no dependencies to check ({} has none)", for_terminal(&only.path)),
        (0, 0, all) => format!("no dependencies to check ({} lockfiles have none)", all.len()),
        (0, _, _) => "packages NOT CHECKED".to_owned(),
        (packages, 0, _) => format!("{} NOT CHECKED", counted(packages, "package", "packages")),
        (packages, _, _) => format!("at least {} NOT CHECKED", counted(packages, "package", "packages")),
    }
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
