//! What the judge promises and finds, by simulation with fixed seeds: `cargo bench --bench judge` prints the tables of
//! `docs/judge.md` and draws its charts into `docs/judge/`. `-- quick` runs a tenth of it.

mod chart;
mod dice;
mod rivals;
mod speed;
mod stream;
mod trials;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use chart::Chart;
use hms::canary::{JudgeSettings, MetricState, PassOn};
use rivals::Way;
use stream::World;
use trials::{SHARES, TRAFFIC, alone, harmless, limit_for, median_text, part, settings, times, words};

const WAYS: [Way; 6] = [Way::Hms, Way::Argo(0), Way::Argo(3), Way::Flagger(5), Way::TwoProportions, Way::Kayenta];

/// A part of the simulation: its name, and what prints it, given a number of runs for a thousand.
type Study = (&'static str, fn(u32) -> Result<(), Box<dyn Error>>);

const STUDIES: [Study; 7] = [
    ("nulls", nulls),
    ("twice", twice),
    ("find", find),
    ("rivals", rivals_study),
    ("bursts", bursts),
    ("late", late),
    ("speed", speed_study),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Only `cargo bench` gives this; a test run over all targets is not the place for minutes of simulation.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let runs = if arguments.iter().any(|argument| argument == "quick") { 100 } else { 1000 };
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-') && *argument != "quick").collect();
    for (name, study) in STUDIES.iter().filter(|(name, _)| named.is_empty() || named.iter().any(|named| named == name)) {
        if let Err(error) = study(runs) {
            let _ = writeln!(std::io::stderr(), "{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}

fn draw(name: &str, chart: &Chart<'_>) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/judge");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.svg")), chart.svg())
}

/// What is promised: each hypothesis by itself, looked at every 5 s for 24 h.
fn nulls(runs: u32) -> Result<(), Box<dyn Error>> {
    say("| HARM ever, canary as good as stable, 24 h | 1 % | 5 % | 25 % |\n|---|---|---|---|")?;
    for (seed, rps) in (1..).zip(TRAFFIC) {
        let cells: Vec<String> = SHARES
            .iter()
            .map(|share| part(runs, seed, 24.0, World::healthy(rps, *share), &settings(*share), MetricState::harmed).text())
            .collect();
        say(&format!("| {rps} requests/s | {} |", cells.join(" | ")))?;
    }
    for (seed, (name, world)) in (11..).zip(harmless()) {
        say(&format!("| {name} | {} | | |", part(runs, seed, 24.0, world, &settings(0.01), MetricState::harmed).text()))?;
    }
    say("\n| passes ever, 24 h | 10 requests/s at 5 % | 50 at 1 % | 500 at 1 % |\n|---|---|---|---|")?;
    let places = [(10.0, 0.05), (50.0, 0.01), (500.0, 0.01)];
    // On the border of each hypothesis: twice stable's rate; the SLO itself; both at once.
    let borders: [(&str, f64, f64, PassOn); 4] = [
        ("SAFE alone, twice as bad (β 5 %)", 0.002, 2.0, PassOn::Relative),
        ("ABS alone, at the SLO (β 5 %)", 0.01, 1.0, PassOn::Absolute),
        ("either, twice as bad and at the SLO (β 5 %)", 0.005, 2.0, PassOn::Either),
        ("either, three times as bad and at 1.5 SLO", 0.005, 3.0, PassOn::Either),
    ];
    for (seed, (name, rate, ratio, pass_on)) in (21..).zip(borders) {
        let cells: Vec<String> = places
            .iter()
            .map(|(rps, share)| {
                let world = World { rate, ..World::healthy(*rps, *share).times(ratio) };
                part(runs, seed, 24.0, world, &alone(*share, pass_on), MetricState::passed).text()
            })
            .collect();
        say(&format!("| {name} | {} |", cells.join(" | ")))?;
    }
    say("")?;
    Ok(())
}

/// Twice as bad, and still within its SLO: allowed to pass by keeping the SLO, and counted for itself.
fn twice(runs: u32) -> Result<(), Box<dyn Error>> {
    say(
        "| 0.4 % where stable has 0.2 % (SLO 1 %), first word within 6 h | PASS | of these by the SLO | ROLLBACK | HOLD |\n|---|---|---|---|---|",
    )?;
    for (seed, (rps, share)) in (31..).zip([(50.0, 0.01), (500.0, 0.01), (500.0, 0.25)]) {
        for pass_on in [PassOn::Either, PassOn::Relative] {
            let said = words(runs, seed, 6.0, World::healthy(rps, share).times(2.0), &alone(share, pass_on));
            let percent = |count: u32| format!("{:.1} %", 100.0 * f64::from(count) / f64::from(runs));
            let name = if pass_on == PassOn::Either { "either" } else { "relative" };
            say(&format!(
                "| {rps} requests/s at {} %, {name} | {} | {} | {} | {} |",
                share * 100.0,
                percent(said.pass),
                percent(said.by_slo),
                percent(said.rollback),
                percent(said.hold)
            ))?;
        }
    }
    say("")?;
    Ok(())
}

/// How soon harm is found.
fn find(runs: u32) -> Result<(), Box<dyn Error>> {
    say("| harm found, median within 6 h, 1 % | 2 × | 5 × | 10 × | 50 × |\n|---|---|---|---|---|")?;
    for (seed, rps) in (41..).zip(TRAFFIC) {
        let mut cells = Vec::new();
        for ratio in [2.0, 5.0, 10.0, 50.0] {
            let found = times(runs, seed, 6.0, World::healthy(rps, 0.01).times(ratio), Way::Hms, Way::Hms.usual_limit());
            cells.push(median_text(&found, runs));
        }
        say(&format!("| {rps} requests/s | {} |", cells.join(" | ")))?;
    }
    say("")?;
    Ok(())
}

fn curve(found: &[f64], runs: u32, hours: f64) -> Vec<(f64, f64)> {
    let mut points = vec![(0.0, 0.0)];
    let mut share = 0.0;
    for time in found {
        points.push((time / 60.0, share));
        share += 1.0 / f64::from(runs);
        points.push((time / 60.0, share));
    }
    points.push((hours * 60.0, share));
    points
}

fn ticks(values: &[f64], unit: &str) -> Vec<(f64, String)> {
    values.iter().map(|value| (*value, format!("{value}{unit}"))).collect()
}

fn parts() -> Vec<(f64, String)> {
    [0.0, 0.25, 0.5, 0.75, 1.0].iter().map(|part| (*part, format!("{} %", part * 100.0))).collect()
}

/// The others on the same traffic: as their documents set them, and set to one false alarm in a hundred.
fn rivals_study(runs: u32) -> Result<(), Box<dyn Error>> {
    let runs = runs / 2;
    say(
        "| as usually set; 0.2 % errors, 1 % of the traffic, 1 h | healthy, 10/s | healthy, 50/s | healthy, 500/s | 5 × at 50/s found | 10 × at 50/s found |\n|---|---|---|---|---|---|",
    )?;
    let mut healthy = Vec::new();
    for way in WAYS {
        let within =
            |rps: f64, ratio: f64, seed: u64| times(runs, seed, 1.0, World::healthy(rps, 0.01).times(ratio), way, way.usual_limit());
        let alarms = |found: &[f64]| format!("{:.1} %", 100.0 * f64::from(u32::try_from(found.len()).unwrap_or(0)) / f64::from(runs));
        let at_fifty = within(50.0, 1.0, 52);
        let cells = [
            alarms(&within(10.0, 1.0, 51)),
            alarms(&at_fifty),
            alarms(&within(500.0, 1.0, 53)),
            alarms(&within(50.0, 5.0, 54)),
            alarms(&within(50.0, 10.0, 55)),
        ];
        say(&format!("| {} | {} |", way.name(), cells.join(" | ")))?;
        healthy.push((way.name(), curve(&at_fifty, runs, 1.0)));
    }
    draw(
        "false-alarms",
        &Chart {
            title: "A healthy canary at 1 % of 50 requests/s: taken back by mistake",
            x: ("minutes", ticks(&[0.0, 15.0, 30.0, 45.0, 60.0], "")),
            y: ("of all releases", parts()),
            series: healthy,
            level: None,
        },
    )?;
    for (rps, ratio, name) in [(50.0, 5.0, "found-50"), (500.0, 3.0, "found-500")] {
        let mut found_by = Vec::new();
        say(&format!(
            "\n| all set to 1 % false alarms in 6 h; 1 % of {rps} requests/s | limit | {ratio} × found, median | 10 × found, median |\n|---|---|---|---|"
        ))?;
        for way in WAYS {
            let limit = if way == Way::Hms { way.usual_limit() } else { limit_for(runs, 61, 6.0, World::healthy(rps, 0.01), way, 0.01) };
            let found = |ratio: f64, seed| times(runs, seed, 6.0, World::healthy(rps, 0.01).times(ratio), way, limit);
            let (slightly, badly) = (found(ratio, 62), found(10.0, 63));
            let shown = if way == Way::Hms { "as it is".to_owned() } else { format!("{limit:.4}") };
            say(&format!("| {} | {shown} | {} | {} |", way.name(), median_text(&slightly, runs), median_text(&badly, runs)))?;
            found_by.push((way.name(), curve(&slightly, runs, 6.0)));
        }
        draw(
            name,
            &Chart {
                title: &format!("A canary {ratio} times as bad at 1 % of {rps} requests/s, all at 1 % false alarms in 6 h: found"),
                x: ("minutes", ticks(&[0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0], "")),
                y: ("of all such releases", parts()),
                series: found_by,
                level: None,
            },
        )?;
    }
    say("")?;
    Ok(())
}

/// Requests that fail together.
fn bursts(runs: u32) -> Result<(), Box<dyn Error>> {
    say("| HARM ever, healthy, 24 h; 50 requests/s at 5 % | burst: 1 | burst: 5 | burst: 20 |\n|---|---|---|---|")?;
    let mut lines = Vec::new();
    for (seed, size) in (71..).zip([1.0, 2.0, 5.0, 20.0]) {
        let world = World { burst: size, ..World::healthy(50.0, 0.05) };
        let mut cells = Vec::new();
        for burst in [1.0, 5.0, 20.0] {
            let settings = JudgeSettings { burst, ..settings(0.05) };
            cells.push(part(runs, seed, 24.0, world, &settings, MetricState::harmed));
        }
        lines.push((size, cells.iter().map(|cell| cell.rate()).collect::<Vec<f64>>()));
        say(&format!("| {size} fail together | {} |", cells.iter().map(|cell| cell.text()).collect::<Vec<_>>().join(" | ")))?;
    }
    let series = [1.0, 5.0, 20.0].iter().enumerate().map(|(place, burst)| {
        (format!("burst: {burst}"), lines.iter().filter_map(|(size, rates)| Some((size.log2(), *rates.get(place)?))).collect())
    });
    draw(
        "bursts",
        &Chart {
            title: "Requests that fail together: healthy canaries taken back within 24 h",
            x: ("so many fail together", [1.0_f64, 2.0, 5.0, 20.0].iter().map(|size| (size.log2(), size.to_string())).collect()),
            y: ("of all releases", parts()),
            series: series.collect(),
            level: Some((0.01, "1 %")),
        },
    )?;
    say("")?;
    Ok(())
}

/// A canary that turns bad after a good day, with and without fresh stakes.
fn late(runs: u32) -> Result<(), Box<dyn Error>> {
    let runs = runs / 4;
    say("| turns 10 times as bad after so long; 50 requests/s at 5 % | fresh stakes | all staked at once |\n|---|---|---|")?;
    for (seed, hours) in (81..).zip([0.0, 1.0, 6.0, 24.0]) {
        let mut cells = Vec::new();
        for kept_stake in [0.2, 0.0] {
            let settings = JudgeSettings { kept_stake, ..settings(0.05) };
            let mut found: Vec<f64> = (0..runs).filter_map(|run| turned(seed, run, hours, &settings)).collect();
            found.sort_by(f64::total_cmp);
            cells.push(median_text(&found, runs));
        }
        say(&format!("| {hours} h | {} |", cells.join(" | ")))?;
    }
    say("")?;
    Ok(())
}

fn turned(seed: u64, run: u32, hours: f64, settings: &JudgeSettings) -> Option<f64> {
    let mut dice = dice::Dice::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(run)));
    let mut evidence = hms::canary::Evidence::new(settings);
    let good = stream::intervals(hours);
    let world = World::healthy(50.0, 0.05);
    (0..good + stream::intervals(6.0)).find_map(|place| {
        let now = if place < good { world } else { world.times(10.0) };
        evidence.take(stream::observed(place, now.interval(&mut dice, place)));
        // A false alarm before is no finding, and ends nothing here: harm stays proven, so such a run is found at once.
        (place >= good && evidence.metrics().any(MetricState::harmed)).then(|| rivals::seconds(place - good))
    })
}

fn speed_study(_runs: u32) -> Result<(), Box<dyn Error>> {
    let milliseconds = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    say("| best of nine | measured | to reach |\n|---|---|---|")?;
    say(&format!("| a day of 15 s samples, 10 metrics, a word at each | {} | 50 ms |", milliseconds(speed::day()?)))?;
    say(&format!("| a page of 50,000 series, 2,000 of them chosen | {} | 100 ms |", milliseconds(speed::page(50_000, 2_000)?)))?;
    say(&format!("| a page of 50,000 series, 10,000 of them chosen | {} | 100 ms |", milliseconds(speed::page(50_000, 10_000)?)))?;
    say("")?;
    Ok(())
}
