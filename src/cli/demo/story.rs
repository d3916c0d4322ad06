//! What the demo tells. Every step is done by the real program, and compared with what was to come: nothing is taken for granted.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::deploy::Target;
use crate::event::{EnvironmentName, EnvironmentRecord};
use crate::ledger::{LedgerPlaces, entries, unresolved};
use crate::text::{count, duration};

use super::super::failure::{Exit, Failure};
use super::APP;
use super::program::Program;
use super::repository::{BAD, FIRST, GOOD, Version, commit, commit_aside, make};
use super::traffic::{RATE, Traffic};
use super::world::World;

/// How far a share of 1 % may be from 1 % when it is measured, as a fraction: what was begun with another weight is still answered.
const SHARE_MARGIN: f64 = 0.001;
/// The least requests that PASS can rest on at an error SLO of 1 %: ⌈ln 20 / −ln 0.99⌉.
const LEAST_REQUESTS: u64 = 299;

/// The whole story without a screen.
pub(super) fn headless(world: &World, program: &Program<'_>) -> Result<(), Failure> {
    let started = Instant::now();
    let traffic = introduce(world, program)?;
    let (first, good) = first_two(world, program)?;
    pass(world, program)?;
    program.run(&["approve", "2", "prod", "--wait"], 0)?;
    expect_current(world, &good)?;
    say(&format!("prod has {}, and keeps {} beside it to go back to", short(&good), short(&first)))?;

    chapter(3, "A bad release: its tests pass, its canary does not", BAD)?;
    commit(&world.repository, BAD)?;
    program.run(&["run", "--headless"], 12)?;
    let status = program.json(&["status", "3", "--output", "json"])?;
    expect(&status, "/outcome", "rolled_back")?;
    expect(&status, "/rollouts/0/verdict", "ROLLBACK")?;
    let record = expect_current(world, &good)?;
    expect_no_canary(world)?;
    let healthy = record.healthy.first().and_then(|release| release.revision.as_ref()).map(ToString::to_string);
    if healthy.as_deref() != Some(&good) {
        return Err(not_as_told(format!("the last healthy release is {}", healthy.unwrap_or_else(|| "none".to_owned()))));
    }
    say(&format!("found by the numbers and taken back; prod was not touched: it still has {}", short(&good)))?;

    heading("4. What the ledger says")?;
    let sent = traffic.end();
    check_ledger(world, program, &record)?;
    if let Some(sent) = sent {
        say(&format!("in all, at the last count: {} synthetic requests, {} of them failed", count(sent.sent), count(sent.failed)))?;
    }
    program.run(&["local", "stop", "--app", APP], 0)?;
    say(&format!("told in {}", duration(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))))
}

