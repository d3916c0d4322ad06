//! Days that come again: the recurrence rules of RFC 5545 (3.3.10), as far as whole days go. Pure calendar arithmetic on wall time;
//! no zone and no clock is known here.
//!
//! Read are `FREQ` (DAILY, WEEKLY, MONTHLY, YEARLY), `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYWEEKNO`, `BYYEARDAY`, `BYMONTHDAY`,
//! `BYDAY`, `BYSETPOS` and `WKST`. What divides a day (`BYHOUR`, `FREQ=HOURLY`…) is refused: a window begins once a day at most.
//! A day is in the set when every `BY…` part holds for it, which is what the table of RFC 5545 comes to for these frequencies.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, Weekday};
use serde::{Deserialize, Serialize};

/// So many periods without a day end a search: a rule for the 30th of February is no endless loop. More than 400 years of months.
const EMPTY_PERIODS: u32 = 5000;
/// The most values of one part.
const MOST_VALUES: usize = 400;

/// A recurrence rule. In JSON, and shown, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recurrence {
    text: String,
    frequency: Frequency,
    interval: u32,
    end: End,
    months: Vec<i32>,
    weeks: Vec<i32>,
    year_days: Vec<i32>,
    month_days: Vec<i32>,
    days: Vec<(i32, Weekday)>,
    places: Vec<i32>,
    week_start: Weekday,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// When a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Never,
    /// After so many days.
    After(u32),
    /// At this wall time, which may be one of them.
    AtWall(NaiveDateTime),
    /// At this moment of UTC, which may be one of them.
    AtUtc(NaiveDateTime),
}

/// A text that is no rule that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no recurrence rule that hms reads: {why}")]
pub struct BadRecurrence {
    text: String,
    why: String,
}

