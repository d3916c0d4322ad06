//! Times when nothing is promoted. A rollback is never frozen.
//!
//! A window's ends are wall times of the zone that it names, each converted by itself: a weekend from Friday 16:00 to Monday 08:00 is an
//! hour shorter when the clocks are set forward. Where a time comes twice the window begins at the first and ends at the second.

use std::fmt;

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::people::count_people;
use super::recurrence::{End, Recurrence};
use super::wall::{Twice, Zone};
use crate::event::{Actor, BrokenFreeze, Digest, EnvironmentName, Refusal, RefusalKind};

/// The longest window that comes again, in days; one that begins later is never looked for.
const LONGEST_DAYS: i64 = 366;
/// Windows that follow one another are followed so far for the end of a freeze.
const FOLLOWED: usize = 100;

/// From one moment up to another, which is no longer part of it; once, every week, or by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeWindow {
    /// When it begins.
    pub from: Moment,
    /// When it ends, written the same way.
    pub to: Moment,
    /// Why, in words for people.
    pub reason: String,
    /// Whose clocks its ends are read on; none is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// On which days it begins again; `from` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Recurrence>,
    /// How many people must break it for a release to be promoted in it; 0: nobody can. Texts from before the key mean that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub break_glass: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One time that a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first moment.
    pub from: DateTime<Utc>,
    /// The first moment that is no longer part of it.
    pub to: DateTime<Utc>,
}

/// How the windows stand at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeState<'a> {
    /// Those that hold now.
    pub holding: Vec<(Span, &'a FreezeWindow)>,
    /// When nothing is frozen any more, windows that follow at once counted in; none when nothing is frozen now.
    pub until: Option<DateTime<Utc>>,
    /// The one that begins next.
    pub next: Option<(Span, &'a FreezeWindow)>,
}

/// What a freeze is asked about.
#[derive(Debug, Clone, Copy)]
pub struct FreezeFacts<'a> {
    /// The environment that the release would get.
    pub environment: &'a EnvironmentName,
    /// The release.
    pub release: &'a Digest,
    /// The policy in force.
    pub policy_hash: &'a Digest,
    /// Everything that was said about breaking a freeze there; what is about something else is passed over.
    pub broken: &'a [BrokenFreeze],
    /// The time.
    pub now: DateTime<Utc>,
}

/// How the windows stand.
#[must_use]
pub fn freeze_at(windows: &[FreezeWindow], now: DateTime<Utc>) -> FreezeState<'_> {
    let holding: Vec<(Span, &FreezeWindow)> = windows.iter().filter_map(|window| Some((window.covering(now)?, window))).collect();
    let mut until = holding.iter().map(|(span, _)| span.to).max();
    for _ in 0..FOLLOWED {
        let further = until.and_then(|at| windows.iter().filter_map(|window| window.covering(at)).map(|span| span.to).max());
        match further {
            Some(further) if Some(further) > until => until = Some(further),
            Some(_) | None => break,
        }
    }
    let next = windows.iter().filter_map(|window| Some((window.after(now)?, window))).min_by_key(|(span, _)| span.from);
    FreezeState { holding, until, next }
}

/// Refuses a promotion inside a freeze window, and says until when, and how it may be broken.
///
/// # Errors
/// When `now` lies in one that was not broken, during it, by as many different people as it asks for.
pub fn frozen(facts: &FreezeFacts<'_>, windows: &[FreezeWindow]) -> Result<(), Refusal> {
    let state = freeze_at(windows, facts.now);
    let mut closed = state.holding.iter().map(|(span, window)| (breakers(facts, *span).len(), *window)).filter(|(people, window)| {
        let wanted = usize::try_from(window.break_glass).unwrap_or(usize::MAX);
        wanted == 0 || *people < wanted
    });
    // The one that is hardest to break is named.
    let Some(first) = closed.next() else { return Ok(()) };
    let (people, window) = closed.fold(first, |one, other| match (one.1.break_glass, other.1.break_glass) {
        (0, _) => one,
        (_, 0) => other,
        (mine, its) => {
            if its > mine {
                other
            } else {
                one
            }
        }
    });
    let until = state.until.map_or_else(String::new, |until| format!(" until {}", window.shown(until, facts.now)));
    let some = match (people, window.break_glass) {
        (0, _) | (_, 0) => String::new(),
        (people, wanted) => format!("; {people} of {wanted} people broke it"),
    };
    let (environment, digest) = (facts.environment, facts.release);
    let hint = match window.break_glass {
        0 => "wait, nobody may break it; a rollback is never frozen: hms rollback --env ".to_owned() + environment.as_str(),
        _ => {
            format!("wait, or break it: hms freeze break --env {environment} --release {digest} --reason TEXT; a rollback is never frozen")
        }
    };
    Err(Refusal::new(RefusalKind::Frozen, format!("{environment} is frozen{until}: {}{some}", window.reason)).hint(hint))
}

