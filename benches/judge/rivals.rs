//! What others do with the same traffic, as their own documents say it. Each is a number that grows and a limit it alarms at, so that
//! all can also be set to the same rate of false alarms.

use hms::canary::kayenta::{KayentaSettings, Label, label};
use hms::canary::{Evidence, JudgeSettings, Trials};
use hms::event::Weight;

use crate::stream::{STEP, observed};

/// Intervals of a minute.
const MINUTE: i32 = 12;

/// A way to judge.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// HARM.
    Hms,
    /// Argo Rollouts: each minute "error rate ≤ limit", aborted by more than so many failed minutes.
    Argo(usize),
    /// Flagger: the same, with a minute without requests failed too; rolled back at so many failed checks.
    Flagger(usize),
    /// Each minute a one-sided two-proportion test on all counts so far.
    TwoProportions,
    /// Each ten minutes Kayenta's label on the error rates of all minutes so far.
    Kayenta,
}

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Hms => "hms HARM".into(),
            Self::Argo(limit) => format!("Argo, failureLimit {limit}"),
            Self::Flagger(limit) => format!("Flagger, threshold {limit}"),
            Self::TwoProportions => "two proportions, each minute".into(),
            Self::Kayenta => "Kayenta's judge, each 10 min".into(),
        }
    }

    /// The limit of its own documents: an error rate of 1 %, a one-sided 5 %, a confidence of 98 %, an e-value of 100.
    pub(crate) fn usual_limit(self) -> f64 {
        match self {
            Self::Hms => 100.0_f64.ln(),
            Self::Argo(_) | Self::Flagger(_) => 0.01,
            Self::TwoProportions => 1.645,
            Self::Kayenta => CONFIDENCES[0],
        }
    }
}

/// Levels tried for Kayenta: an alarm at one is an alarm at all below it.
const CONFIDENCES: [f64; 7] = [0.98, 0.995, 0.999, 0.9999, 0.99999, 0.999_999, 0.999_999_9];

/// One way at work.
pub(crate) struct Rival {
    way: Way,
    evidence: Option<Box<Evidence>>,
    minute: [Trials; 2],
    total: [Trials; 2],
    rates: [Vec<f64>; 2],
    /// The number so far.
    pub(crate) most: f64,
}

impl Rival {
    pub(crate) fn new(way: Way, share: f64) -> Self {
        let settings = JudgeSettings { exact_share: Some(share), ..JudgeSettings::new("canary", Some("stable".into()), Weight::ZERO) };
        let evidence = (way == Way::Hms).then(|| Box::new(Evidence::new(&settings)));
        Self {
            way,
            evidence,
            minute: [Trials::default(); 2],
            total: [Trials::default(); 2],
            rates: [Vec::new(), Vec::new()],
            most: f64::NEG_INFINITY,
        }
    }

    /// Takes an interval in; true when the number may have grown.
    pub(crate) fn take(&mut self, place: i32, trials: [Trials; 2]) {
        if let Some(evidence) = &mut self.evidence {
            evidence.take(observed(place, trials));
            let enough = evidence.metrics().all(|state| state.over_all().canary_bad >= 3.0);
            let value = evidence.metrics().map(hms::canary::MetricState::harm_ln).fold(f64::NEG_INFINITY, f64::max);
            self.most = if enough { self.most.max(value) } else { self.most };
            return;
        }
        for (arm, more) in self.minute.iter_mut().zip(trials) {
            arm.all += more.all;
            arm.bad += more.bad;
        }
        if (place + 1) % MINUTE != 0 {
            return;
        }
        let minute = std::mem::take(&mut self.minute);
        for ((total, minute), rates) in self.total.iter_mut().zip(minute).zip(&mut self.rates) {
            total.all += minute.all;
            total.bad += minute.bad;
            rates.push(if minute.all > 0.0 { minute.bad / minute.all } else { f64::NAN });
        }
        let value = match self.way {
            Way::Hms => f64::NEG_INFINITY,
            Way::Argo(limit) => nth_largest(&self.rates[0], limit, f64::NEG_INFINITY),
            // No requests in a minute: no value, and that is a failed check.
            Way::Flagger(threshold) => nth_largest(&self.rates[0], threshold.saturating_sub(1), f64::INFINITY),
            Way::TwoProportions => two_proportions(self.total),
            Way::Kayenta => self.kayenta(place),
        };
        self.most = self.most.max(value);
    }

    fn kayenta(&self, place: i32) -> f64 {
        if (place + 1) % (10 * MINUTE) != 0 {
            return f64::NEG_INFINITY;
        }
        // In parts per million: as fractions it sees nothing at all.
        let [canary, stable] = [0, 1].map(|arm: usize| self.rates[arm].iter().map(|rate| rate * 1e6).collect::<Vec<f64>>());
        let high = |confidence: &&f64| {
            let settings = KayentaSettings {
                confidence: **confidence,
                direction: hms::canary::kayenta::Direction::Increase,
                ..KayentaSettings::default()
            };
            label(&stable, &canary, &settings) == Label::High
        };
        CONFIDENCES.iter().take_while(high).last().copied().unwrap_or(f64::NEG_INFINITY)
    }
}

fn nth_largest(values: &[f64], place: usize, missing: f64) -> f64 {
    let mut kept: Vec<f64> = values.iter().map(|value| if value.is_nan() { missing } else { *value }).collect();
    kept.sort_by(|left, right| right.total_cmp(left));
    kept.get(place).copied().unwrap_or(f64::NEG_INFINITY)
}

fn two_proportions([canary, stable]: [Trials; 2]) -> f64 {
    if canary.all <= 0.0 || stable.all <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let together = (canary.bad + stable.bad) / (canary.all + stable.all);
    let deviation = (together * (1.0 - together) * (canary.all.recip() + stable.all.recip())).sqrt();
    if deviation > 0.0 { (canary.bad / canary.all - stable.bad / stable.all) / deviation } else { f64::NEG_INFINITY }
}

/// Seconds at the end of an interval.
pub(crate) fn seconds(place: i32) -> f64 {
    f64::from(place + 1) * STEP
}