impl Recurrence {
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// The days on which it comes, from `first` on, in order. `first` itself is the rule's anchor, and one of the days only where the
    /// rule says so.
    pub(super) fn days_from(&self, first: NaiveDate) -> impl Iterator<Item = NaiveDate> + '_ {
        let limit = match self.end {
            End::After(count) => usize::try_from(count).unwrap_or(usize::MAX),
            End::Never | End::AtWall(_) | End::AtUtc(_) => usize::MAX,
        };
        let mut empty = 0;
        (0u32..)
            .map_while(move |number| self.period(first, number))
            .map_while(move |(begin, end)| {
                let days = self.in_period(first, begin, end);
                empty = if days.is_empty() { empty + 1 } else { 0 };
                (empty < EMPTY_PERIODS).then_some(days)
            })
            .flatten()
            .filter(move |day| *day >= first)
            .take(limit)
    }

    /// The first and last day of the period with that number, counted in steps of the interval from the anchor's own.
    fn period(&self, first: NaiveDate, number: u32) -> Option<(NaiveDate, NaiveDate)> {
        let steps = number.checked_mul(self.interval)?;
        let on = |day: NaiveDate, days: u32| day.checked_add_days(Days::new(days.into()));
        match self.frequency {
            Frequency::Daily => on(first, steps).map(|day| (day, day)),
            Frequency::Weekly => {
                let into = first.weekday().days_since(self.week_start);
                let begin = on(first.checked_sub_days(Days::new(into.into()))?, steps.checked_mul(7)?)?;
                Some((begin, on(begin, 6)?))
            }
            Frequency::Monthly => {
                let begin = first.with_day(1)?.checked_add_months(chrono::Months::new(steps))?;
                Some((begin, begin.checked_add_months(chrono::Months::new(1))?.pred_opt()?))
            }
            Frequency::Yearly => {
                let year = first.year().checked_add(i32::try_from(steps).ok()?)?;
                Some((NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year, 12, 31)?))
            }
        }
    }

    fn in_period(&self, first: NaiveDate, begin: NaiveDate, end: NaiveDate) -> Vec<NaiveDate> {
        let days: Vec<NaiveDate> = begin.iter_days().take_while(|day| *day <= end).filter(|day| self.holds(first, *day)).collect();
        if self.places.is_empty() {
            return days;
        }
        let at = |place: &i32| {
            let index = usize::try_from(place.unsigned_abs()).ok()?.checked_sub(1)?;
            if *place > 0 { days.get(index).copied() } else { days.iter().rev().nth(index).copied() }
        };
        let mut chosen: Vec<NaiveDate> = self.places.iter().filter_map(at).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Whether every part holds for that day; what no part says is as the anchor has it.
    fn holds(&self, first: NaiveDate, day: NaiveDate) -> bool {
        let by = |values: &[i32], at: u32, back: u32| {
            values.iter().any(|value| if *value > 0 { value.unsigned_abs() == at } else { value.unsigned_abs() == back })
        };
        let chooses_days = !(self.days.is_empty() && self.month_days.is_empty() && self.year_days.is_empty() && self.weeks.is_empty());
        let default = chooses_days
            || match self.frequency {
                Frequency::Daily => true,
                Frequency::Weekly => day.weekday() == first.weekday(),
                Frequency::Monthly => day.day() == first.day(),
                Frequency::Yearly => day.day() == first.day() && (!self.months.is_empty() || day.month() == first.month()),
            };
        let month = days_of_month(day);
        let year = if day.leap_year() { 366 } else { 365 };
        default
            && (self.months.is_empty() || by(&self.months, day.month(), 0))
            && (self.month_days.is_empty() || by(&self.month_days, day.day(), month + 1 - day.day()))
            && (self.year_days.is_empty() || by(&self.year_days, day.ordinal(), year + 1 - day.ordinal()))
            && (self.weeks.is_empty() || self.in_week(first, day))
            && (self.days.is_empty() || self.days.iter().any(|(nth, weekday)| self.is_nth(day, *nth, *weekday)))
    }

    /// Whether the day is that weekday, and the nth one of its month or year (0: any; negative: from the end).
    fn is_nth(&self, day: NaiveDate, nth: i32, weekday: Weekday) -> bool {
        if day.weekday() != weekday || nth == 0 {
            return day.weekday() == weekday;
        }
        let whole_year = self.frequency == Frequency::Yearly && self.months.is_empty();
        let (at, last) =
            if whole_year { (day.ordinal(), if day.leap_year() { 366 } else { 365 }) } else { (day.day(), days_of_month(day)) };
        let count = if nth > 0 { (at - 1) / 7 + 1 } else { (last - at) / 7 + 1 };
        count == nth.unsigned_abs()
    }

    /// Whether the day's week (ISO 8601's counting, from `WKST` on) is one of those named, in the year of its period. Without `BYDAY` it is
    /// the anchor's weekday in that week.
    fn in_week(&self, first: NaiveDate, day: NaiveDate) -> bool {
        let (Some(begin), Some(next)) = (self.first_week(day.year()), self.first_week(day.year() + 1)) else { return false };
        let weeks = (next - begin).num_days() / 7;
        let number = (day - begin).num_days().div_euclid(7) + 1;
        let named = |value: &i32| i64::from(*value) == number || i64::from(*value) + weeks + 1 == number;
        let weekday =
            !(self.days.is_empty() && self.month_days.is_empty() && self.year_days.is_empty()) || day.weekday() == first.weekday();
        weekday && (1..=weeks).contains(&number) && self.weeks.iter().any(named)
    }

    /// The first day of week 1: the first week with four days or more in the year.
    fn first_week(&self, year: i32) -> Option<NaiveDate> {
        let fourth = NaiveDate::from_ymd_opt(year, 1, 4)?;
        fourth.checked_sub_days(Days::new(fourth.weekday().days_since(self.week_start).into()))
    }
}

fn days_of_month(day: NaiveDate) -> u32 {
    let next = day.with_day(1).and_then(|first| first.checked_add_months(chrono::Months::new(1)));
    next.and_then(|next| next.pred_opt()).map_or(31, |last| last.day())
}

impl FromStr for Recurrence {
    type Err = BadRecurrence;

    fn from_str(text: &str) -> Result<Self, BadRecurrence> {
        read(text).map_err(|why| BadRecurrence { text: text.chars().take(60).collect(), why })
    }
}

