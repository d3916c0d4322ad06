//! What pipelines of ten thousand jobs cost to read and plan, in time and memory: jobs written out, matrices of 200, and 100 included files.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Answer;
use crate::process::peak_kib;
use crate::spread::Spread;
use crate::table::Row;
use crate::world::World;

const ROUNDS: usize = 7;
const JOBS: usize = 10_000;
/// The most that reading and planning may take, in milliseconds, and hold, in MB.
const REACH: f64 = 1_000.0;
const REACH_MB: u64 = 256;
/// How long nothing is looked at.
const TICK: Duration = Duration::from_millis(2);

const BASE: &str = ".base:\n  before_script: [echo setup]\n  variables: {A: a, B: $A}\n  rules:\n    - if: $SKIP == \"1\"\n      when: never\n    - when: on_success\n";

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let jobs = World::new(&written_out())?;
    let matrices = World::new(&of_matrices())?;
    let includes = World::new(&format!("include: ci/*.yml\n{BASE}"))?;
    std::fs::create_dir(includes.repository().join("ci"))?;
    for file in 0..100 {
        let mut text = String::new();
        for job in 0..JOBS / 100 {
            let _ = writeln!(text, "f{file}-{job}: {{extends: .base, script: x}}");
        }
        std::fs::write(includes.repository().join(format!("ci/f{file}.yml")), text)?;
    }
    let mut rows = Vec::new();
    for (what, world) in [("jobs", &jobs), ("jobs of 50 matrices of 200", &matrices), ("jobs of 100 included files", &includes)] {
        let (mut took, mut most) = (Vec::new(), 0);
        for round in 0..=ROUNDS {
            let (time, peak_mb) = listed(world)?;
            // The first round fills caches.
            if round > 0 {
                took.push(time);
                most = most.max(peak_mb);
            }
        }
        let took = Spread::of(took);
        let reached = took.median() <= REACH && most <= REACH_MB;
        let measured = format!("{}, at most {most} MB", took.three());
        rows.push(Row::to_reach(format!("hms list, {JOBS} {what}"), measured, format!("median {REACH:.0} ms, {REACH_MB} MB"), reached));
    }
    Ok(rows)
}

fn written_out() -> String {
    let mut text = format!("stages: [build, test]\n{BASE}");
    for index in 0..JOBS / 2 {
        let _ = writeln!(text, "build-{index}: {{extends: .base, stage: build, script: [make {index}]}}");
        let _ = writeln!(text, "test-{index}: {{extends: .base, stage: test, script: [make {index}], needs: [build-{index}]}}");
    }
    text
}

fn of_matrices() -> String {
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let mut text = BASE.to_owned();
    for index in 0..JOBS / 200 {
        let matrix = format!("[{{A: [{}], B: [a, b, c, d, e, f, g, h, i, j]}}]", numbers.join(", "));
        let _ = writeln!(text, "m{index}: {{extends: .base, script: x, parallel: {{matrix: {matrix}}}}}");
    }
    text
}

/// How long `hms list` takes, and the most memory it holds, in MB. All jobs must be there.
fn listed(world: &World) -> Answer<(Duration, u64)> {
    let file = world.at("listed");
    let started = Instant::now();
    let mut child = world.hms(&["list"]).stdout(std::fs::File::create(&file)?).stderr(Stdio::null()).spawn()?;
    let mut peak = 0;
    let status = loop {
        peak = peak_kib(child.id()).unwrap_or_default().max(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(TICK);
    };
    let took = started.elapsed();
    let lines = std::fs::read_to_string(&file)?.lines().count();
    if !status.success() || lines != JOBS {
        return Err(format!("hms list ends with {status} and {lines} jobs, not {JOBS}").into());
    }
    Ok((took, peak / 1024))
}