/// Who broke what holds now for this very release: one of each person.
#[must_use]
pub fn breakers<'a>(facts: &FreezeFacts<'a>, span: Span) -> Vec<&'a Actor> {
    let said = facts.broken.iter().filter(|broken| {
        broken.release == *facts.release
            && broken.policy_hash == *facts.policy_hash
            && broken.at >= span.from
            && !broken.reason.trim().is_empty()
    });
    let mut people: Vec<&Actor> = Vec::new();
    for broken in said {
        let with: Vec<&Actor> = people.iter().copied().chain([&broken.actor]).collect();
        if count_people(&with) > people.len() {
            people.push(&broken.actor);
        }
    }
    people
}

impl FreezeWindow {
    /// Whether `now` lies in it.
    #[must_use]
    pub fn covers(&self, now: DateTime<Utc>) -> bool {
        self.covering(now).is_some()
    }

    /// The time that it holds now; the one that ends last, where it overlaps itself.
    #[must_use]
    pub fn covering(&self, now: DateTime<Utc>) -> Option<Span> {
        self.spans(now).into_iter().filter(|span| span.from <= now && now < span.to).max_by_key(|span| span.to)
    }

    /// The next time that it begins, after `now`.
    #[must_use]
    pub fn after(&self, now: DateTime<Utc>) -> Option<Span> {
        self.spans(now).into_iter().filter(|span| span.from > now && span.from < span.to).min()
    }

    /// A moment on the clocks of its zone: `Mon 30 Nov 08:00 CET (Europe/Berlin)`.
    #[must_use]
    pub fn shown(&self, at: DateTime<Utc>, now: DateTime<Utc>) -> String {
        match self.zone {
            Some(zone) if zone != Zone::UTC => format!("{} ({zone})", zone.shown(at, now)),
            Some(_) | None => Zone::UTC.shown(at, now),
        }
    }

    /// Each of its times that may hold at `now`, and the first one after.
    fn spans(&self, now: DateTime<Utc>) -> Vec<Span> {
        let zone = self.zone.unwrap_or(Zone::UTC);
        match (self.from, self.to) {
            (Moment::Once(from), Moment::Once(to)) => vec![Span { from, to }],
            (Moment::Wall(from), Moment::Wall(to)) => match &self.rule {
                None => vec![span(zone, from, to)],
                Some(rule) => ruled(rule, zone, from, to - from, now),
            },
            (Moment::Weekly { day, minute }, Moment::Weekly { .. }) => {
                let length = self.weekly_length();
                let (today, time) = (zone.wall(now).date(), time_of(minute));
                let days = (-8..=8i64).filter_map(|days| today.checked_add_signed(TimeDelta::days(days)));
                days.filter(|date| date.weekday() == day)
                    .map(|date| span(zone, date.and_time(time), date.and_time(time) + length))
                    .collect()
            }
            // Such a window is refused where it is read; a text that holds one all the same is closed when in doubt.
            (Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. }, Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. }) => {
                vec![Span { from: DateTime::<Utc>::MIN_UTC, to: DateTime::<Utc>::MAX_UTC }]
            }
        }
    }

    /// From a weekly window's begin to its next end, on the clocks.
    fn weekly_length(&self) -> TimeDelta {
        let of = |moment: Moment| match moment {
            Moment::Once(_) | Moment::Wall(_) => 0,
            Moment::Weekly { day, minute } => i64::from(day.num_days_from_monday() * 1440 + minute),
        };
        TimeDelta::minutes((of(self.to) - of(self.from)).rem_euclid(7 * 1440))
    }

    /// What is wrong with it, and at which key; none when it can be meant.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let ordered = match (self.from, self.to) {
            (Moment::Once(from), Moment::Once(to)) => from < to,
            (Moment::Wall(from), Moment::Wall(to)) => from < to,
            (from @ Moment::Weekly { .. }, to @ Moment::Weekly { .. }) => from != to,
            (Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. }, Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. }) => false,
        };
        if !ordered {
            return Some(("to", "must come after `from`, and be written the same way"));
        }
        match (self.from, self.to, &self.rule, self.zone) {
            (Moment::Wall(_), _, _, None) => {
                Some(("from", "is on a clock: say whose, with `zone: Europe/Berlin`, or write it with its offset"))
            }
            (Moment::Once(_), _, _, Some(_)) => Some(("zone", "goes with times on a clock; this one is the same everywhere")),
            (Moment::Once(_) | Moment::Weekly { .. }, _, Some(_), _) => {
                Some(("rrule", "goes with `from: 2026-12-24 00:00`, its first begin"))
            }
            (Moment::Wall(from), Moment::Wall(to), Some(rule), _)
                if (to - from).num_days() > LONGEST_DAYS || first(rule, from).is_none() =>
            {
                Some(("from", "is not the first day on which the rule comes, or the window is longer than a year"))
            }
            (
                Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. },
                Moment::Once(_) | Moment::Wall(_) | Moment::Weekly { .. },
                Some(_) | None,
                Some(_) | None,
            ) => None,
        }
    }
}