fn read(text: &str) -> Result<Recurrence, String> {
    let mut rule = Recurrence {
        text: text.to_owned(),
        frequency: Frequency::Daily,
        interval: 1,
        end: End::Never,
        months: Vec::new(),
        weeks: Vec::new(),
        year_days: Vec::new(),
        month_days: Vec::new(),
        days: Vec::new(),
        places: Vec::new(),
        week_start: Weekday::Mon,
    };
    let mut seen: Vec<String> = Vec::new();
    let body = text.trim().strip_prefix("RRULE:").unwrap_or_else(|| text.trim());
    for part in body.trim_end_matches(';').split(';') {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no NAME=VALUE"))?;
        let name = name.trim().to_ascii_uppercase();
        if seen.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        match name.as_str() {
            "FREQ" => rule.frequency = frequency(value)?,
            "INTERVAL" => rule.interval = count(value, "INTERVAL")?,
            "COUNT" => rule.end = End::After(count(value, "COUNT")?),
            "UNTIL" => rule.end = until(value)?,
            "BYMONTH" => rule.months = numbers(value, &name, 1, 12)?.into_iter().filter(|month| *month > 0).collect(),
            "BYWEEKNO" => rule.weeks = numbers(value, &name, 1, 53)?,
            "BYYEARDAY" => rule.year_days = numbers(value, &name, 1, 366)?,
            "BYMONTHDAY" => rule.month_days = numbers(value, &name, 1, 31)?,
            "BYSETPOS" => rule.places = numbers(value, &name, 1, 366)?,
            "BYDAY" => rule.days = list(value)?.into_iter().map(nth_weekday).collect::<Result<_, _>>()?,
            "WKST" => rule.week_start = weekday(value)?,
            "BYHOUR" | "BYMINUTE" | "BYSECOND" => return Err(format!("{name} divides a day; the time of day is that of `from`")),
            _ => return Err(format!("`{name}` is not known")),
        }
        seen.push(name);
    }
    let has = |name: &str| seen.iter().any(|seen| seen == name);
    if !has("FREQ") {
        return Err("it has no FREQ".to_owned());
    }
    if has("COUNT") && has("UNTIL") {
        return Err("COUNT and UNTIL are both there: choose one".to_owned());
    }
    let yearly = rule.frequency == Frequency::Yearly;
    let by = ["BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"].iter().any(|name| has(name));
    let numbered = rule.days.iter().any(|(nth, _)| *nth != 0);
    for (wrong, why) in [
        (has("BYWEEKNO") && !yearly, "BYWEEKNO goes with FREQ=YEARLY alone"),
        (has("BYYEARDAY") && !yearly, "BYYEARDAY goes with FREQ=YEARLY alone"),
        (has("BYMONTHDAY") && rule.frequency == Frequency::Weekly, "BYMONTHDAY does not go with FREQ=WEEKLY"),
        (numbered && !yearly && rule.frequency != Frequency::Monthly, "a numbered BYDAY goes with FREQ=MONTHLY or YEARLY"),
        (numbered && has("BYWEEKNO"), "a numbered BYDAY does not go with BYWEEKNO"),
        (has("BYSETPOS") && !by, "BYSETPOS needs another BY… part"),
    ] {
        if wrong {
            return Err(why.to_owned());
        }
    }
    Ok(rule)
}

fn frequency(value: &str) -> Result<Frequency, String> {
    match value {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "HOURLY" | "MINUTELY" | "SECONDLY" => Err(format!("FREQ={value} divides a day; a window begins once a day at most")),
        _ => Err(format!("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY, not `{value}`")),
    }
}

fn count(value: &str, name: &str) -> Result<u32, String> {
    let plain = !value.is_empty() && value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|number| plain && *number >= 1).ok_or_else(|| format!("{name} is a number from 1 to 9999"))
}

fn until(value: &str) -> Result<End, String> {
    let wrong = || "UNTIL is 20261231, 20261231T180000 or 20261231T180000Z".to_owned();
    if let Ok(day) = NaiveDate::parse_from_str(value, "%Y%m%d") {
        return day.and_hms_opt(23, 59, 59).map(End::AtWall).ok_or_else(wrong);
    }
    let (wall, utc) = value.strip_suffix('Z').map_or((value, false), |wall| (wall, true));
    let at = NaiveDateTime::parse_from_str(wall, "%Y%m%dT%H%M%S").map_err(|_| wrong())?;
    Ok(if utc { End::AtUtc(at) } else { End::AtWall(at) })
}

fn list(value: &str) -> Result<Vec<&str>, String> {
    let values: Vec<&str> = value.split(',').map(str::trim).collect();
    if values.len() > MOST_VALUES { Err("it has too many values".to_owned()) } else { Ok(values) }
}

