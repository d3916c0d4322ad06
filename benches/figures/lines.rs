//! A job that prints two million lines while a value is masked: how fast, and in how much memory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Answer;
use crate::process::{find, peak_kib};
use crate::spread::Spread;
use crate::table::Row;
use crate::world::{World, succeed};

const ROUNDS: usize = 5;
const LINES: u32 = 2_000_000;
/// Every so many lines one carries the value.
const EACH: u32 = 100_000;
const VALUE: &str = "hunter2-hunter2-hunter2";
/// Lines a second that must pass from the job to its log.
const REACH_LINES: f64 = 500_000.0;
/// The most memory, in KiB.
const REACH_KIB: u64 = 40 * 1024;

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let script = format!(
        "awk -v value=\"$TOKEN\" 'BEGIN {{ for (i = 1; i <= {LINES}; i++) \
         print i, (i % {EACH} ? \"ok - the service answered 200 in 12 ms\" : value) }}'"
    );
    let world = World::new(&format!("job:\n  script:\n    - |\n      {script}\n"))?;
    let variables = world.at("variables");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&variables)?;
    std::io::Write::write_all(&mut file, format!("TOKEN={VALUE}\n").as_bytes())?;
    let (mut hms, mut bash) = (Vec::new(), Vec::new());
    let (mut keeper, mut engine) = (0, 0);
    for round in 1..=ROUNDS {
        let mut command = world.hms(&["run", "--headless", "--variable-file"]);
        let (elapsed, peaks) = watched(command.arg(&variables), world.at("").as_path())?;
        hms.push(elapsed);
        keeper = keeper.max(peaks.keeper);
        engine = engine.max(peaks.engine);
        check(&world.log(round, "job")?)?;
        let started = Instant::now();
        succeed(world.command("bash").env("TOKEN", VALUE).args(["-c", &script]).stdout(File::create(world.at("output"))?))?;
        bash.push(started.elapsed());
    }
    let slower = Spread::of_milliseconds(hms.iter().zip(&bash).map(|(hms, bash)| hms.as_secs_f64() / bash.as_secs_f64())).median();
    let (hms, bash) = (Spread::of(hms), Spread::of(bash));
    let rate = |spread: &Spread| f64::from(LINES) / spread.median() * 1000.0;
    let memory = format!("keeper {:.1} MB, engine {:.1} MB", megabytes(keeper), megabytes(engine));
    Ok(vec![
        Row::plain(format!("{LINES} lines under plain bash into a file, {ROUNDS} times"), bash.three()),
        Row::plain("the same as a job, one value masked", hms.three()),
        Row::to_reach(
            "lines a second, end to end",
            format!("{:.0}; plain bash {:.0}; {slower:.2} times as long", rate(&hms), rate(&bash)),
            format!("{REACH_LINES:.0} a second"),
            rate(&hms) >= REACH_LINES,
        ),
        Row::to_reach("most memory meanwhile", memory, "40 MB each", keeper.max(engine) <= REACH_KIB),
    ])
}

struct Peaks {
    keeper: u64,
    engine: u64,
}

/// Runs it to its end, and looks at the memory of keeper and engine all the while.
fn watched(command: &mut Command, folder: &Path) -> Answer<(Duration, Peaks)> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut keeper, mut engine) = (None, None);
    let mut peaks = Peaks { keeper: 0, engine: 0 };
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        keeper = keeper.or_else(|| find("keeper", folder));
        engine = engine.or_else(|| find("engine", folder));
        peaks.keeper = peaks.keeper.max(keeper.and_then(peak_kib).unwrap_or(0));
        peaks.engine = peaks.engine.max(engine.and_then(peak_kib).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    };
    let elapsed = started.elapsed();
    match (status.success(), peaks.keeper, peaks.engine) {
        (false, ..) => Err(format!("the run ended with {status}").into()),
        (true, 0, _) | (true, _, 0) => Err("keeper or engine was not seen".into()),
        (true, ..) => Ok((elapsed, peaks)),
    }
}

/// A log that was fast because lines are missing, or the value was let through, is no figure.
fn check(log: &Path) -> Answer<()> {
    let (mut lines, mut masked) = (0_u32, 0_u32);
    let mut reader = BufReader::new(File::open(log)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line.contains(VALUE) {
            return Err("the value is in the log".into());
        }
        lines += u32::from(line.starts_with(|first: char| first.is_ascii_digit()));
        masked += u32::from(line.ends_with("[MASKED]\n"));
        line.clear();
    }
    if (lines, masked) == (LINES, LINES / EACH) { Ok(()) } else { Err(format!("{lines} lines, {masked} of them masked").into()) }
}

fn megabytes(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
