//! All of `hms-scan` between its arguments and its exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser as _;

use super::arguments::{Arguments, Output};
use super::escape::for_terminal;
use super::examine::{Request, examine};
use super::printed;
use super::report::{Advisories, Outcome, Report};
use super::sink::{ReportSink, Terms};

const USAGE: u8 = 2;
const NOT_CARRIED_OUT: u8 = 3;

/// Runs `hms-scan` with these arguments (the first is the program's name). Results go to `stdout`, notices to `stderr`; the
/// report is handed to `sink` before the outcome is said. Returns the process's exit code: 0 clean, 1 findings at or above
/// the level, 2 usage, 3 not carried out.
pub fn main_scan(
    arguments: impl Iterator<Item = OsString>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
    sink: &mut dyn ReportSink,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return no_scan(&error, stdout, stderr),
    };
    let checkout = match checkout(arguments.checkout, sink.checkout()) {
        Ok(checkout) => checkout,
        Err(why) => {
            let _ = writeln!(stderr, "error: {}", for_terminal(&why));
            return USAGE;
        }
    };
    let request = Request { paths: arguments.paths, checkout, fail_on: arguments.fail_on };
    let report = match examine(&request) {
        Ok(report) => report,
        Err(error) => return not_carried_out(&error, stderr),
    };
    let handed_in = sink.hand_in(&report);
    let advisories = in_force(arguments.advisories, handed_in.as_ref().ok().copied().flatten());
    let outcome = match (report.outcome(advisories), &handed_in) {
        (Outcome::Clean, Err(_)) => Outcome::NotCarriedOut,
        (outcome, _) => outcome,
    };
    match print(&report, arguments.output, advisories, outcome, &handed_in, stdout, stderr) {
        // What nobody could read is no clean scan.
        Err(_) if outcome == Outcome::Clean => NOT_CARRIED_OUT,
        Ok(()) | Err(_) => outcome.exit_code(),
    }
}

/// The folder that names are relative to: the run's, else what was asked, else the working folder.
fn checkout(asked: Option<PathBuf>, of_run: Option<PathBuf>) -> Result<PathBuf, String> {
    match (asked, of_run) {
        (Some(asked), Some(of_run)) if asked.canonicalize().ok() != of_run.canonicalize().ok() => {
            Err(format!("--checkout {}: inside a run it is the run's checkout, {}", asked.display(), of_run.display()))
        }
        (_, Some(of_run)) => Ok(of_run),
        (asked, None) => Ok(asked.unwrap_or_else(|| PathBuf::from("."))),
    }
}

/// The stricter of what the command line asks and what policy has: a script does not weaken policy.
fn in_force(asked: Option<Advisories>, terms: Option<Terms>) -> Advisories {
    match (asked, terms.map(|terms| terms.advisories)) {
        (Some(Advisories::Required), _) | (_, Some(Advisories::Required)) | (None, None) => Advisories::Required,
        (Some(Advisories::Optional) | None, Some(Advisories::Optional)) | (Some(Advisories::Optional), None) => Advisories::Optional,
    }
}

fn print(
    report: &Report,
    output: Output,
    advisories: Advisories,
    outcome: Outcome,
    handed_in: &Result<Option<Terms>, String>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<()> {
    let summary = printed::summary(report, outcome);
    let (result, summary_notice) = match output {
        Output::Text => (printed::findings(report) + &summary, None),
        Output::Json => (printed::json(report)?, Some(summary)),
        Output::Sarif => (printed::sarif(report, advisories)?, Some(summary)),
    };
    // Notices first: in a job's log the summary is then the last line.
    stderr.write_all(printed::notices(report, advisories).as_bytes())?;
    if let Err(why) = handed_in {
        writeln!(stderr, "error: the report could not be handed to the run: {}", for_terminal(why))?;
    }
    if let Some(summary) = summary_notice {
        stderr.write_all(summary.as_bytes())?;
    }
    stderr.flush()?;
    stdout.write_all(result.as_bytes())?;
    stdout.flush()
}

/// Help and version are results; anything else is a wrong command line, whose words come from outside.
fn no_scan(error: &clap::Error, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8 {
    let rendered = error.render().to_string();
    let lines: String = rendered.lines().map(|line| for_terminal(line) + "\n").collect();
    if error.use_stderr() {
        let _ = stderr.write_all(lines.as_bytes());
        return USAGE;
    }
    match stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => 0,
        Err(_) => NOT_CARRIED_OUT,
    }
}

fn not_carried_out(error: &dyn std::error::Error, stderr: &mut dyn Write) -> u8 {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let _ = writeln!(stderr, "{}", for_terminal(&text));
    NOT_CARRIED_OUT
}
