//! The file's words for the judge's settings.

use std::time::Duration;

use serde_json::{Map, Value};

use super::BadRecording;
use crate::canary::settings::{JudgeSettings, LatencySettings, PassOn};
use crate::event::{OwnMetric, Weight};

/// What is slow, and how much of it may be, when the file says neither: above stable's own p95 lie about 5 %, and a canary just like
/// stable must be able to pass.
const SLOW_SHARE: f64 = 0.10;

/// The settings a file or a flag may name, beside `slo_NAME` for each of the user's own metrics.
pub const KEYS: [&str; 23] = [
    "share",
    "share_tolerance",
    "slo_errors",
    "slo_slow",
    "pass_on",
    "alpha",
    "beta",
    "min_requests",
    "min_bad_events",
    "bake_seconds",
    "warm_up_seconds",
    "safe_ratio",
    "safe_ratios",
    "harm_ratios",
    "absolute_fractions",
    "absolute_harm_ratios",
    "burst",
    "kept_stake",
    "fresh_stake_seconds",
    "surplus",
    "canary_version",
    "stable_version",
    "slow_seconds",
];

/// Settings as a file or a flag says them; what is not said has its documented default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplaySettings {
    said: Map<String, Value>,
}

/// What of a file the settings depend on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Facts {
    /// Metrics of intervals, in order, without `errors`.
    pub(super) own: Vec<String>,
    /// Intervals count errors.
    pub(super) errors: bool,
    /// Nothing is compared with.
    pub(super) alone: bool,
}

impl ReplaySettings {
    /// Says more; what is said later counts.
    ///
    /// # Errors
    /// When a key is not known.
    pub fn say(&mut self, more: Map<String, Value>) -> Result<(), BadRecording> {
        for key in more.keys() {
            let own = key.strip_prefix("slo_").is_some_and(|name| !name.is_empty());
            if !own && !KEYS.contains(&key.as_str()) {
                let why = format!("the setting `{}` is not known; known are {}, slo_NAME", key.escape_debug(), KEYS.join(", "));
                return Err(BadRecording { line: None, why });
            }
        }
        self.said.extend(more);
        Ok(())
    }

    pub(super) fn said(&self) -> &Map<String, Value> {
        &self.said
    }

