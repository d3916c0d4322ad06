//! What a pipeline of a thousand jobs costs to read and plan: `hms list`, and `gitlab-ci-local --list` on the same file where it is there.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Answer;
use crate::spread::Spread;
use crate::table::Row;
use crate::world::{World, succeed};

const ROUNDS: usize = 15;
const JOBS: usize = 1_000;
/// The most that reading and planning may take, in milliseconds.
const REACH: f64 = 1_000.0;

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let world = World::new(&pipeline())?;
    std::fs::copy(world.repository().join(".hms-ci.yml"), world.repository().join(".gitlab-ci.yml"))?;
    let peer = found("gitlab-ci-local");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (took, lines) = timed(&mut world.hms(&["list"]))?;
        if lines != JOBS {
            return Err(format!("hms lists {lines} jobs, not {JOBS}").into());
        }
        let peers = peer.as_ref().map(|program| timed(world.command(&program.to_string_lossy()).arg("--list"))).transpose()?;
        // The first round fills caches.
        if round > 0 {
            ours.push(took);
            theirs.extend(peers.map(|(took, _)| took));
        }
    }
    let ours = Spread::of(ours);
    let (three, median) = (ours.three(), ours.median());
    let mut rows =
        vec![Row::to_reach(format!("hms list, {JOBS} jobs, {ROUNDS} times"), three, format!("median {REACH:.0} ms"), median <= REACH)];
    rows.push(match peer {
        Some(_) => Row::plain("the same file: gitlab-ci-local --list", Spread::of(theirs).three()),
        None => Row::plain("the same file: gitlab-ci-local --list", "it is not installed here"),
    });
    Ok(rows)
}

/// Jobs as files have them: a base, rules, variables, needs on the stage before.
fn pipeline() -> String {
    let mut text = String::from(
        "stages: [build, test]\nvariables: {LEVEL: full, TARGET: $LEVEL-all}\n.base:\n  before_script: [echo setup]\n  variables: {A: a, B: $A}\n  rules:\n    - if: $SKIP == \"1\"\n      when: never\n    - when: on_success\n",
    );
    for index in 0..JOBS / 2 {
        let _ = writeln!(text, "build-{index}: {{extends: .base, stage: build, script: [make {index}]}}");
        let _ = writeln!(text, "test-{index}: {{extends: .base, stage: test, script: [make test-{index}], needs: [build-{index}]}}");
    }
    text
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// How long a program took, and how many lines it printed.
fn timed(command: &mut Command) -> Answer<(Duration, usize)> {
    let started = Instant::now();
    let output = succeed(command)?;
    Ok((started.elapsed(), String::from_utf8_lossy(&output.stdout).lines().count()))
}
