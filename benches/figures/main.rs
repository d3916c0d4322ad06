//! What hms costs beside doing the same without it. `scripts/bench` runs it; `docs/benchmarks.md` says how to read it.
//!
//! Every figure is a comparison within one run, its sides interleaved, so that a busy machine slows both. Nothing here asserts
//! a time: it prints one table, and what a figure rests on (lines that are there, masks that hold, a split that is exact) is checked
//! before the figure is given.

mod console;
mod large;
mod lines;
mod plan;
mod process;
mod pseudoterminal;
mod releases;
mod spread;
mod start;
mod table;
mod traffic;
mod world;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use table::Row;

/// A figure, or why there is none.
type Answer<T> = Result<T, Box<dyn Error>>;

/// A part of the benchmark: its name on the command line, and what measures it.
type Part = (&'static str, fn() -> Answer<Vec<Row>>);

const PARTS: [Part; 6] = [
    ("start", start::measure),
    ("plan", plan::measure),
    ("large", large::measure),
    ("lines", lines::measure),
    ("console", console::measure),
    ("traffic", traffic::measure),
];

/// Parts that are measured only when they are named: they take long.
const LONG_PARTS: [Part; 1] = [("releases", releases::measure)];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Only `cargo bench` gives this; a test run over all targets is not the place for minutes of measuring.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut rows = Vec::new();
    let mut broken = false;
    let mut notices = std::io::stderr();
    let named = |(name, _): &&Part| wanted.iter().any(|wanted| wanted == name);
    let parts = PARTS.iter().filter(|part| wanted.is_empty() || named(part)).chain(LONG_PARTS.iter().filter(named));
    for (name, measure) in parts {
        let _ = writeln!(notices, "measuring: {name}");
        match measure() {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                broken = true;
                let _ = writeln!(notices, "{name}: no figure: {error}");
            }
        }
    }
    let written = write!(std::io::stdout(), "{}\n{}", table::machine(), table::render(&rows));
    if broken || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