fn first(rule: &Recurrence, from: NaiveDateTime) -> Option<NaiveDate> {
    rule.days_from(from.date()).next().filter(|day| *day == from.date())
}

/// The times of a rule that began at most its length before `now`, and one more.
fn ruled(rule: &Recurrence, zone: Zone, from: NaiveDateTime, length: TimeDelta, now: DateTime<Utc>) -> Vec<Span> {
    let early =
        zone.wall(now).date().checked_sub_days(Days::new(2)).and_then(|day| day.checked_sub_signed(length)).unwrap_or(NaiveDate::MIN);
    let mut spans = Vec::new();
    for day in rule.days_from(from.date()).skip_while(|day| *day < early) {
        let wall = day.and_time(from.time());
        let span = span(zone, wall, wall + length);
        let over = match rule.end() {
            End::Never | End::After(_) => false,
            End::AtWall(end) => wall > end,
            End::AtUtc(end) => span.from > end.and_utc(),
        };
        if over {
            break;
        }
        spans.push(span);
        if span.from > now {
            break;
        }
    }
    spans
}

fn span(zone: Zone, from: NaiveDateTime, to: NaiveDateTime) -> Span {
    Span { from: zone.moment(from, Twice::First), to: zone.moment(to, Twice::Second) }
}

fn time_of(minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap_or(NaiveTime::MIN)
}

