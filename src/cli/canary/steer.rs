//! `hms canary pause|resume|skip|extend`: what a person does to a canary under way. Its driver does it; one that parked is woken for it.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::which::Canary;
use crate::cli::arguments::{ExtendArguments, Output, SteerArguments, WhichCanary};
use crate::cli::control::send;
use crate::cli::environment::{Environment, actor};
use crate::cli::failure::{Exit, Failure};
use crate::cli::place::{Refused, outside_run};
use crate::cli::run_new::Clone;
use crate::event::{Command, DeployOutcome};
use crate::report::json_text;
use crate::rollout::{SteerAnswer, SteerAsk, SteerWish, steer};
use crate::run::reader::find;
use crate::text::plain;

/// How long a driver that is woken may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn simple(wish: SteerWish, arguments: &SteerArguments, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    say(wish, &arguments.which, arguments.reason.as_deref(), at, output)
}

pub(super) fn extend(arguments: &ExtendArguments, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let by = crate::cli::duration::parse(&arguments.by)?;
    say(SteerWish::Extend { seconds: by.as_secs() }, &arguments.which, arguments.reason.as_deref(), at, output)
}

fn verb(wish: SteerWish) -> &'static str {
    match wish {
        SteerWish::Pause => "hms canary pause",
        SteerWish::Resume => "hms canary resume",
        SteerWish::Skip => "hms canary skip",
        SteerWish::Extend { .. } => "hms canary extend",
    }
}

fn say(wish: SteerWish, which: &WhichCanary, reason: Option<&str>, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let canary = Canary::find(&environment, which, at)?;
    let created = canary.state().created.as_ref();
    let about = Refused {
        verb: verb(wish),
        app: created.map(|created| &created.app),
        environment: created.map(|created| &created.environment),
        digest: created.map(|created| &created.release.digest),
    };
    outside_run(&environment, &about)?;
    let ask = SteerAsk { actor: actor(verb(wish)), what: wish, reason: reason.map(str::to_owned) };
    let answer = asked(&environment, &canary, &ask, at)?;
    let mut out = std::io::stdout().lock();
    match answer {
        SteerAnswer { refusal: Some(refusal), .. } => Err(refusal.into()),
        SteerAnswer { outcome: DeployOutcome::Done, message, .. } => {
            match output {
                Output::Text => writeln!(out, "{}", plain(&message))?,
                Output::Json => writeln!(
                    out,
                    "{}",
                    json_text(&json!({"format": 1, "accepted": true, "message": message}))
                        .map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?
                )?,
            }
            Ok(0)
        }
        SteerAnswer { message, .. } => Err(Failure::new(Exit::NotCarriedOut, message)),
    }
}

fn asked(environment: &Environment, canary: &Canary, ask: &SteerAsk, at: Option<&Path>) -> Result<SteerAnswer, Failure> {
    let runtime = &environment.places.runtime;
    if let Some(answer) = steer(runtime, &canary.folder, ask)? {
        return Ok(answer);
    }
    let nobody = || Failure::new(Exit::NotCarriedOut, "nobody drives this canary on this host");
    let over = canary.state().ended.is_some() || !canary.state().has_weight();
    let (Some(number), false) = (canary.run_number, over) else {
        return Err(if over { nobody().because("it has no weight, or is over") } else { nobody() });
    };
    // Its engine parked or died: the one that is started takes the watch up, and then hears.
    let clone = Clone::find(at)?;
    let listed = find(&clone.folder, Some(&number.to_string()))?;
    send(environment, &listed.folder, Command::Look {})?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(answer) = steer(runtime, &canary.folder, ask)? {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(nobody().hint(format!("hms status {number} tells how its run stands")))
}
