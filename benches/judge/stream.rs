//! Made-up traffic: what a canary and a stable are counted to do, interval by interval.

use chrono::{DateTime, TimeDelta, Utc};
use hms::canary::{Observed, Reading, Trials};

use crate::dice::Dice;

/// Seconds of an interval.
pub(crate) const STEP: f64 = 5.0;

/// How both arms behave.
#[derive(Clone, Copy)]
pub(crate) struct World {
    /// Requests a second of both arms.
    pub(crate) rps: f64,
    /// The canary's share.
    pub(crate) share: f64,
    /// Stable's bad rate.
    pub(crate) rate: f64,
    /// The canary's, as a multiple of it.
    pub(crate) ratio: f64,
    /// So many requests fail together.
    pub(crate) burst: f64,
    /// What moves with time.
    pub(crate) weather: Weather,
}

/// What moves with time.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// Nothing.
    Calm,
    /// Traffic by day and night (a tenth to the double), and an incident of both arms twice a day: 20 minutes of 10 % errors.
    Day,
}

impl World {
    pub(crate) fn healthy(rps: f64, share: f64) -> Self {
        Self { rps, share, rate: 0.002, ratio: 1.0, burst: 1.0, weather: Weather::Calm }
    }

    pub(crate) fn times(self, ratio: f64) -> Self {
        Self { ratio, ..self }
    }

    /// What is counted in the interval with this number, from 0.
    pub(crate) fn interval(&self, dice: &mut Dice, place: i32) -> [Trials; 2] {
        let (mut traffic, mut rate) = (self.rps * STEP, self.rate);
        if self.weather == Weather::Day {
            let hour = f64::from(place) * STEP / 3600.0;
            traffic *= 1.05 + 0.95 * (hour / 24.0 * std::f64::consts::TAU).sin();
            rate = if (hour % 12.0) > 6.0 && (hour % 12.0) < 6.0 + 1.0 / 3.0 { 0.10 } else { rate };
        }
        let mut arm = |requests: f64, rate: f64| {
            let bad = self.burst * dice.poisson(requests * rate / self.burst);
            Trials { all: dice.poisson(requests * (1.0 - rate)) + bad, bad }
        };
        [arm(traffic * self.share, (rate * self.ratio).min(1.0)), arm(traffic * (1.0 - self.share), rate)]
    }
}

/// The interval as the judge takes it.
pub(crate) fn observed(place: i32, [canary, stable]: [Trials; 2]) -> Observed {
    let at = |place: i32| moment(f64::from(place) * STEP);
    Observed {
        from: at(place),
        to: at(place + 1),
        canary: canary.all,
        stable: stable.all,
        everyone: canary.all + stable.all,
        both_named: true,
        synthetic: false,
        readings: vec![Reading::Counts(canary, stable)],
    }
}

fn moment(seconds: f64) -> DateTime<Utc> {
    let step = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    DateTime::UNIX_EPOCH + TimeDelta::from_std(step).unwrap_or_default()
}

/// How many intervals so many hours have.
pub(crate) fn intervals(hours: f64) -> i32 {
    let mut count = 0;
    while f64::from(count) * STEP < hours * 3600.0 {
        count += 1;
    }
    count
}