impl fmt::Display for FreezeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)?;
        if let Some(zone) = self.zone {
            write!(f, " {zone}")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, ", {rule}")?;
        }
        write!(f, " ({})", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: &str, to: &str, zone: &str, rule: &str) -> FreezeWindow {
        let window = FreezeWindow {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            reason: "weekend".to_owned(),
            zone: (!zone.is_empty()).then(|| zone.parse().unwrap()),
            rule: (!rule.is_empty()).then(|| rule.parse().unwrap()),
            break_glass: 1,
        };
        assert_eq!(window.fault(), None, "{window}");
        window
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_holds_its_first_moment_and_not_its_last() {
        let weekend = window("Fri 16:00", "Mon 08:00", "", "");
        let berlin = window("Fri 16:00", "Mon 08:00", "Europe/Berlin", "");
        let night = window("Tue 02:00", "Tue 04:00", "", "");
        let holidays = window("2026-12-24T00:00:00Z", "2027-01-02T00:00:00+01:00", "", "");
        let wall = window("2026-12-24 00:00", "2026-12-27 00:00", "America/New_York", "");
        let yearly = window("2025-12-23 18:00", "2025-12-27 00:00", "Europe/Berlin", "FREQ=YEARLY");
        let quarter =
            window("2026-03-30 00:00", "2026-04-02 00:00", "Europe/Berlin", "FREQ=MONTHLY;INTERVAL=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2");
        let table = [
            (&weekend, "2026-11-27T15:59:59Z", false),
            (&weekend, "2026-11-27T16:00:00Z", true),
            (&weekend, "2026-11-29T12:00:00Z", true),
            (&weekend, "2026-11-30T07:59:59Z", true),
            (&weekend, "2026-11-30T08:00:00Z", false),
            (&night, "2026-11-24T01:59:59Z", false),
            (&night, "2026-11-24T02:00:00Z", true),
            (&night, "2026-11-24T04:00:00Z", false),
            (&holidays, "2026-12-23T23:59:59Z", false),
            (&holidays, "2026-12-24T00:00:00Z", true),
            (&holidays, "2027-01-01T23:00:00Z", false),
            (&wall, "2026-12-24T04:59:59Z", false),
            (&wall, "2026-12-24T05:00:00Z", true),
            (&wall, "2026-12-27T05:00:00Z", false),
            // Winter, summer, and the weekends on which the clocks change.
            (&berlin, "2026-11-27T14:59:59Z", false),
            (&berlin, "2026-11-27T15:00:00Z", true),
            (&berlin, "2026-11-30T07:00:00Z", false),
            (&berlin, "2026-07-03T13:59:59Z", false),
            (&berlin, "2026-07-03T14:00:00Z", true),
            (&berlin, "2026-03-27T14:59:59Z", false),
            (&berlin, "2026-03-27T15:00:00Z", true),
            (&berlin, "2026-03-30T05:59:59Z", true),
            (&berlin, "2026-03-30T06:00:00Z", false),
            (&berlin, "2026-10-23T14:00:00Z", true),
            (&berlin, "2026-10-26T06:59:59Z", true),
            (&berlin, "2026-10-26T07:00:00Z", false),
            (&yearly, "2025-12-23T16:59:59Z", false),
            (&yearly, "2025-12-23T17:00:00Z", true),
            (&yearly, "2030-12-26T22:59:59Z", true),
            (&yearly, "2030-12-26T23:00:00Z", false),
            (&yearly, "2024-12-24T12:00:00Z", false),
            (&quarter, "2026-06-29T00:00:00Z", true),
            (&quarter, "2026-05-28T12:00:00Z", false),
        ];
        for (window, now, wanted) in table {
            assert_eq!(window.covers(at(now)), wanted, "{window} at {now}");
        }
    }

    #[test]
    fn a_time_that_comes_twice_or_never_opens_no_hole() {
        // 02:30 is jumped over on 2026-03-29, and comes twice on 2026-10-25.
        let nightly = window("2026-01-01 01:00", "2026-01-01 02:30", "Europe/Berlin", "FREQ=DAILY");
        let span = |now: &str| nightly.covering(at(now)).map(|span| format!("{} {}", span.from.format("%H:%M"), span.to.format("%H:%M")));
        assert_eq!(span("2026-03-28T00:30:00Z").as_deref(), Some("00:00 01:30"));
        assert_eq!(span("2026-03-29T00:30:00Z").as_deref(), Some("00:00 01:30"));
        assert_eq!(span("2026-10-25T01:00:00Z").as_deref(), Some("23:00 01:30"));
        let late = window("2026-01-01 02:30", "2026-01-01 05:00", "Europe/Berlin", "FREQ=DAILY");
        let begin = |now: &str| late.after(at(now)).unwrap().from.format("%d %H:%M").to_string();
        assert_eq!((begin("2026-03-29T00:00:00Z").as_str(), begin("2026-10-25T00:00:00Z").as_str()), ("29 01:30", "25 00:30"));
    }

    #[test]
    fn what_ends_a_rule_ends_its_windows() {
        let table = [
            ("FREQ=DAILY;COUNT=2", "2026-12-02T12:30:00Z", "2026-12-03T12:30:00Z"),
            ("FREQ=DAILY;UNTIL=20261202", "2026-12-02T12:30:00Z", "2026-12-03T12:30:00Z"),
            ("FREQ=DAILY;UNTIL=20261202T120000Z", "2026-12-02T12:30:00Z", "2026-12-03T12:30:00Z"),
            ("FREQ=DAILY;UNTIL=20261202T115959Z", "2026-12-01T12:30:00Z", "2026-12-02T12:30:00Z"),
        ];
        for (rule, last, never) in table {
            let window = window("2026-12-01 12:00", "2026-12-01 13:00", "UTC", rule);
            assert!(window.covers(at(last)) && !window.covers(at(never)), "{rule}");
            assert_eq!(window.after(at(last)), None, "{rule}");
        }
    }

    #[test]
    fn it_is_said_until_when_and_what_comes_next() {
        let windows = [
            window("Fri 16:00", "Mon 08:00", "Europe/Berlin", ""),
            window("2026-11-30 07:30", "2026-11-30 12:00", "Europe/Berlin", ""),
            window("2026-12-24 00:00", "2026-12-27 00:00", "Europe/Berlin", ""),
        ];
        let inside = freeze_at(&windows, at("2026-11-28T00:00:00Z"));
        assert_eq!((inside.holding.len(), inside.until), (1, Some(at("2026-11-30T11:00:00Z"))));
        assert_eq!(inside.next.map(|(span, _)| span.from), Some(at("2026-11-30T06:30:00Z")));
        let outside = freeze_at(&windows, at("2026-12-23T00:00:00Z"));
        assert_eq!((outside.holding.len(), outside.until), (0, None));
        assert_eq!(outside.next.map(|(span, _)| span.from), Some(at("2026-12-23T23:00:00Z")));
        let always = FreezeWindow { from: "Fri 16:00".parse().unwrap(), ..windows[2].clone() };
        assert!(always.fault().is_some() && always.covers(at("2020-01-01T00:00:00Z")), "closed when in doubt");
    }

    fn broken(uid: u32, when: &str) -> BrokenFreeze {
        let actor =
            Actor { uid, login: format!("u{uid}"), host: "h".to_owned(), tty: None, ssh_client: None, via: "hms freeze break".to_owned() };
        let (release, policy_hash) = (Digest::of(b"release"), Digest::of(b"policy"));
        BrokenFreeze { actor, release, policy_hash, reason: "users cannot pay".to_owned(), at: at(when) }
    }

    #[test]
    fn a_freeze_is_broken_by_the_people_it_asks_for_for_one_release_and_during_it() {
        let weekend = window("Fri 16:00", "Mon 08:00", "Europe/Berlin", "");
        let ask = |break_glass: u32, broken: &[BrokenFreeze]| {
            let (environment, release, policy_hash) = ("prod".parse().unwrap(), Digest::of(b"release"), Digest::of(b"policy"));
            let now = at("2026-11-28T00:00:00Z");
            let facts = FreezeFacts { environment: &environment, release: &release, policy_hash: &policy_hash, broken, now };
            frozen(&facts, &[FreezeWindow { break_glass, ..weekend.clone() }])
        };
        let (ada, bo) = (broken(1, "2026-11-27T20:00:00Z"), broken(2, "2026-11-27T21:00:00Z"));
        let refusal = ask(1, &[]).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Frozen);
        assert_eq!(refusal.message, "prod is frozen until Mon 30 Nov 08:00 CET (Europe/Berlin): weekend");
        assert!(refusal.hint.unwrap().contains("hms freeze break --env prod --release sha256:"));
        assert_eq!(ask(1, std::slice::from_ref(&ada)), Ok(()));
        let one = ask(2, &[ada.clone(), ada.clone()]).unwrap_err();
        assert!(one.message.ends_with("weekend; 1 of 2 people broke it"), "{one}");
        assert_eq!(ask(2, &[ada.clone(), bo.clone()]), Ok(()));
        assert!(ask(0, &[ada.clone(), bo]).unwrap_err().hint.unwrap().starts_with("wait, nobody may break it"));
        let changes: [fn(&mut BrokenFreeze); 4] = [
            |broken| broken.release = Digest::of(b"other"),
            |broken| broken.policy_hash = Digest::of(b"other"),
            |broken| broken.at = at("2026-11-20T20:00:00Z"),
            |broken| broken.reason = " ".to_owned(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = ada.clone();
            change(&mut other);
            assert!(ask(1, &[other]).is_err(), "change {number}");
        }
    }

    #[test]
    fn a_window_from_before_zones_and_rules_is_read_and_written_alike() {
        let older: FreezeWindow = serde_json::from_str(r#"{"from":"Fri 16:00","to":"Mon 08:00","reason":"weekend"}"#).unwrap();
        assert_eq!((older.zone, older.rule.clone(), older.break_glass), (None, None, 0));
        assert_eq!(serde_json::to_string(&older).unwrap(), r#"{"from":"Fri 16:00","to":"Mon 08:00","reason":"weekend"}"#);
    }
}
