//! Numbers and foreign text in the form the screen has them.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};

pub(crate) use crate::text::{count, plain, seconds_latency as latency};

/// A duration for a column: `430ms`, `9s`, `2m03s`, `1h07m`, `3d04h`.
pub(crate) fn duration(duration: Duration) -> String {
    crate::text::duration(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A duration as people say a forecast: `40 s`, `3 min`, `2 h`; rounded up, for it is a promise.
pub(crate) fn about(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..5400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// A share from 0 to 1 in percent: `0.2 %`, `12 %`, `0 %`.
pub(crate) fn share(share: f64) -> String {
    let percent = share * 100.0;
    let whole = (percent - percent.round()).abs() < 1e-6;
    if whole || (9.95..99.0).contains(&percent) {
        format!("{percent:.0} %")
    } else if percent < 0.095 {
        format!("{percent:.2} %")
    } else {
        // Never rounded to a whole that it is not.
        format!("{:.1} %", if percent < 100.0 { percent.min(99.9) } else { percent })
    }
}

/// One thing or several: `1 line`, `2 lines`.
pub(crate) fn several(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", self::count(count), if count == 1 { one } else { many })
}

/// A time of day where the person is, with the day when it is another one than `now`'s. It does not age by itself.
pub(crate) fn time_of_day(time: DateTime<Utc>, now: DateTime<Utc>, zone: FixedOffset) -> String {
    let (time, now) = (time.with_timezone(&zone), now.with_timezone(&zone));
    if time.date_naive() == now.date_naive() { time.format("%H:%M").to_string() } else { time.format("%b %-d %H:%M").to_string() }
}

/// The time between two moments of wall time; nothing when they are the wrong way round, for clocks are set.
pub(crate) fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// The text if it fits, else as much of it as does, with an ellipsis.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut taken = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or_default();
        if used + wide + 1 > columns {
            break;
        }
        taken.push(c);
        used += wide;
    }
    if columns > 0 {
        taken.push('…');
    }
    taken
}

/// The text in lines of at most so many columns, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_kinder_than_they_are() {
        let seconds = |s| duration(Duration::from_secs(s));
        assert_eq!([seconds(9), seconds(72), seconds(4020), seconds(273_600)], ["9s", "1m12s", "1h07m", "3d04h"]);
        assert_eq!(duration(Duration::from_millis(430)), "430ms");
        assert_eq!([about(40), about(130), about(7200)], ["40 s", "3 min", "2 h"]);
        assert_eq!([latency(0.11), latency(1.25), latency(250.0)], ["110 ms", "1.2 s", "250 s"]);
        assert_eq!(
            [share(0.0), share(0.002), share(0.01), share(0.0104), share(0.5), share(0.9999), share(1.0)],
            ["0 %", "0.2 %", "1 %", "1.0 %", "50 %", "99.9 %", "100 %"]
        );
        assert_eq!([count(7), count(1_204), count(1_000_000)], ["7", "1,204", "1,000,000"]);
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("x", 0), "");
    }
}
