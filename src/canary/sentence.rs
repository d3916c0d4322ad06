//! A verdict in one plain sentence, and its numbers as people write them.

use std::time::Duration;

use super::evidence::Evidence;
use super::forecast::{Forecast, HORIZON};
use super::judge::{Ground, Guard, SourceState};
use super::metric::{Counts, MetricState};
use super::settings::{JudgeSettings, PassOn, Subject};
use super::split::{Mismatch, likely_cause};
use super::whole;
use crate::event::PassedBy;

/// Why the verdict is what it is.
pub(super) fn reason(ground: &Ground, settings: &JudgeSettings, evidence: &Evidence, source: &SourceState) -> String {
    let because = source.reason.as_ref().filter(|_| source.missed > 0).map(|reason| format!(": {reason}")).unwrap_or_default();
    match ground {
        Ground::Unfit(unfit) => format!("cannot judge with these settings: {unfit}"),
        Ground::Down(guard) => format!("{} does not run: {}", whole_name(settings.subject), down(*guard)),
        Ground::Harm => harm(settings, evidence),
        Ground::SourceError(error) => format!("the source of metrics failed: {error}"),
        Ground::NothingJudged => "no metric is judged: neither errors, nor durations, nor one of your own was counted".into(),
        Ground::Misrouted(mismatch) => misrouted(mismatch),
        Ground::NoData => format!("no data yet{because}"),
        Ground::Refused(flaw) => format!("the last sample was refused: {flaw}"),
        Ground::Stale(age) => format!("no fresh sample for {}{because}", time(*age)),
        Ground::ClockAhead(by) => format!("the metrics are stamped {} in the future: the clocks disagree", time(*by)),
        Ground::NobodyNamed => "the metrics name no version: nothing was requested yet, or the metric's name or labels are wrong".into(),
        Ground::NoCanaryRequests => no_canary_requests(settings, evidence),
        Ground::CanaryGone => format!("the metrics name version {} no more", settings.canary_version.escape_debug()),
        Ground::Blind { metric, flaw } => format!("{metric} cannot be judged: {flaw}"),
        Ground::FarOver { metric, lately, shared } => {
            far_over(&evidence.metric(metric).map_or_else(|| metric.clone(), name), lately, *shared, settings.subject)
        }
        Ground::Proven => proven(settings, evidence),
        Ground::Gathering(forecast) => gathering(forecast, settings, evidence),
    }
}

fn down(guard: Guard) -> &'static str {
    match guard {
        Guard::CrashLoop => "it crashes again and again",
        Guard::ProgressDeadline => "it was not ready in the time it had",
        Guard::NoReadyPod => "none of it is ready",
    }
}

/// What is judged, as the subject of a sentence.
fn whole_name(subject: Subject) -> &'static str {
    match subject {
        Subject::Canary => "the canary",
        Subject::Production => "the release",
    }
}

/// Its requests.
fn requests_of(subject: Subject) -> &'static str {
    match subject {
        Subject::Canary => "canary requests",
        Subject::Production => "requests",
    }
}

