//! The experiments: each gives lines of a table.

use hms::canary::{Evidence, JudgeSettings, MetricState, PassOn};
use hms::event::{PassedBy, Weight};

use crate::dice::Dice;
use crate::rivals::{Rival, Way, seconds};
use crate::stream::{Weather, World, intervals, observed};

pub(crate) const TRAFFIC: [f64; 3] = [10.0, 50.0, 500.0];
pub(crate) const SHARES: [f64; 3] = [0.01, 0.05, 0.25];

/// The defaults, for one share.
pub(crate) fn settings(share: f64) -> JudgeSettings {
    JudgeSettings { exact_share: Some(share), ..JudgeSettings::new("canary", Some("stable".into()), Weight::ZERO) }
}

/// So many of so many runs, with a 95 % interval (Wilson 1927).
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) hits: u32,
    pub(crate) of: u32,
}

impl Part {
    pub(crate) fn rate(self) -> f64 {
        f64::from(self.hits) / f64::from(self.of)
    }

    pub(crate) fn text(self) -> String {
        let (n, p, z) = (f64::from(self.of), self.rate(), 1.96);
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        format!("{:.2} % ({:.2} to {:.2})", 100.0 * p, 100.0 * (middle - half).max(0.0), 100.0 * (middle + half))
    }
}

/// Runs a world again and again until `ends` says so; counts the runs in which it did.
pub(crate) fn part(runs: u32, seed: u64, hours: f64, world: World, settings: &JudgeSettings, ends: impl Fn(&MetricState) -> bool) -> Part {
    let mut hits = 0;
    for run in 0..runs {
        let mut dice = Dice::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(run)));
        let mut evidence = Evidence::new(settings);
        for place in 0..intervals(hours) {
            evidence.take(observed(place, world.interval(&mut dice, place)));
            if evidence.metrics().any(&ends) {
                hits += 1;
                break;
            }
        }
    }
    Part { hits, of: runs }
}

/// Which word a run says first within the hours.
#[derive(Clone, Copy, Default)]
pub(crate) struct Words {
    pub(crate) pass: u32,
    pub(crate) by_slo: u32,
    pub(crate) rollback: u32,
    pub(crate) hold: u32,
}

pub(crate) fn words(runs: u32, seed: u64, hours: f64, world: World, settings: &JudgeSettings) -> Words {
    let mut words = Words::default();
    for run in 0..runs {
        let mut dice = Dice::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(run)));
        let mut evidence = Evidence::new(settings);
        let mut said = false;
        for place in 0..intervals(hours) {
            evidence.take(observed(place, world.interval(&mut dice, place)));
            let Some(state) = evidence.metrics().next() else { break };
            let enough = evidence.this_weight().canary >= 299.0 && seconds(place) >= 600.0;
            if state.harmed() {
                words.rollback += 1;
                said = true;
            } else if let Some(by) = state.passed_by().filter(|_| enough) {
                words.pass += 1;
                words.by_slo += u32::from(by == PassedBy::Absolute);
                said = true;
            }
            if said {
                break;
            }
        }
        words.hold += u32::from(!said);
    }
    words
}

/// Times of the runs in which something was found, sorted.
pub(crate) fn times(runs: u32, seed: u64, hours: f64, world: World, way: Way, limit: f64) -> Vec<f64> {
    let mut found: Vec<f64> = (0..runs)
        .filter_map(|run| {
            let mut dice = Dice::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(run)));
            let mut rival = Rival::new(way, world.share);
            (0..intervals(hours)).find(|place| {
                rival.take(*place, world.interval(&mut dice, *place));
                exceeds(way, rival.most, limit)
            })
        })
        .map(seconds)
        .collect();
    found.sort_by(f64::total_cmp);
    found
}

/// Argo and Flagger fail a minute above their limit; the others alarm at theirs.
fn exceeds(way: Way, most: f64, limit: f64) -> bool {
    match way {
        Way::Argo(_) | Way::Flagger(_) => most > limit,
        Way::Hms | Way::TwoProportions | Way::Kayenta => most >= limit,
    }
}

/// The limit at which so small a part of healthy runs is an alarm within the hours; infinite when none is.
pub(crate) fn limit_for(runs: u32, seed: u64, hours: f64, world: World, way: Way, level: f64) -> f64 {
    let mut most: Vec<f64> = (0..runs)
        .map(|run| {
            let mut dice = Dice::new(seed.wrapping_mul(0x1_0000).wrapping_add(u64::from(run)));
            let mut rival = Rival::new(way, world.share);
            for place in 0..intervals(hours) {
                rival.take(place, world.interval(&mut dice, place));
            }
            rival.most
        })
        .collect();
    most.sort_by(|left, right| right.total_cmp(left));
    let mut allowed = 0_usize;
    let mut counted = 1.0;
    while counted <= f64::from(runs) * level {
        allowed += 1;
        counted += 1.0;
    }
    // Where hardly any run alarms even at the usual limit, that is the limit.
    let edge = most.get(allowed).copied().filter(|edge| edge.is_finite()).unwrap_or_else(|| way.usual_limit().next_down());
    match way {
        // Just above the value that one run too many has.
        Way::Hms | Way::TwoProportions | Way::Kayenta => edge.next_up(),
        Way::Argo(_) | Way::Flagger(_) => edge,
    }
}

/// A median and how many were found, for people.
pub(crate) fn median_text(found: &[f64], runs: u32) -> String {
    let part = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(runs);
    let all = part(found.len());
    if all < 0.5 {
        return format!("{:.0} % found", 100.0 * all);
    }
    let half = usize::try_from(runs / 2).unwrap_or(0).min(found.len().saturating_sub(1));
    let median = found.get(half).copied().unwrap_or(f64::NAN);
    let time = if median < 600.0 { format!("{median:.0} s") } else { format!("{:.0} min", median / 60.0) };
    if all >= 0.995 { time } else { format!("{time}, {:.0} % found", 100.0 * all) }
}

/// Worlds that are no sane canary's fault.
pub(crate) fn harmless() -> [(&'static str, World); 2] {
    let day = |rps| World { weather: Weather::Day, ..World::healthy(rps, 0.01) };
    [("day and night, two incidents of both arms, 50 requests/s at 1 %", day(50.0)), ("the same at 500 requests/s", day(500.0))]
}

/// SAFE alone at β, ABS alone at β.
pub(crate) fn alone(share: f64, pass_on: PassOn) -> JudgeSettings {
    JudgeSettings { pass_on, ..settings(share) }
}