    /// Says one setting as on a command line: `KEY=VALUE`, where the value is JSON, a percentage, or a word.
    ///
    /// # Errors
    /// When it has no `=`, or the key is not known.
    pub fn say_text(&mut self, text: &str) -> Result<(), BadRecording> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| BadRecording { line: None, why: format!("`{}` is no setting: write KEY=VALUE", text.escape_debug()) })?;
        let percent =
            value.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()).map(|percent| Value::from(percent / 100.0));
        let value = percent.or_else(|| serde_json::from_str(value).ok()).unwrap_or_else(|| Value::from(value));
        self.say(Map::from_iter([(key.to_owned(), value)]))
    }

    /// The judge's settings for intervals.
    pub(super) fn for_intervals(&self, facts: &Facts) -> Result<JudgeSettings, BadRecording> {
        let mut settings = JudgeSettings::new("canary", (!facts.alone).then(|| "stable".to_owned()), Weight::ZERO);
        settings.judge_errors = facts.errors;
        settings.own = facts.own.iter().map(|name| self.own(name)).collect::<Result<_, _>>()?;
        self.set_all(&mut settings)?;
        Ok(settings)
    }

    /// The judge's settings for samples by themselves.
    pub(super) fn for_samples(&self) -> Result<JudgeSettings, BadRecording> {
        let canary = self.text("canary_version")?.ok_or_else(|| BadRecording {
            line: None,
            why: "samples do not say which version is the canary: set canary_version, and stable_version if there is one".into(),
        })?;
        let mut settings = JudgeSettings::new(canary, self.text("stable_version")?, Weight::ZERO);
        let slow = self.number("slow_seconds")?;
        self.judge_latency(&mut settings, slow, SLOW_SHARE)?;
        let own = self.said.keys().filter_map(|key| key.strip_prefix("slo_")).filter(|name| !["errors", "slow"].contains(name));
        settings.own = own.map(|name| self.own(name)).collect::<Result<_, _>>()?;
        self.set_all(&mut settings)?;
        Ok(settings)
    }

    /// Lets a file's or a flag's words count over what was recorded.
    pub(super) fn for_journal(&self, mut settings: JudgeSettings) -> Result<JudgeSettings, BadRecording> {
        if let Some(threshold) = self.number("slow_seconds")? {
            let share = settings.latency.map_or(SLOW_SHARE, |latency| latency.slow_share);
            self.judge_latency(&mut settings, Some(threshold), share)?;
        } else if let Some(latency) = settings.latency {
            self.judge_latency(&mut settings, Some(latency.threshold_seconds), latency.slow_share)?;
        }
        for own in &mut settings.own {
            own.slo = self.number(&format!("slo_{}", own.name))?.unwrap_or(own.slo);
        }
        let requested = settings.requested;
        self.set_all(&mut settings)?;
        if !self.said.contains_key("share") {
            settings.exact_share = None;
            settings.requested = requested;
        }
        Ok(settings)
    }

    fn judge_latency(&self, settings: &mut JudgeSettings, slow_seconds: Option<f64>, share: f64) -> Result<(), BadRecording> {
        let slow_share = self.number("slo_slow")?.unwrap_or(share);
        settings.latency = slow_seconds.map(|threshold_seconds| LatencySettings { threshold_seconds, slow_share });
        Ok(())
    }

    fn own(&self, name: &str) -> Result<OwnMetric, BadRecording> {
        let default = (name == "slow").then_some(SLOW_SHARE);
        let slo = self.number(&format!("slo_{name}"))?.or(default).ok_or_else(|| BadRecording {
            line: None,
            why: format!("the file counts `{0}`, and no setting says how much of it may be: set slo_{0}", name.escape_debug()),
        })?;
        Ok(OwnMetric { name: name.to_owned(), slo, threshold_seconds: None })
    }

    fn set_all(&self, settings: &mut JudgeSettings) -> Result<(), BadRecording> {
        let numbers = [
            ("slo_errors", &mut settings.error_slo),
            ("alpha", &mut settings.alpha),
            ("beta", &mut settings.beta),
            ("safe_ratio", &mut settings.safe_ratio),
            ("burst", &mut settings.burst),
            ("kept_stake", &mut settings.kept_stake),
        ];
        for (key, field) in numbers {
            *field = self.number(key)?.unwrap_or(*field);
        }
        self.set_share(settings)?;
        let lists = [
            ("safe_ratios", &mut settings.safe_ratios),
            ("harm_ratios", &mut settings.harm_ratios),
            ("absolute_fractions", &mut settings.absolute_fractions),
            ("absolute_harm_ratios", &mut settings.absolute_harm_ratios),
        ];
        for (key, field) in lists {
            if let Some(list) = self.list(key)? {
                *field = list;
            }
        }
        if let Some(word) = self.text("pass_on")? {
            let known = PassOn::WORDS.iter().find(|(known, _)| *known == word);
            settings.pass_on = known.map(|(_, pass_on)| *pass_on).ok_or_else(|| wrong("pass_on", "one of relative, absolute, either"))?;
        }
        settings.min_requests = self.count("min_requests")?.or(settings.min_requests);
        settings.min_bad_events = self.count("min_bad_events")?.unwrap_or(settings.min_bad_events);
        settings.bake = self.seconds("bake_seconds")?.unwrap_or(settings.bake);
        settings.warm_up = self.seconds("warm_up_seconds")?.unwrap_or(settings.warm_up);
        settings.fresh_stake = self.seconds("fresh_stake_seconds")?.unwrap_or(settings.fresh_stake);
        if self.said.contains_key("surplus") {
            settings.surplus = self.number("surplus")?;
        }
        settings.check().map_err(|error| BadRecording { line: None, why: error.to_string() })
    }

    fn set_share(&self, settings: &mut JudgeSettings) -> Result<(), BadRecording> {
        if self.said.contains_key("share_tolerance") {
            settings.share_tolerance = self.number("share_tolerance")?;
        }
        match self.said.get("share") {
            Some(Value::Null) => settings.share_tolerance = None,
            None => settings.exact_share = Some(0.01),
            Some(_) => {
                let share = self.number("share")?.filter(|share| *share > 0.0 && *share <= 1.0);
                settings.exact_share = Some(share.ok_or_else(|| wrong("share", "above 0 and up to 1, or null"))?);
            }
        }
        Ok(())
    }

    fn number(&self, key: &str) -> Result<Option<f64>, BadRecording> {
        match self.said.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(key, "a number")),
        }
    }

    fn count(&self, key: &str) -> Result<Option<u64>, BadRecording> {
        match self.said.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(key, "a whole number, 0 or more")),
        }
    }

    fn seconds(&self, key: &str) -> Result<Option<Duration>, BadRecording> {
        let seconds = self.number(key)?;
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|_| wrong(key, "a number of seconds, 0 or more"));
        seconds.map(duration).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<String>, BadRecording> {
        match self.said.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| wrong(key, "a text")),
        }
    }

    fn list(&self, key: &str) -> Result<Option<Vec<f64>>, BadRecording> {
        let Some(value) = self.said.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        let numbers = value.as_array().map(|all| all.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
        numbers.flatten().map(Some).ok_or_else(|| wrong(key, "a list of numbers, as [2,4]"))
    }
}