fn numbers(value: &str, name: &str, least: u32, most: u32) -> Result<Vec<i32>, String> {
    let signed = name != "BYMONTH";
    let one = |text: &str| {
        let number: Option<i32> = text.trim_start_matches('+').parse().ok();
        number
            .filter(|number| (least..=most).contains(&number.unsigned_abs()) && (signed || *number > 0))
            .ok_or_else(|| format!("{name} is a list of numbers from {least} to {most}, not `{text}`"))
    };
    list(value)?.into_iter().map(one).collect()
}

fn nth_weekday(text: &str) -> Result<(i32, Weekday), String> {
    let letters = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at)).ok_or_else(|| format!("`{text}` is no weekday"))?;
    let (nth, name) = text.split_at(letters);
    let number = if nth.is_empty() { Some(0) } else { nth.trim_start_matches('+').parse().ok().filter(|nth: &i32| *nth != 0) };
    let number = number.filter(|nth| nth.unsigned_abs() <= 53).ok_or_else(|| format!("`{text}` is no weekday, as MO, 1MO or -1FR"))?;
    Ok((number, weekday(name)?))
}

fn weekday(text: &str) -> Result<Weekday, String> {
    let known = [
        ("MO", Weekday::Mon),
        ("TU", Weekday::Tue),
        ("WE", Weekday::Wed),
        ("TH", Weekday::Thu),
        ("FR", Weekday::Fri),
        ("SA", Weekday::Sat),
        ("SU", Weekday::Sun),
    ];
    known.iter().find(|(name, _)| *name == text).map(|(_, day)| *day).ok_or_else(|| format!("`{text}` is no weekday: MO, TU, … SU"))
}

impl TryFrom<String> for Recurrence {
    type Error = BadRecurrence;
    fn try_from(text: String) -> Result<Self, BadRecurrence> {
        text.parse()
    }
}