/// The same world with a canary under way, and a screen to look at it.
pub(super) fn on_screen(world: &World, program: &Program<'_>) -> Result<u8, Failure> {
    let traffic = introduce(world, program)?;
    chapter(1, "A first release: what is in production when the screen opens", FIRST)?;
    let first = release_first(world, program)?;
    say(&format!("prod has {}", short(&first)))?;
    chapter(2, "A good release: its canary is yours to look at", GOOD)?;
    commit(&world.repository, GOOD)?;
    commit_aside(&world.repository, "slow", BAD)?;
    program.run(&["run", "--detach"], 0)?;
    say("P promotes it when it has its PASS, R takes it back, q leaves and ends the demo")?;
    say(&format!("a bad release waits on the branch `slow`, from another terminal: . {}/environment.sh", world.folder.display()))?;
    say(&format!("  cd {} && hms run --headless --ref slow", world.repository.display()))?;
    let code = program.hand_over(&["--in-demo"])?;
    drop(traffic);
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn introduce(world: &World, program: &Program<'_>) -> Result<Traffic, Failure> {
    heading(&format!("hms demo: a throw-away repository and all that belongs to it, in {}", world.folder.display()))?;
    say("shortened in its .hms, and nothing else: bake 3s instead of 10m, a sample every 500ms instead of every 5s")?;
    let bound = program.left();
    let minutes = bound.as_secs().div_ceil(60);
    say(&format!("its users are synthetic: {} requests a second, on loopback, for {minutes} minutes at most", count(u64::from(RATE))))?;
    make(&world.repository)?;
    Traffic::start(world, bound)
}

/// The first release in production and the second as a canary; their revisions.
fn first_two(world: &World, program: &Program<'_>) -> Result<(String, String), Failure> {
    chapter(1, "A first release: nothing to compare it with, so it takes all traffic and is judged by the error SLO alone", FIRST)?;
    let first = release_first(world, program)?;
    say(&format!("prod has {}", short(&first)))?;
    chapter(2, "A good release: 1 % of the traffic, until the numbers are enough", GOOD)?;
    let good = commit(&world.repository, GOOD)?;
    program.run(&["run", "--headless"], 10)?;
    expect_current(world, &first)?;
    Ok((first, good))
}

fn release_first(world: &World, program: &Program<'_>) -> Result<String, Failure> {
    let first = commit(&world.repository, FIRST)?;
    program.run(&["run", "--headless"], 10)?;
    program.run(&["approve", "1", "prod", "--wait"], 0)?;
    expect_current(world, &first)?;
    Ok(first)
}

/// The second run's canary: PASS, at 1 % in force and 1 % measured.
fn pass(world: &World, program: &Program<'_>) -> Result<(), Failure> {
    let status = program.json(&["status", "2", "--output", "json"])?;
    expect(&status, "/outcome", "waiting")?;
    expect(&status, "/rollouts/0/verdict", "PASS")?;
    let local = ask(world.target().status())?;
    let found = local.environments.iter().find(|found| found.environment.as_str() == "prod");
    let (canary, stable) = found.map(|found| found.served).unwrap_or_default();
    let all = canary.saturating_add(stable);
    let small = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let share = small(canary) / small(all.max(1));
    if canary < LEAST_REQUESTS || (share - 0.01).abs() > SHARE_MARGIN {
        return Err(not_as_told(format!("the canary had {canary} of {all} requests")));
    }
    let (canary, all) = (count(canary), count(all));
    say(&format!("PASS at 1 %, measured at the proxy: {canary} of {all} requests ({:.2} %), synthetic ones", share * 100.0))
}

/// Everything that was told is in the ledger, and the ledger is whole.
fn check_ledger(world: &World, program: &Program<'_>, record: &EnvironmentRecord) -> Result<(), Failure> {
    let places = LedgerPlaces::of(&world.places);
    if record.ledger.is_none() {
        return Err(not_as_told("the target holds no head of the ledger".to_owned()));
    }
    let all = entries(&places)?;
    for kind in ["deploy", "promote", "rollback", "approve"] {
        if !all.iter().any(|entry| entry.kind == kind) {
            return Err(not_as_told(format!("the ledger has no entry of the kind `{kind}`")));
        }
    }
    let open = unresolved(&all);
    if let Some(entry) = open.first() {
        return Err(not_as_told(format!("entry {} of the ledger, {}, has no outcome", entry.seq, entry.kind)));
    }
    program.run(&["ledger", "verify"], 0)
}

fn expect(status: &Value, pointer: &str, expected: &str) -> Result<(), Failure> {
    match status.pointer(pointer) {
        Some(Value::String(found)) if found == expected => Ok(()),
        found => Err(not_as_told(format!("{pointer} of the run is {}", found.unwrap_or(&Value::Null)))),
    }
}

/// What is in production, as the target has it.
fn expect_current(world: &World, revision: &str) -> Result<EnvironmentRecord, Failure> {
    let record = ask(world.target().record(&prod()?))?;
    let found = record.current.as_ref().and_then(|release| release.revision.as_ref()).map(ToString::to_string);
    if found.as_deref() == Some(revision) {
        return Ok(record);
    }
    Err(not_as_told(format!("prod has {} and not {}", found.as_deref().map_or("nothing", short), short(revision))))
}

fn expect_no_canary(world: &World) -> Result<(), Failure> {
    let weight = ask(world.target().observe(&prod()?))?.weight;
    if weight == crate::event::Weight::ZERO { Ok(()) } else { Err(not_as_told(format!("the canary still has {weight}"))) }
}

fn prod() -> Result<EnvironmentName, Failure> {
    "prod".parse().map_err(|error| Failure::of(Exit::NotCarriedOut, &error))
}

/// Asks the target, which answers within seconds or not at all.
fn ask<T>(question: impl Future<Output = Result<T, crate::deploy::TargetError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), question).await });
    answer.map_err(|_| Failure::new(Exit::NotCarriedOut, "the local target does not answer"))?.map_err(Failure::from)
}

fn not_as_told(what: String) -> Failure {
    Failure::new(Exit::Failed, what).hint("hms demo --headless --keep leaves everything to be looked at")
}

fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}

fn chapter(number: u32, text: &str, version: Version) -> Result<(), Failure> {
    heading(&format!("{number}. {text}"))?;
    say(&format!("commit “{}”", version.title))
}

fn heading(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{text}")?;
    Ok(out.flush()?)
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "  {text}")?;
    Ok(out.flush()?)
}
