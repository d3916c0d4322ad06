//! The client inside a run: it sends the job's wish to the engine and prints what comes back. It holds no credentials and decides
//! nothing; its death changes nothing in the rollout (`docs/decisions.md` 4.2).

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::arguments::{Output, RollbackArguments};
use crate::cli::environment::variable;
use crate::cli::failure::{Exit, Failure};
use crate::event::DeployOutcome;
use crate::report::json_text;
use crate::run::control::{DeployWish, JobRequest, Reply, Wish, wish};
use crate::store::SocketError;
use crate::text::plain;

use super::arguments::DeployArguments;

/// How long the engine may take to take a wish.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait between two looks for an engine that is gone.
const PAUSE: Duration = Duration::from_millis(250);

/// The attempt that this process is part of.
pub(crate) struct Attempt {
    socket: PathBuf,
    token: String,
}

impl Attempt {
    /// What the job's environment names.
    pub(crate) fn find() -> Option<Self> {
        Some(Self { socket: variable("HMS_ATTEMPT_SOCKET")?.into(), token: variable("HMS_ATTEMPT_TOKEN")? })
    }

    /// Has the engine deploy, and waits for its word: at a canary until the verdict.
    pub(super) fn deploy(&self, arguments: &DeployArguments, output: Output) -> Result<u8, Failure> {
        if arguments.dry_run {
            return Err(Failure::new(Exit::Usage, "inside a run a deploy is a deploy").hint("hms-deploy --dry-run in a shell"));
        }
        let slot_timeout = arguments.slot_timeout.as_deref().map(crate::cli::duration::parse).transpose()?;
        let wish = Wish::Deploy(DeployWish {
            environment: arguments.env.as_ref().map(ToString::to_string).unwrap_or_default(),
            traffic: arguments.traffic,
            tag: arguments.tag.clone(),
            slot_timeout_seconds: slot_timeout.map(|timeout| timeout.as_secs()),
            supersede: arguments.supersede,
            allow_outdated: arguments.reason.clone().filter(|_| arguments.allow_outdated),
        });
        self.carry(wish, output)
    }

    /// Asks, so that the refusal is recorded.
    pub(super) fn rollback(&self, arguments: &RollbackArguments, output: Output) -> Result<u8, Failure> {
        self.carry(Wish::Rollback { environment: arguments.env.to_string() }, output)
    }

    /// Sends a wish until an engine has answered it. An engine that is gone is waited for: the job's own timeout ends that.
    fn carry(&self, wish_: Wish, output: Output) -> Result<u8, Failure> {
        let request = JobRequest { token: self.token.clone(), wish: wish_ };
        let (mut out, mut notices) = (std::io::stdout(), std::io::stderr());
        let mut lost: Option<Instant> = None;
        loop {
            match self.once(&request, output, &mut out) {
                Ok(Some(code)) => return Ok(code),
                Err(Lost::Failure(failure)) => return Err(failure),
                Ok(None) | Err(Lost::Engine) => {
                    if lost.is_none() {
                        writeln!(notices, "hms-deploy: the run's engine is gone; waiting for the next one")?;
                    }
                    lost.get_or_insert_with(Instant::now);
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn once(&self, request: &JobRequest, output: Output, out: &mut dyn Write) -> Result<Option<u8>, Lost> {
        let mut answer = wish(&self.socket, request, PATIENCE)?;
        while let Some(reply) = answer.next::<Reply>(None)? {
            match reply {
                Reply::Line { text } | Reply::Accepted { message: text } => match output {
                    Output::Text => print(out, &text)?,
                    Output::Json => print_json(out, &json!({"format": 1, "line": text}))?,
                },
                Reply::Done { outcome, lines } => {
                    let exit = code(outcome);
                    match output {
                        Output::Text => lines.iter().try_for_each(|line| print(out, line))?,
                        Output::Json => {
                            print_json(out, &json!({"format": 1, "outcome": outcome, "exit_code": exit, "lines": lines}))?;
                        }
                    }
                    return Ok(Some(exit));
                }
                Reply::Refused { refusal } => return Err(Lost::Failure(refusal.into())),
                Reply::Failed { message } => return Err(Lost::Failure(Failure::new(Exit::NotCarriedOut, message))),
                Reply::Taken { .. } => {}
            }
        }
        Ok(None)
    }

    /// Hands in a scan's report; what policy says of advisories comes back.
    pub(crate) fn hand_in(&self, report: serde_json::Value, summary: crate::event::ScanSummary) -> Result<String, String> {
        let request = JobRequest { token: self.token.clone(), wish: Wish::Scan { report, summary } };
        let mut answer = wish(&self.socket, &request, PATIENCE).map_err(|error| error.to_string())?;
        match answer.next::<Reply>(Some(PATIENCE)).map_err(|error| error.to_string())? {
            Some(Reply::Taken { advisories }) => Ok(advisories),
            Some(Reply::Failed { message }) => Err(message),
            Some(Reply::Refused { refusal }) => Err(refusal.message),
            Some(Reply::Accepted { .. } | Reply::Line { .. } | Reply::Done { .. }) | None => {
                Err("the run's engine gave no answer".to_owned())
            }
        }
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), Lost> {
    writeln!(out, "{}", plain(text)).and_then(|()| out.flush()).map_err(|error| Lost::Failure(error.into()))
}

fn print_json(out: &mut dyn Write, value: &serde_json::Value) -> Result<(), Lost> {
    let text = json_text(value).map_err(|error| Lost::Failure(Failure::of(Exit::NotCarriedOut, &error)))?;
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Lost::Failure(error.into()))
}

/// The exit code for what the driver recorded; the job's own script passes it on.
pub(super) fn code(outcome: DeployOutcome) -> u8 {
    match outcome {
        DeployOutcome::Done | DeployOutcome::Overridden => 0,
        DeployOutcome::Failed => 1,
        DeployOutcome::Held => 11,
        DeployOutcome::RolledBack | DeployOutcome::TakenBack => 12,
        DeployOutcome::Refused => 13,
    }
}

/// Why no answer came.
enum Lost {
    /// The engine is gone; the next one takes the wish up.
    Engine,
    /// It will not be better the next time.
    Failure(Failure),
}

impl From<SocketError> for Lost {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Nobody { .. } | SocketError::Broken { .. } | SocketError::Silent { .. } => Self::Engine,
            SocketError::TooLong { .. } | SocketError::Version { .. } | SocketError::Malformed { .. } => Self::Failure(error.into()),
        }
    }
}
