//! `hms demo`: the whole story in a throw-away folder, told by the real programs.
//!
//! Nothing here decides anything about a release: it makes a repository ([`repository`]), sends traffic ([`traffic`]), runs `hms` as
//! a person would ([`program`]), and compares what came out with what was told ([`story`]). All that it writes lies in one folder
//! ([`world`]), which goes when it ends, with every process that was started in it.

mod program;
mod repository;
mod story;
mod traffic;
mod world;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::report::json_text;
use crate::store::now;

use super::arguments::Output;
use super::environment::{is_interactive, operator, program as hms_program};
use super::failure::{Exit, Failure};
use program::{Person, Program};
use world::{Ending, World};

/// The app that the demo's `.hms` names.
const APP: &str = "hms-demo";
/// How long the story may take without a screen.
const HEADLESS_BOUND: Duration = Duration::from_mins(5);
/// How long traffic goes on while a person looks.
const LOOKING_BOUND: Duration = Duration::from_mins(30);

/// What becomes of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It is removed.
    Remove,
    /// It stays, and is named.
    Keep,
}

/// Tells the story and gives the exit code. Without a terminal it is told without a screen.
pub(crate) fn demo(headless: bool, afterwards: Afterwards, output: Output) -> Result<u8, Failure> {
    if output == Output::Json {
        return in_lines_of_json(afterwards);
    }
    if operator()?.state.is_some() {
        let message = "the operator's file says where hms keeps its state, so the demo cannot keep to a folder of its own";
        return Err(Failure::new(Exit::NotCarriedOut, message));
    }
    let person = Person::listen()?;
    let program = hms_program()?;
    for line in World::remove_dead(&program) {
        let _ = writeln!(std::io::stderr(), "hms: {line}");
    }
    let world = World::make(program)?;
    let headless = headless || !is_interactive();
    let told = tell(&world, &person, headless);
    let interrupted = person.signal();
    // On the screen a person may leave whenever they like, whatever goes on.
    let ending = if told.is_ok() && interrupted.is_none() && headless { Ending::Awaited } else { Ending::Forced };
    let cleaned = world.close(ending, afterwards);
    if let Some(signal) = interrupted {
        let line = cleaned?;
        let _ = writeln!(std::io::stderr(), "hms: interrupted; {line}");
        return Ok(u8::try_from(128 + signal).unwrap_or(130));
    }
    let code = told?;
    writeln!(std::io::stdout(), "{}", cleaned?)?;
    if headless && code == 0 {
        writeln!(std::io::stdout(), "✔ the demo came out as it was told")?;
    }
    Ok(code)
}

/// The story without a screen, each of its lines a value of JSON, and how it ended as the last. A program that stops reading ends the
/// story at its next line.
fn in_lines_of_json(afterwards: Afterwards) -> Result<u8, Failure> {
    let keep = (afterwards == Afterwards::Keep).then_some("--keep");
    let mut child = Command::new(hms_program()?).args(["demo", "--headless"]).args(keep).stdout(Stdio::piped()).spawn()?;
    let mut out = std::io::stdout();
    let mut seq: u64 = 0;
    let mut say = |mut value: serde_json::Value| -> Result<(), Failure> {
        seq += 1;
        if let Some(fields) = value.as_object_mut() {
            let time = now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            fields.extend([("format".to_owned(), json!(1)), ("seq".to_owned(), json!(seq)), ("time".to_owned(), json!(time))]);
        }
        let text = json_text(&value).map_err(std::io::Error::from)?;
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    };
    for line in child.stdout.take().into_iter().flat_map(|lines| BufReader::new(lines).lines()) {
        let line = line?;
        if !line.trim().is_empty() {
            say(json!({"type": "Told", "text": line}))?;
        }
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    say(json!({"type": "DemoEnded", "exit_code": code}))?;
    Ok(code)
}

fn tell(world: &World, person: &Person, headless: bool) -> Result<u8, Failure> {
    let bound = if headless { HEADLESS_BOUND } else { LOOKING_BOUND };
    let program = Program::new(world, person, bound);
    if headless { story::headless(world, &program).map(|()| 0) } else { story::on_screen(world, &program) }
}