fn wrong(key: &str, meant: &str) -> BadRecording {
    BadRecording { line: None, why: format!("the setting `{}` is {meant}", key.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(own: &[&str]) -> Facts {
        Facts { own: own.iter().map(ToString::to_string).collect(), errors: true, alone: false }
    }

    fn said(all: &[&str]) -> ReplaySettings {
        let mut settings = ReplaySettings::default();
        for text in all {
            settings.say_text(text).unwrap();
        }
        settings
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let settings = ReplaySettings::default().for_intervals(&facts(&["slow"])).unwrap();
        assert_eq!((settings.floor(), settings.bake, settings.pass_on), (299, Duration::from_mins(10), PassOn::Either));
        assert_eq!((settings.exact_share, settings.own[0].slo.to_bits()), (Some(0.01), 0.10_f64.to_bits()));
    }

    #[test]
    fn a_command_line_says_it_as_people_do() {
        let all = said(&[
            "slo_errors=2%",
            "share=null",
            "pass_on=relative",
            "harm_ratios=[3,9]",
            "min_requests=300",
            "slo_x=0.5",
            "bake_seconds=1.5",
        ]);
        let settings = all.for_intervals(&facts(&["x"])).unwrap();
        assert_eq!(settings.error_slo.to_bits(), 0.02_f64.to_bits());
        assert_eq!((settings.share_tolerance, settings.pass_on, settings.floor()), (None, PassOn::Relative, 300));
        assert_eq!((settings.harm_ratios, settings.bake), (vec![3.0, 9.0], Duration::from_millis(1500)));
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, why) in [
            ("bake", "KEY=VALUE"),
            ("baek_seconds=1", "`baek_seconds` is not known"),
            ("alpha=2", "alpha must lie between 0 and 1"),
            ("alpha=x", "`alpha` is a number"),
            ("share=0", "`share` is above 0"),
            ("pass_on=hope", "one of relative"),
            ("min_requests=-1", "a whole number"),
            ("bake_seconds=-1", "seconds"),
            ("harm_ratios=2", "a list of numbers"),
            ("harm_ratios=[0.5]", "each harm ratio must lie above 1"),
        ] {
            let mut settings = ReplaySettings::default();
            let error = settings.say_text(text).and_then(|()| settings.for_intervals(&facts(&[])).map(drop)).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
        let error = ReplaySettings::default().for_intervals(&facts(&["checkout"])).unwrap_err();
        assert!(error.to_string().contains("set slo_checkout"), "{error}");
        assert!(ReplaySettings::default().for_samples().unwrap_err().to_string().contains("canary_version"));
    }
}