impl From<Recurrence> for String {
    fn from(rule: Recurrence) -> Self {
        rule.text
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn days(rule: &str, first: &str, most: usize) -> String {
        let rule: Recurrence = rule.parse().unwrap_or_else(|error| panic!("{rule}: {error}"));
        let first = first.parse().unwrap();
        let until = |day: &NaiveDate| match rule.end() {
            End::AtWall(end) | End::AtUtc(end) => *day <= end.date(),
            End::Never | End::After(_) => true,
        };
        let shown: Vec<String> = rule.days_from(first).take_while(until).take(most).map(|day| day.format("%y%m%d").to_string()).collect();
        shown.join(" ")
    }

    /// The examples of RFC 5545 3.8.5.3 whose parts are whole days.
    #[test]
    fn the_examples_of_rfc_5545_come_on_the_days_that_it_says() {
        let table = [
            ("FREQ=DAILY;COUNT=10", "1997-09-02", 99, "970902 970903 970904 970905 970906 970907 970908 970909 970910 970911"),
            ("FREQ=DAILY;INTERVAL=2", "1997-09-02", 6, "970902 970904 970906 970908 970910 970912"),
            ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", 99, "970902 970912 970922 971002 971012"),
            ("FREQ=YEARLY;UNTIL=19990131T140000Z;BYMONTH=1;BYDAY=SU,SA", "1998-01-01", 4, "980103 980104 980110 980111"),
            ("FREQ=WEEKLY;COUNT=4", "1997-09-02", 99, "970902 970909 970916 970923"),
            ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "1997-09-02", 5, "970902 970916 970930 971014 971028"),
            ("FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH", "1997-09-02", 5, "970902 970904 970909 970911 970916"),
            (
                "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
                "1997-09-01",
                9,
                "970901 970903 970905 970915 970917 970919 970929 971001 971003",
            ),
            (
                "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
                "1997-09-02",
                99,
                "970902 970904 970916 970918 970930 971002 971014 971016",
            ),
            ("FREQ=MONTHLY;COUNT=10;BYDAY=1FR", "1997-09-05", 5, "970905 971003 971107 971205 980102"),
            ("FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU", "1997-09-07", 6, "970907 970928 971102 971130 980104 980125"),
            ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "1997-09-22", 99, "970922 971020 971117 971222 980119 980216"),
            ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28", 6, "970928 971029 971128 971229 980129 980226"),
            ("FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15", "1997-09-02", 5, "970902 970915 971002 971015 971102"),
            ("FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1", "1997-09-30", 5, "970930 971001 971031 971101 971130"),
            (
                "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
                "1997-09-10",
                7,
                "970910 970911 970912 970913 970914 970915 990310",
            ),
            ("FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", "1997-09-02", 6, "970902 970909 970916 970923 970930 971104"),
            ("FREQ=YEARLY;COUNT=10;BYMONTH=6,7", "1997-06-10", 4, "970610 970710 980610 980710"),
            ("FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", "1997-03-10", 5, "970310 990110 990210 990310 010110"),
            ("FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", "1997-01-01", 5, "970101 970410 970719 000101 000409"),
            ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", 3, "970519 980518 990517"),
            ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12", 3, "970512 980511 990517"),
            ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13", 5, "970313 970320 970327 980305 980312"),
            ("FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8", "1997-06-05", 3, "970605 970612 970619"),
            ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", 5, "980213 980313 981113 990813 001013"),
            ("FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "1997-09-13", 4, "970913 971011 971108 971213"),
            ("FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-05", 3, "961105 001107 041102"),
            ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", 99, "970904 971007 971106"),
            ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29", 4, "970929 971030 971127 971230"),
            ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", 99, "970805 970810 970819 970824"),
            ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", 99, "970805 970817 970819 970831"),
            ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15", 99, "070115 070130 070215 070315 070330"),
        ];
        for (rule, first, most, wanted) in table {
            assert_eq!(days(rule, first, most), wanted, "{rule} from {first}");
        }
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_reason() {
        let table = [
            ("", "NAME=VALUE"),
            ("COUNT=3", "no FREQ"),
            ("FREQ=HOURLY", "divides a day"),
            ("FREQ=DAILY;BYHOUR=9", "divides a day"),
            ("FREQ=DAILY;COUNT=1;UNTIL=20260101", "choose one"),
            ("FREQ=DAILY;COUNT=0", "1 to 9999"),
            ("FREQ=DAILY;INTERVAL=99999", "1 to 9999"),
            ("FREQ=WEEKLY;BYDAY=1MO", "MONTHLY or YEARLY"),
            ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go"),
            ("FREQ=MONTHLY;BYWEEKNO=1", "YEARLY alone"),
            ("FREQ=MONTHLY;BYSETPOS=1", "another BY"),
            ("FREQ=MONTHLY;BYDAY=0MO", "no weekday"),
            ("FREQ=MONTHLY;BYDAY=é", "no weekday"),
            ("FREQ=YEARLY;BYMONTH=-1", "from 1 to 12"),
            ("FREQ=YEARLY;FREQ=DAILY", "twice"),
            ("FREQ=YEARLY;X-MOON=1", "not known"),
            ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL is"),
        ];
        for (text, wanted) in table {
            let error = text.parse::<Recurrence>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn a_day_that_never_comes_ends_the_search() {
        assert_eq!(days("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01", 1), "");
        assert_eq!(days("FREQ=MONTHLY;INTERVAL=12;BYMONTH=2;BYMONTHDAY=29", "2026-02-01", 2), "280229 320229");
    }

    proptest! {
        #[test]
        fn days_come_in_order_and_none_before_the_first(
            frequency in prop_oneof![Just("DAILY"), Just("WEEKLY"), Just("MONTHLY"), Just("YEARLY")],
            interval in 1..40u32, count in 1..30u32, offset in 0..2000u64, week_start in prop_oneof![Just("MO"), Just("SU"), Just("TH")],
        ) {
            let rule: Recurrence = format!("FREQ={frequency};INTERVAL={interval};COUNT={count};WKST={week_start}").parse().unwrap();
            let first = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + Days::new(offset);
            let days: Vec<NaiveDate> = rule.days_from(first).collect();
            prop_assert_eq!(days.first(), Some(&first));
            prop_assert!(days.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(days.len() == usize::try_from(count).unwrap());
            prop_assert_eq!(serde_json::from_value::<Recurrence>(serde_json::to_value(&rule).unwrap()).unwrap(), rule);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[A-Z=;,0-9+é-]{0,60}") {
            let _ = text.parse::<Recurrence>();
        }
    }
}
