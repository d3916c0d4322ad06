//! Policy of a canary: how it is walked, what proves harm or health, and how production is watched after it.

use serde::{Deserialize, Serialize};

use super::Period;
use crate::event::Weight;

/// How a canary is walked and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Canary {
    /// The limits.
    pub slo: Slo,
    /// The weights it walks, ascending. Default 1%.
    pub steps: Vec<Weight>,
    /// How long each weight is watched at the least. Default 10m.
    pub bake: Period,
    /// What proven harm does. Default rollback.
    pub on_harm: OnHarm,
    /// How long HOLD may last before the canary fails as held. Default 30m.
    pub on_hold: Period,
    /// What becomes of a canary when its watcher must leave. Default keep.
    pub unwatched: Unwatched,
    /// How long after a weight is applied nothing counts. Default 0.
    pub warm_up: Period,
    /// From one sample to the next. Default 5s.
    pub interval: Period,
    /// How production is watched after a promotion; none: not at all. A text without it is one that does not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// What the judge takes for proof.
    #[serde(flatten)]
    pub judge: JudgeRules,
}

/// How production is watched after a promotion (`docs/decisions.md` 21.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// For how long.
    pub watch: Period,
    /// What the release before keeps meanwhile, to be compared with; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdback: Option<Weight>,
    /// What proven harm does. Default rollback beside a holdback; tell without.
    pub on_harm: AfterHarm,
}

/// What proven harm in production does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterHarm {
    /// Back to the last healthy release, at once.
    Rollback,
    /// It is said, and a person decides.
    Tell,
}

/// What the judge takes for proof (`docs/judge.md`). Read from a text that is older than a rule, the rule is what was so before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeRules {
    /// Which proof passes a metric. Default either; absolute in older texts.
    #[serde(default = "JudgeRules::pass_on_before")]
    pub pass_on: PassOn,
    /// At most so many healthy releases are rolled back. Default 0.01.
    #[serde(default = "JudgeRules::alpha")]
    pub alpha: f64,
    /// At most so many bad releases pass by chance. Default 0.05.
    #[serde(default = "JudgeRules::beta")]
    pub beta: f64,
    /// Canary requests before PASS; none: what the SLO needs.
    #[serde(default)]
    pub min_requests: Option<u64>,
    /// Bad canary requests before ROLLBACK. Default 3.
    #[serde(default = "JudgeRules::min_bad_events")]
    pub min_bad_events: u64,
    /// So many requests may fail together and count as one. Default 1.
    #[serde(default = "JudgeRules::burst")]
    pub burst: u32,
    /// How far the measured share may be from the one asked for, as a part of it; none: not tested. Default 0.1; none in older texts.
    #[serde(default)]
    pub share_tolerance: Option<f64>,
}

impl JudgeRules {
    fn pass_on_before() -> PassOn {
        PassOn::Absolute
    }

    fn alpha() -> f64 {
        0.01
    }

    fn beta() -> f64 {
        0.05
    }

    fn min_bad_events() -> u64 {
        3
    }

    fn burst() -> u32 {
        1
    }
}

impl Default for JudgeRules {
    fn default() -> Self {
        Self {
            pass_on: PassOn::Either,
            alpha: Self::alpha(),
            beta: Self::beta(),
            min_requests: None,
            min_bad_events: Self::min_bad_events(),
            burst: Self::burst(),
            share_tolerance: Some(0.1),
        }
    }
}

/// Which proof passes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassOn {
    /// It is not twice as bad as stable.
    Relative,
    /// It keeps its SLO.
    Absolute,
    /// One of the two.
    Either,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            slo: Slo::default(),
            steps: Weight::from_thousandths(10).into_iter().collect(),
            bake: Period::from_seconds(10 * 60),
            on_harm: OnHarm::Rollback,
            on_hold: Period::from_seconds(30 * 60),
            unwatched: Unwatched::Keep,
            warm_up: Period::ZERO,
            interval: Period::from_seconds(5),
            after: None,
            judge: JudgeRules::default(),
        }
    }
}

/// What users are promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slo {
    /// 95 of 100 requests are faster than this; none when stable is the measure.
    pub p95: Option<Period>,
    /// The share of requests that may fail, above 0 and below 1. Default 0.01.
    pub error_rate: f64,
}

impl Default for Slo {
    fn default() -> Self {
        Self { p95: None, error_rate: 0.01 }
    }
}

/// What proven harm does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnHarm {
    /// The canary goes to weight 0 at once.
    Rollback,
    /// The canary keeps its weight and a person decides.
    Hold,
}

/// What becomes of a canary that nobody watches any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unwatched {
    /// It keeps its weight, and everything says so.
    Keep,
    /// It goes to weight 0.
    Rollback,
}