fn harm(settings: &JudgeSettings, evidence: &Evidence) -> String {
    let parts = evidence.metrics().filter(|state| state.harmed()).map(|state| {
        let counts = state.over_all();
        let beside = if settings.absolute_only {
            format!("the limit is {}", percent(state.limit()))
        } else {
            format!("stable {} ({})", of(counts.stable_bad, counts.stable), percent(counts.stable_share().unwrap_or(0.0)))
        };
        let requests = of(counts.canary_bad, counts.canary);
        let whose = requests_of(settings.subject);
        format!("{}: {requests} {whose} ({}), {beside}", name(state), percent(counts.canary_share().unwrap_or(0.0)))
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn misrouted(mismatch: &Mismatch) -> String {
    let measured = percent(mismatch.canary / mismatch.all);
    let requests = of(mismatch.canary, mismatch.all);
    let cause = likely_cause(mismatch);
    format!("routing mismatch: the canary got {requests} requests ({measured}), asked for was {}; likely {cause}", percent(mismatch.asked))
}

fn no_canary_requests(settings: &JudgeSettings, evidence: &Evidence) -> String {
    let stable = evidence.this_weight().stable;
    let expected = stable * settings.share();
    // e^-7 < 0.001: so many expected and none seen is no accident.
    if expected >= 7.0 {
        let (seen, expected) = (count(stable), count(expected));
        let weight = percent(settings.share());
        return format!("no canary requests: stable had {seen}, at {weight} the canary should have had about {expected}; check the route");
    }
    format!("no {} yet", requests_of(settings.subject))
}

fn far_over(name: &str, lately: &Counts, shared: bool, subject: Subject) -> String {
    let canary = format!("{} of {}", percent(lately.canary_share().unwrap_or(0.0)), requests_of(subject));
    match lately.stable_share() {
        Some(stable) if shared => {
            format!("environment incident: {name} in {canary} and {} of stable ones just now", percent(stable))
        }
        Some(stable) => format!("{name} in {canary} just now, stable {}: not yet proven worse", percent(stable)),
        None => format!("{name} in {canary} just now, nothing to compare with: not yet proven"),
    }
}

fn proven(settings: &JudgeSettings, evidence: &Evidence) -> String {
    let requests = count(evidence.this_weight().canary);
    let parts = evidence.metrics().map(|state| {
        let share = percent(state.this_weight().canary_share().unwrap_or(0.0));
        format!("{} {share} ({})", name(state), proof(state, settings))
    });
    format!("{requests} requests, {}{}", parts.collect::<Vec<_>>().join(", "), first_release(settings))
}

/// Which test passed. Where only one has a say, its limit says it.
fn proof(state: &MetricState, settings: &JudgeSettings) -> String {
    let limit = percent(state.limit());
    let stable = percent(state.this_weight().stable_share().unwrap_or(0.0));
    let times = settings.safe_ratio;
    match (state.passed_by(), settings.passes_on()) {
        (Some(PassedBy::Absolute) | None, PassOn::Absolute) => format!("limit {limit}"),
        (Some(PassedBy::Absolute) | None, PassOn::Either | PassOn::Relative) => format!("absolute test: under the limit {limit}"),
        (Some(PassedBy::Relative), _) => format!("relative test: not {times} times stable's {stable}"),
    }
}

fn gathering(forecast: &Forecast, settings: &JudgeSettings, evidence: &Evidence) -> String {
    let seen = whole::floor(evidence.this_weight().canary);
    let more = forecast.more_requests;
    let have = match more {
        _ if seen < settings.floor() => format!("{} of {} requests", grouped(seen), grouped(settings.floor())),
        Some(0) => format!("{} requests are enough", grouped(seen)),
        Some(more) => format!("{} requests, {} more good ones needed", grouped(seen), grouped(more)),
        None => format!("{} requests", grouped(seen)),
    };
    let stuck = stuck(settings, evidence);
    let when = match forecast.wait {
        _ if !stuck.is_empty() => format!("{stuck}: no PASS while that lasts"),
        _ if more == Some(0) => format!("PASS in {}, when the bake is over", time(forecast.bake_left)),
        Some(wait) if wait <= HORIZON => format!("at this traffic PASS in about {}", rough_time(wait)),
        Some(_) => format!("cannot know at this traffic within {}: {}", time(HORIZON), way_out(settings)),
        None => format!("cannot know at this traffic: {}", way_out(settings)),
    };
    format!("{have}; {when}{}", first_release(settings))
}

fn way_out(settings: &JudgeSettings) -> &'static str {
    if settings.share() >= 1.0 { "it needs more requests" } else { "raise the weight" }
}

/// The metrics for which more of the same proves nothing.
fn stuck(settings: &JudgeSettings, evidence: &Evidence) -> String {
    let stuck = evidence.metrics().filter(|state| !state.passed() && state.stuck(settings));
    let parts = stuck.map(|state| {
        let counts = state.this_weight();
        let share = counts.canary_share().unwrap_or(0.0);
        let (name, share_text, limit) = (name(state), percent(share), percent(state.limit()));
        let stable = percent(counts.stable_share().unwrap_or(0.0));
        match settings.passes_on() {
            PassOn::Relative => format!("{name} {share_text} is too far over stable's {stable}"),
            PassOn::Absolute | PassOn::Either if share > state.limit() => format!("{name} {share_text} is over the limit {limit}"),
            PassOn::Absolute | PassOn::Either => format!("{name} {share_text} is too near the limit {limit}"),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn first_release(settings: &JudgeSettings) -> &'static str {
    match (settings.absolute_only, settings.latency.is_none() && settings.own.is_empty()) {
        (true, _) if settings.subject == Subject::Production => "",
        (true, true) => "; nothing to compare with: judged by the error SLO alone, no latency test",
        (true, false) => "; nothing to compare with: judged by the SLO alone",
        (false, _) => "",
    }
}

fn name(state: &MetricState) -> String {
    match state.threshold_seconds() {
        Some(threshold) if state.name() == "latency" => format!("slower than {}", seconds(threshold)),
        Some(threshold) => format!("{} slower than {}", state.name(), seconds(threshold)),
        None => state.name().to_owned(),
    }
}

fn of(bad: f64, all: f64) -> String {
    format!("{} of {}", count(bad), count(all))
}

fn count(value: f64) -> String {
    grouped(whole::floor(value))
}

/// `11,880`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `11.7 %`, `0.03 %`, `1 %`; what is not 0 never reads as 0.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let text = if value >= 1.0 || value == 0.0 {
        format!("{value:.1}")
    } else if value >= 0.01 {
        format!("{value:.2}")
    } else {
        return "under 0.01 %".into();
    };
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{} ms", (value * 1e6).round() / 1e3) } else { format!("{value} s") }
}

/// `45 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn time(duration: Duration) -> String {
    let all = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
    };
    match all {
        0..60 => format!("{all} s"),
        60..3600 => pair(all / 60, "min", all % 60, "s"),
        _ => pair(all / 3600, "h", all % 3600 / 60, "min"),
    }
}

/// A forecast is no clock: seconds below two minutes in tens, then minutes.
pub(super) fn rough_time(duration: Duration) -> String {
    let rough = rough_seconds(duration);
    if duration.as_secs() < 120 { format!("{rough} s") } else { time(Duration::from_secs(rough)) }
}

/// A forecast in seconds, as exact as it is: rounded up to ten, from two minutes on to whole minutes. Text and JSON say the same one.
pub(super) fn rough_seconds(duration: Duration) -> u64 {
    match duration.as_secs() {
        seconds @ 0..120 => seconds.next_multiple_of(10).max(10),
        seconds => seconds.next_multiple_of(60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(11_880), "11,880");
        assert_eq!(grouped(1_234_567), "1,234,567");
        for (share, text) in
            [(14.0 / 120.0, "11.7 %"), (3.0 / 11_880.0, "0.03 %"), (0.01, "1 %"), (0.0, "0 %"), (1e-6, "under 0.01 %"), (1.0, "100 %")]
        {
            assert_eq!(percent(share), text);
        }
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(2.5), "2.5 s");
        assert_eq!(time(Duration::from_millis(200_001)), "3 min 21 s");
        assert_eq!(rough_time(Duration::from_secs(170)), "3 min");
        assert_eq!(rough_time(Duration::from_secs(3)), "10 s");
        assert_eq!(rough_time(Duration::from_mins(121)), "2 h 1 min");
    }
}
