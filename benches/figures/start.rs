//! What a pipeline of one job costs over its script: `hms run --headless` beside plain bash, in turns.

use std::fs::File;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Answer;
use crate::spread::Spread;
use crate::table::Row;
use crate::world::{World, succeed};

const ROUNDS: usize = 25;
const SCRIPT: &str = "echo done";
/// The most that hms may add, in milliseconds.
const REACH: f64 = 50.0;

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let world = World::new(&format!("job:\n  script: {SCRIPT}\n"))?;
    let mut hms: Vec<Duration> = Vec::new();
    let mut bash: Vec<Duration> = Vec::new();
    let mut login: Vec<Duration> = Vec::new();
    for round in 0..=ROUNDS {
        let of_hms = timed(&mut world.hms(&["run", "--headless"]))?;
        let of_bash = timed(world.command("bash").args(["-c", SCRIPT]).stdout(File::create(world.at("output"))?))?;
        let of_login = timed(world.command("bash").args(["-l", "-c", SCRIPT]).stdout(File::create(world.at("output"))?))?;
        // The first round fills caches.
        if round > 0 {
            hms.push(of_hms);
            bash.push(of_bash);
            login.push(of_login);
        }
    }
    let pairs = hms.iter().zip(&bash).map(|(hms, bash)| (hms.as_secs_f64() - bash.as_secs_f64()) * 1000.0);
    let over = Spread::of_milliseconds(pairs);
    let (median, reached) = (over.median(), over.median() <= REACH);
    Ok(vec![
        Row::plain(format!("one job under plain bash, {ROUNDS} times"), Spread::of(bash).three()),
        Row::plain("the same as a login shell, as jobs have it", Spread::of(login).three()),
        Row::plain("the same as a pipeline: hms run --headless", Spread::of(hms).three()),
        Row::to_reach("hms over plain bash, pair by pair", over.three(), format!("median {REACH:.0} ms"), reached && median.is_finite()),
    ])
}

fn timed(command: &mut Command) -> Answer<Duration> {
    let started = Instant::now();
    succeed(command)?;
    Ok(started.elapsed())
}
