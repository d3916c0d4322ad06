//! The order of an attempt, as GitLab Runner has it (`common/build.go executeScript`): caches, artifacts of earlier jobs, script,
//! `after_script`, caches, artifacts of this one.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::artifacts::{self, ArtifactError, Collected};
use super::cache::{self, CachePolicy};
use super::counts::sum_of;
use super::coverage::coverage_in;
use super::dotenv::{DOTENV_BYTES, DOTENV_VARIABLES, DotenvError, read_dotenv};
use super::keeper::this_holder;
use super::log::Log;
use super::mask::Secrets;
use super::record::{ArtifactCounts, ExitRecord, log_path};
use super::shell::{Shell, echo_of, script_text, title_of};
use super::signals::Signals;
use super::spec::KeeperSpec;
use super::stage::{Launch, ShellEnd, StageEnd, Stopped, run_stage};
use super::variable_name::is_variable_name;
use crate::event::{AttemptResult, FailureReason, TestCounts, When};

/// A timeout is not longer than this: ten years.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);
/// A command in a sentence is cut here, in characters.
const COMMAND_LENGTH: usize = 60;

/// An attempt being carried out.
pub(super) struct Attempt<'a> {
    spec: &'a KeeperSpec,
    signals: Signals,
    log: Log,
    secrets: &'a Rc<Secrets>,
    shell: Shell,
    environment: Vec<(String, String)>,
    exports: Vec<(String, String)>,
    warnings: Vec<String>,
    artifacts: ArtifactCounts,
    tests: Option<TestCounts>,
    dotenv: Vec<(String, String)>,
    reports: Vec<(String, PathBuf)>,
    /// How many of the cancels that were asked for have had their effect.
    cancels_heeded: usize,
}

/// How the script ended.
struct Outcome {
    result: AttemptResult,
    failure: Option<FailureReason>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    took: Duration,
    message: Option<String>,
}

impl Outcome {
    fn of(result: AttemptResult, failure: Option<FailureReason>, message: String) -> Self {
        Self { result, failure, exit_code: None, signal: None, took: Duration::ZERO, message: Some(message) }
    }

    fn system_failure(message: String) -> Self {
        Self::of(AttemptResult::Failed, Some(FailureReason::RunnerSystemFailure), message)
    }

    fn timed_out(&self) -> bool {
        self.failure == Some(FailureReason::JobExecutionTimeout)
    }
}

