//! `hms canary plan`: what a canary can know when, at a traffic and a share.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::canary::JudgeSettings;
use crate::canary::plan::{Known, Traffic, known};
use crate::cli::arguments::{CanaryPlanArguments, Output};
use crate::cli::failure::{Exit, Failure};
use crate::event::Weight;
use crate::text::share;

/// How many times as bad a canary may be, in the table.
const RATIOS: [f64; 4] = [2.0, 5.0, 10.0, 50.0];
/// Shares shown beside the one asked for.
const SHARES: [f64; 4] = [0.01, 0.05, 0.10, 0.25];

pub(super) fn plan(arguments: &CanaryPlanArguments, output: Output) -> Result<u8, Failure> {
    let mut settings = JudgeSettings::new("canary", Some("stable".to_owned()), Weight::ZERO);
    settings.error_slo = fraction("--slo", &arguments.slo)?;
    settings.alpha = fraction("--alpha", &arguments.alpha)?;
    settings.beta = fraction("--beta", &arguments.beta)?;
    settings.check().map_err(|error| Failure::of(Exit::Usage, &error))?;
    let wanted = fraction("--share", &arguments.share)?;
    let bad_rate = fraction("--errors", &arguments.errors)?;
    if !(arguments.rps > 0.0 && arguments.rps.is_finite()) {
        return Err(Failure::new(Exit::Usage, "--rps lies above 0"));
    }
    if wanted <= 0.0 {
        return Err(Failure::new(Exit::Usage, "--share lies above 0% and below 100%"));
    }
    let traffic = Traffic { per_second: arguments.rps, bad_rate, limit: settings.error_slo };
    let others = SHARES.into_iter().filter(|share| *share > wanted);
    let rows: Vec<Known> = std::iter::once(wanted).chain(others).map(|share| known(&settings, traffic, share, &RATIOS)).collect();
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => write!(out, "{}", told(&settings, traffic, &rows))?,
        Output::Json => {
            let shares: Vec<_> = rows.iter().map(row_value).collect();
            writeln!(
                out,
                "{}",
                json!({"format": 1, "rps": traffic.per_second, "errors": bad_rate, "slo": settings.error_slo, "alpha": settings.alpha, "beta": settings.beta, "floor": settings.floor(), "shares": shares})
            )?;
        }
    }
    Ok(0)
}

/// `1%` or `0.01`: from 0 to below 1.
fn fraction(flag: &str, text: &str) -> Result<f64, Failure> {
    let number =
        text.strip_suffix('%').map_or_else(|| text.parse::<f64>(), |percent| percent.trim().parse::<f64>().map(|percent| percent / 100.0));
    let good = number.ok().filter(|number| (0.0..1.0).contains(number));
    good.ok_or_else(|| Failure::new(Exit::Usage, format!("{flag} {text}: write a share below 100%, as 1% or 0.01")))
}

fn row_value(row: &Known) -> serde_json::Value {
    let time = |time: Option<Duration>| time.map(|time| time.as_secs());
    let finds: Vec<_> = row.finds.iter().map(|(ratio, found)| json!({"ratio": ratio, "seconds": time(*found)})).collect();
    json!({"share": row.share, "canary_rps": row.per_second, "floor_seconds": time(row.floor), "absolute_seconds": time(row.absolute), "relative_seconds": time(row.relative), "pass_seconds": time(row.pass), "finds": finds})
}

fn told(settings: &JudgeSettings, traffic: Traffic, rows: &[Known]) -> String {
    let mut table = vec![["share", "canary/s", "PASS", "absolute", "relative", "2×", "5×", "10×", "50×"].map(str::to_owned).to_vec()];
    for row in rows {
        let mut cells = vec![share(row.share), format!("{}", (row.per_second * 100.0).round() / 100.0)];
        cells.extend([row.pass, row.absolute, row.relative].map(time));
        cells.extend(row.finds.iter().map(|(_, found)| time(*found)));
        table.push(cells);
    }
    let widths: Vec<usize> =
        (0..9).map(|column| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut text = format!(
        "{} requests/s, {} of them bad, limit {}: about when it is known, for a canary as good as stable (PASS) and for one 2, 5, 10, 50 times as bad\n\n",
        traffic.per_second,
        share(traffic.bad_rate),
        share(traffic.limit),
    );
    for row in &table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count()))).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    let _ = write!(
        text,
        "\nPASS needs {} canary requests, {} min of bake, and one of the two proofs; at most {} of healthy releases are ever rolled back,\nat most {} of those that are twice as bad and over the limit ever pass. `never`: not at any number of requests.\n",
        settings.floor(),
        settings.bake.as_secs() / 60,
        share(settings.alpha),
        share(settings.beta),
    );
    text
}

/// A plan is no clock: two digits are enough.
fn time(time: Option<Duration>) -> String {
    match time.map(|time| time.as_secs()) {
        None => "never".to_owned(),
        Some(seconds) if seconds < 120 => format!("{} s", seconds.next_multiple_of(5).max(5)),
        Some(seconds) if seconds < 7200 => format!("{} min", seconds.div_ceil(60)),
        Some(seconds) if seconds < 172_800 => format!("{} h", seconds.div_ceil(3600)),
        Some(seconds) => format!("{} d", seconds.div_ceil(86_400)),
    }
}
