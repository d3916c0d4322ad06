//! How long it takes: a day of samples, and a page of metrics. The best of several turns, because others use the machine too.

use std::fmt::Write;
use std::time::{Duration, Instant};

use chrono::DateTime;
use hms::canary::provider::{MetricsSettings, read_page};
use hms::canary::{Judge, JudgeSettings, Observed, Reading, SourceState, Trials};
use hms::event::{OwnMetric, VerdictClass};

use crate::dice::Dice;
use crate::trials::settings;

const TURNS: u32 = 9;

/// A day of 15 s samples for ten metrics, asked for the word at each, and for the whole verdict at the end.
pub(crate) fn day() -> Result<Duration, Box<dyn std::error::Error>> {
    let own = |place: u32| OwnMetric { name: format!("own-{place}"), slo: 0.05, threshold_seconds: None };
    let settings = JudgeSettings { own: (0..9).map(own).collect(), ..settings(0.05) };
    let mut dice = Dice::new(1);
    let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap_or_default();
    let observed: Vec<Observed> = (0..5760)
        .map(|place| {
            let (canary, stable) = (dice.poisson(75.0), dice.poisson(1425.0));
            let reading = |_| {
                let (bad, of_stable) = (dice.poisson(0.15), dice.poisson(2.85));
                Reading::Counts(Trials { all: canary, bad }, Trials { all: stable, bad: of_stable })
            };
            Observed {
                from: at(place * 15),
                to: at(place * 15 + 15),
                canary,
                stable,
                everyone: canary + stable,
                both_named: true,
                synthetic: false,
                readings: (0..10).map(reading).collect(),
            }
        })
        .collect();
    let mut best = Duration::MAX;
    for _ in 0..TURNS {
        let day = observed.clone();
        let started = Instant::now();
        let mut judge = Judge::new(&settings, at(0));
        let mut words = 0;
        for observed in day {
            let now = observed.to;
            judge.take(observed);
            words += u32::from(judge.kind(now, &SourceState::default()).class() == VerdictClass::Pass);
        }
        let verdict = judge.verdict(at(86_400), &SourceState::default());
        best = best.min(started.elapsed());
        if words == 0 || verdict.metrics.len() != 10 {
            return Err("the day was not judged".into());
        }
    }
    Ok(best)
}

/// A page of so many series, a part of which are chosen.
pub(crate) fn page(series: u32, chosen: u32) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for place in 0..series {
        let name = if place < chosen { "http_requests_total" } else { "http_client_requests_total" };
        writeln!(
            text,
            "{name}{{app=\"shop\",version=\"v{}\",code=\"200\",method=\"GET\",path=\"/api/items/{place}\",instance=\"10.0.0.{}:8080\"}} {}",
            place % 2,
            place % 200,
            place * 7
        )?;
    }
    let settings = MetricsSettings::new("http_requests_total{app=\"shop\"}".parse()?, None, "version");
    let mut best = Duration::MAX;
    for _ in 0..TURNS {
        let started = Instant::now();
        let sample = read_page(&text, &settings, DateTime::UNIX_EPOCH)?;
        best = best.min(started.elapsed());
        if sample.versions.len() != 2 {
            return Err("the page was not read".into());
        }
    }
    Ok(best)
}