impl<'a> Attempt<'a> {
    /// Gets everything ready that needs no shell.
    pub(super) fn new(spec: &'a KeeperSpec, mark_value: String, signals: Signals, log: Log, secrets: &'a Rc<Secrets>) -> Self {
        let path = spec.base_environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path.as_str());
        let mut attempt = Self {
            spec,
            signals,
            log,
            secrets,
            shell: Shell::find(path),
            environment: Vec::new(),
            exports: Vec::new(),
            warnings: Vec::new(),
            artifacts: ArtifactCounts::default(),
            tests: None,
            dotenv: Vec::new(),
            reports: Vec::new(),
            cancels_heeded: 0,
        };
        let mut own = Vec::new();
        if let Some(socket) = &spec.socket {
            own.push(("HMS_ATTEMPT_SOCKET".to_owned(), socket.to_string_lossy().into_owned()));
        }
        if let Some(token) = &spec.token {
            own.push(("HMS_ATTEMPT_TOKEN".to_owned(), token.clone()));
        }
        attempt.environment = attempt.usable(spec.base_environment.iter());
        attempt.exports = attempt.environment.clone();
        let variables = attempt.usable(spec.variables.iter());
        attempt.exports.extend(variables);
        attempt.exports.extend(own.iter().cloned());
        attempt.environment.extend(own);
        attempt.environment.push((spec.attempt.mark(), mark_value));
        attempt
    }

    /// Carries it out, and says how it ended.
    pub(super) fn run(mut self) -> ExitRecord {
        let untracked = self.spec.artifacts.untracked || self.spec.caches.iter().any(|cache| cache.untracked);
        let tracked = if untracked { artifacts::snapshot(&self.spec.checkout).map(Some) } else { Ok(None) };
        let mut outcome = match tracked.and_then(|tracked| self.restore_caches().and_then(|()| self.restore_inputs()).map(|()| tracked)) {
            Ok(tracked) => {
                let outcome = self.script();
                self.after(outcome, tracked.as_ref())
            }
            Err(ArtifactError::Stopped) => Outcome::of(AttemptResult::Canceled, None, "canceled before the script began".to_owned()),
            Err(error) => Outcome::system_failure(format!("the artifacts of earlier jobs cannot be put in place: {error}")),
        };
        self.end_strays();
        let counted = self.log.take_counts();
        self.warnings.extend(self.log.loss());
        let coverage = self.spec.coverage.as_deref().and_then(|pattern| coverage_in(&log_path(&self.spec.attempt_folder), pattern));
        outcome.message = outcome.message.map(|message| self.log.clean(&message));
        if let Some(message) = &outcome.message {
            self.log.say(message);
        }
        ExitRecord {
            format: 1,
            attempt: self.spec.attempt.clone(),
            result: outcome.result,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            failure_reason: outcome.failure,
            duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
            message: outcome.message,
            artifacts: self.artifacts,
            tests: self.tests.or(counted),
            warnings: self.warnings.iter().map(|warning| self.log.clean(warning)).collect(),
            dotenv: self.dotenv,
            reports: self.reports,
            coverage,
        }
    }

    /// Variables that a shell can take; the others are a warning.
    fn usable<'b>(&mut self, variables: impl Iterator<Item = &'b (String, String)>) -> Vec<(String, String)> {
        let mut usable = Vec::new();
        for (name, value) in variables {
            if is_variable_name(name) && !value.contains('\0') {
                usable.push((name.clone(), value.clone()));
            } else {
                self.warn(format!("the variable `{name}` is left out: no shell can export it"));
            }
        }
        usable
    }

    fn warn(&mut self, warning: String) {
        self.log.say(&format!("warning: {warning}"));
        self.warnings.push(warning);
    }

    /// A cache that cannot be put in place is one that is not there.
    fn restore_caches(&mut self) -> Result<(), ArtifactError> {
        let spec = self.spec;
        for wanted in spec.caches.iter().filter(|wanted| wanted.policy != CachePolicy::Push) {
            let signals = &mut self.signals;
            match cache::restore(wanted, &this_holder(), &spec.checkout, &mut || signals.cancels() == 0) {
                Ok(said) => self.log.say(&said),
                Err(ArtifactError::Stopped) => return Err(ArtifactError::Stopped),
                Err(error) => self.warn(format!("cache: `{}` is not in place: {error}", wanted.key)),
            }
        }
        Ok(())
    }

    fn restore_inputs(&mut self) -> Result<(), ArtifactError> {
        let mut count = 0;
        for tree in &self.spec.inputs {
            let signals = &mut self.signals;
            count += artifacts::restore(tree, &self.spec.checkout, &mut || signals.cancels() == 0)?;
        }
        if !self.spec.inputs.is_empty() {
            self.log.say(&format!("{count} files of earlier jobs are in place"));
        }
        if self.signals.cancels() > 0 { Err(ArtifactError::Stopped) } else { Ok(()) }
    }

    fn stage(&mut self, entries: &[String], exports: &[(String, String)], limit_ms: u64) -> std::io::Result<StageEnd> {
        let launch = Launch {
            shell: &self.shell,
            text: &script_text(exports, &self.spec.checkout, entries),
            environment: &self.environment,
            folder: &self.spec.checkout,
            limit: Duration::from_millis(limit_ms).min(LONGEST),
            cancel_grace: Duration::from_millis(self.spec.cancel_grace_ms).min(LONGEST),
            cancels_heeded: self.cancels_heeded,
        };
        self.log.follow(entries.iter().map(|entry| echo_of(entry).unwrap_or_default()));
        let ended = run_stage(&launch, &mut self.signals, &mut self.log)?;
        self.cancels_heeded = ended.cancels_heeded;
        if !ended.left.is_empty() {
            let pids: Vec<String> = ended.left.iter().map(u32::to_string).collect();
            self.warn(format!("these processes could not be ended: {}", pids.join(", ")));
        }
        Ok(ended)
    }

    fn script(&mut self) -> Outcome {
        let spec = self.spec;
        let exports = self.exports.clone();
        let ended = match self.stage(&spec.script, &exports, spec.timeout_ms) {
            Ok(ended) => ended,
            Err(error) => return Outcome::system_failure(format!("the shell {} cannot be started: {error}", self.shell.program.display())),
        };
        let place = self.place();
        let (exit_code, signal) = match ended.end {
            ShellEnd::Exited(code) => (Some(code), None),
            ShellEnd::Signaled(signal) => (None, Some(signal)),
            ShellEnd::Unknown => (None, None),
        };
        let (result, failure, message) = match (ended.stopped, ended.end) {
            (Stopped::TimedOut { running }, _) => {
                // A command that is the line itself is said once.
                let running = running.map(|command| self.shorten(&command)).filter(|command| !place.contains(&format!("`{command}`")));
                let running = running.map(|command| format!(" while `{command}` ran")).unwrap_or_default();
                let message =
                    format!("took longer than {} and was ended{running}{}", seconds(spec.timeout_ms), place.replacen(": ", " in ", 1));
                (AttemptResult::Failed, Some(FailureReason::JobExecutionTimeout), Some(message))
            }
            (Stopped::Canceled, _) => (AttemptResult::Canceled, None, Some(format!("canceled{}", place.replacen(": ", " in ", 1)))),
            (Stopped::No, ShellEnd::Exited(0)) if self.log.entry().is_none() => {
                let message = "the shell ended before the script began: something that it reads first ended it".to_owned();
                (AttemptResult::Failed, Some(FailureReason::ScriptFailure), Some(message))
            }
            (Stopped::No, ShellEnd::Exited(0)) => (AttemptResult::Success, None, None),
            (Stopped::No, ShellEnd::Exited(code)) => {
                (AttemptResult::Failed, Some(FailureReason::ScriptFailure), Some(format!("failed with exit code {code}{place}")))
            }
            (Stopped::No, ShellEnd::Signaled(signal)) => {
                let message = format!("killed by signal {signal} (exit code {}){place}", 128 + signal);
                (AttemptResult::Failed, Some(FailureReason::ScriptFailure), Some(message))
            }
            (Stopped::No, ShellEnd::Unknown) => {
                (AttemptResult::Failed, Some(FailureReason::RunnerSystemFailure), Some("nobody knows how the shell ended".to_owned()))
            }
        };
        Outcome { result, failure, exit_code, signal, took: ended.took, message }
    }

    /// Which entry of the script ran last, as the end of a sentence; empty when none was seen to begin.
    fn place(&self) -> String {
        let entries = &self.spec.script;
        let Some(number) = self.log.entry() else { return String::new() };
        let title = number.checked_sub(1).and_then(|index| entries.get(index)).and_then(|entry| title_of(entry)).unwrap_or_default();
        format!(": line {number} of {}, `{}`", entries.len(), self.shorten(&title))
    }

    /// Masked before it is cut: half a secret is not found any more.
    fn shorten(&self, command: &str) -> String {
        let masked = self.secrets.mask(command);
        let mut short: String = masked.chars().take(COMMAND_LENGTH).collect();
        if short.len() < masked.len() {
            short.push('…');
        }
        short
    }

    /// What comes after the script: `after_script`, reports, artifacts. Nothing of it after a timeout or a second cancel.
    fn after(&mut self, mut outcome: Outcome, tracked: Option<&HashSet<PathBuf>>) -> Outcome {
        if outcome.timed_out() || self.signals.cancels() > 1 {
            return outcome;
        }
        let heeded = self.cancels_heeded;
        if self.signals.cancels() == heeded {
            self.after_script(outcome.result);
        }
        if self.signals.cancels() == heeded {
            self.keep_caches(outcome.result, tracked);
        }
        if self.signals.cancels() == heeded
            && let Err(error) = self.keep_artifacts(outcome.result, tracked)
        {
            let message = format!("the artifacts cannot be kept: {error}");
            if outcome.result == AttemptResult::Success {
                let failed = Outcome::system_failure(message);
                outcome = Outcome { exit_code: outcome.exit_code, took: outcome.took, ..failed };
            } else {
                self.warn(message);
            }
        }
        if self.signals.cancels() == heeded
            && let Err(why) = self.keep_dotenv()
        {
            if outcome.result == AttemptResult::Success {
                outcome = Outcome { took: outcome.took, ..Outcome::of(AttemptResult::Failed, Some(FailureReason::ScriptFailure), why) };
            } else {
                self.warn(why);
            }
        }
        let canceled = self.signals.cancels() > heeded;
        if canceled && (outcome.result == AttemptResult::Success || outcome.failure == Some(FailureReason::RunnerSystemFailure)) {
            outcome.result = AttemptResult::Canceled;
            outcome.failure = None;
            outcome.message = Some("canceled after the script had ended".to_owned());
        }
        outcome
    }

    fn after_script(&mut self, result: AttemptResult) {
        let spec = self.spec;
        if spec.after_script.is_empty() {
            return;
        }
        let status = match result {
            AttemptResult::Success => "success",
            AttemptResult::Failed | AttemptResult::Interrupted => "failed",
            AttemptResult::Canceled => "canceled",
        };
        let mut exports = self.exports.clone();
        exports.push(("CI_JOB_STATUS".to_owned(), status.to_owned()));
        self.log.say("after_script");
        let ended = self.stage(&spec.after_script, &exports, spec.after_script_timeout_ms);
        let trouble = match ended {
            Err(error) => format!("cannot be started: {error}"),
            Ok(StageEnd { stopped: Stopped::TimedOut { .. }, .. }) => format!("took longer than {}", seconds(spec.after_script_timeout_ms)),
            Ok(StageEnd { stopped: Stopped::Canceled, .. }) => "was canceled".to_owned(),
            Ok(StageEnd { end: ShellEnd::Exited(0), .. }) => return,
            Ok(StageEnd { end: ShellEnd::Exited(code), .. }) => format!("failed with exit code {code}"),
            Ok(StageEnd { end: ShellEnd::Signaled(signal), .. }) => format!("was killed by signal {signal}"),
            Ok(StageEnd { end: ShellEnd::Unknown, .. }) => "ended nobody knows how".to_owned(),
        };
        self.warn(format!("after_script {trouble}; the job's result stays"));
    }

    fn keep_caches(&mut self, result: AttemptResult, tracked: Option<&HashSet<PathBuf>>) {
        let (spec, heeded) = (self.spec, self.cancels_heeded);
        for wanted in spec.caches.iter().filter(|wanted| wanted.policy != CachePolicy::Pull && is_wanted(wanted.when, result)) {
            let signals = &mut self.signals;
            let go_on = &mut || signals.cancels() == heeded;
            match cache::keep(wanted, (&spec.attempt, &this_holder()), &spec.checkout, tracked, self.secrets, go_on) {
                Ok((said, warnings)) => {
                    self.log.say(&said);
                    for warning in &warnings {
                        self.log.say(&format!("warning: {warning}"));
                    }
                }
                Err(error) => self.warn(format!("cache: `{}` is not kept: {error}", wanted.key)),
            }
        }
    }

    fn keep_artifacts(&mut self, result: AttemptResult, tracked: Option<&HashSet<PathBuf>>) -> Result<(), ArtifactError> {
        let spec = self.spec;
        let wanted = is_wanted(spec.artifacts.when, result);
        let tracked = tracked.filter(|_| spec.artifacts.untracked);
        let heeded = self.cancels_heeded;
        if wanted && (!spec.artifacts.paths.is_empty() || tracked.is_some()) {
            let manifest = spec.attempt_folder.join("artifacts.json");
            let signals = &mut self.signals;
            let go_on = &mut || signals.cancels() == heeded;
            let kept =
                artifacts::collect(&spec.artifacts, &spec.checkout, tracked, &spec.artifacts_folder, &manifest, self.secrets, go_on)?;
            let counts = kept.counts;
            self.log.say(&format!("artifacts: {} files, {} links, {} bytes kept", counts.files, counts.links, counts.bytes));
            self.take(kept);
        }
        if !spec.artifacts.reports_junit.is_empty() {
            let signals = &mut self.signals;
            let go_on = &mut || signals.cancels() == heeded;
            let folder = spec.attempt_folder.join("junit");
            let kept = artifacts::copy_reports(&spec.artifacts.reports_junit, &spec.checkout, &folder, self.secrets, go_on)?;
            self.take(kept);
        }
        for (kind, patterns) in &spec.artifacts.reports_kept {
            let signals = &mut self.signals;
            let go_on = &mut || signals.cancels() == heeded;
            let below = Path::new("reports").join(kind);
            let folder = spec.attempt_folder.join(&below);
            let (names, kept) = artifacts::keep_reports(patterns, &spec.checkout, &folder, self.secrets, go_on)?;
            self.reports.extend(names.into_iter().map(|name| (kind.clone(), below.join(name))));
            self.take(kept);
        }
        Ok(())
    }

    /// Takes the variables of dotenv reports for later jobs; one that GitLab would not take fails the job, as there.
    fn keep_dotenv(&mut self) -> Result<(), String> {
        let (spec, heeded, signals) = (self.spec, self.cancels_heeded, &mut self.signals);
        if spec.artifacts.reports_dotenv.is_empty() {
            return Ok(());
        }
        let go_on = &mut || signals.cancels() == heeded;
        let read = artifacts::read_reports(&spec.artifacts.reports_dotenv, &spec.checkout, DOTENV_BYTES, go_on);
        let (reports, kept) = match read {
            Ok(read) => read,
            Err(ArtifactError::Stopped) => return Ok(()),
            Err(error) => return Err(format!("its dotenv report cannot be read: {error}")),
        };
        self.take(kept);
        let bytes: usize = reports.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut all = BTreeMap::new();
        for (path, bytes) in &reports {
            let variables = read_dotenv(bytes).map_err(|error| format!("its dotenv report {} is not taken: {error}", path.display()))?;
            all.extend(variables);
        }
        if bytes >= DOTENV_BYTES || all.len() > DOTENV_VARIABLES {
            let error = if bytes >= DOTENV_BYTES { DotenvError::TooLarge } else { DotenvError::TooMany };
            return Err(format!("its dotenv reports, taken together, are not taken: {error}"));
        }
        for (name, value) in all {
            let masked = self.secrets.mask(&value);
            if masked != value {
                self.warn(format!("the value of {name} has a masked value in it, and is handed on without"));
            }
            self.dotenv.push((name, masked));
        }
        self.log.say(&format!("dotenv: {} variables for later jobs", self.dotenv.len()));
        Ok(())
    }

    fn take(&mut self, kept: Collected) {
        self.artifacts.files += kept.counts.files;
        self.artifacts.links += kept.counts.links;
        self.artifacts.bytes += kept.counts.bytes;
        self.artifacts.refused += kept.counts.refused;
        self.artifacts.reports += kept.counts.reports;
        self.tests = sum_of(self.tests, kept.tests);
        for warning in kept.warnings {
            self.warn(warning);
        }
    }

    /// What bears the mark and does not descend from here was started by somebody else in the job's name; it ends too.
    fn end_strays(&mut self) {
        for name in super::sweep::sweep(&self.spec.attempt, &[]) {
            self.warn(format!("this process of the job could not be ended: {}", name.pid));
        }
    }
}

/// Whether what is kept after `when` is kept after that result.
fn is_wanted(when: When, result: AttemptResult) -> bool {
    match when {
        When::Always => true,
        When::OnSuccess => result == AttemptResult::Success,
        When::OnFailure => result != AttemptResult::Success,
        When::Never | When::Manual | When::Delayed => false,
    }
}

fn seconds(milliseconds: u64) -> String {
    let time = Duration::from_millis(milliseconds);
    if time.subsec_millis() == 0 { format!("{} s", time.as_secs()) } else { format!("{milliseconds} ms") }
}
