//! What the console costs while nothing happens, and while a log grows.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Answer;
use crate::process::Activity;
use crate::pseudoterminal::OnTerminal;
use crate::table::Row;
use crate::world::{World, succeed};

/// How long it is watched.
const WATCH: Duration = Duration::from_secs(10);
/// How long a job may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines that come together, and how long until the next come: a thousand lines a second.
const BURST: (usize, Duration) = (10, Duration::from_millis(10));

const PIPELINE: &str = "
stages: [build, gate]
build:
  stage: build
  script: seq 100
gate:
  stage: gate
  when: manual
  allow_failure: false
  script: echo opened
";

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let finished = World::new("job:\n  script: seq 100\n")?;
    succeed(&mut finished.hms(&["run", "--headless"]))?;
    let waiting = World::new(PIPELINE)?;
    if waiting.hms(&["run", "--headless"]).output()?.status.code() != Some(10) {
        return Err("the run does not wait at its gate".into());
    }
    Ok(vec![idle("a finished run", &finished)?, idle("a run that waits for a person", &waiting)?, busy()?])
}

/// Nothing happens, and nothing on the screen ages.
fn idle(what: &str, world: &World) -> Answer<Row> {
    let mut console = OnTerminal::start(&mut world.hms(&["attach", "1"]))?;
    console.settle()?;
    let (drawn, before) = (console.drawn(), Activity::of(console.pid())?);
    std::thread::sleep(WATCH);
    let (drawn, activity) = (console.drawn() - drawn, Activity::of(console.pid())?.since(before));
    Ok(Row::to_reach(
        format!("console on {what}, {} s", WATCH.as_secs()),
        format!("{drawn} bytes, {} wakeups", activity.switches),
        "0 bytes, 0 wakeups",
        drawn == 0 && activity.switches == 0,
    ))
}

/// Waits until the job's script runs: its log then begins with the script's echo.
fn started(world: &World) -> Answer<()> {
    let end = Instant::now() + PATIENCE;
    while world.log(1, "job").and_then(|log| Ok(std::fs::metadata(log)?.len())).unwrap_or(0) == 0 {
        if Instant::now() >= end {
            return Err("the job does not start".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A job prints a thousand lines a second, as many as this process gives it.
fn busy() -> Answer<Row> {
    let world = World::new("job:\n  script: cat \"$LINES_FROM\"\n")?;
    let pipe = world.at("lines");
    succeed(Command::new("mkfifo").arg(&pipe))?;
    let given = format!("LINES_FROM={}", pipe.display());
    succeed(&mut world.hms(&["run", "--detach", "--variable", &given]))?;
    // Open for both, so that to open it waits for nobody; the job hears the end when this one closes it.
    let mut lines = OpenOptions::new().read(true).write(true).open(&pipe)?;
    started(&world)?;
    let mut console = OnTerminal::start(&mut world.hms(&["attach", "1"]))?;
    let mut written = 0_u32;
    let mut pour = |duration: Duration| -> Answer<u32> {
        let (started, first) = (Instant::now(), written);
        let mut due = started;
        while due < started + duration {
            for _ in 0..BURST.0 {
                written += 1;
                writeln!(lines, "{written} ok - the service answered 200 in 12 ms")?;
            }
            due += BURST.1;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(written - first)
    };
    pour(Duration::from_secs(2))?;
    let (drawn, before) = (console.drawn(), Activity::of(console.pid())?);
    let poured = pour(WATCH)?;
    let (drawn, activity) = (console.drawn() - drawn, Activity::of(console.pid())?.since(before));
    drop(lines);
    console.settle()?;
    if drawn == 0 {
        return Err("the console drew nothing of a growing log".into());
    }
    let seconds = WATCH.as_secs();
    let share = activity.on_processor.as_secs_f64() / WATCH.as_secs_f64() * 100.0;
    Ok(Row::plain(
        format!("console on a log of {} lines a second", u64::from(poured) / seconds),
        format!("{} bytes/s, {} wakeups/s, {share:.1} % of a processor", drawn / seconds, activity.switches / seconds),
    ))
}
