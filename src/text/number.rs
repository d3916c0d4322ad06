//! Numbers as people read them: short, with their unit, and never more exact than they are.

/// How long something took, from milliseconds: `340ms`, `9s`, `1m12s`, `2h05m`, `3d04h`. What is less than the last unit is left out.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// How long ago, from seconds, in the largest unit that fits: `5s`, `2m`, `4h`, `3d`.
#[must_use]
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A fraction from 0 to 1 in percent with one decimal: `1.0 %`. A trace is `<0.1 %`, not nothing; nearly all is `>99.9 %`; no number is `–`.
#[must_use]
pub fn share(fraction: f64) -> String {
    if !fraction.is_finite() {
        return "–".to_owned();
    }
    let percent = fraction * 100.0;
    if percent > 0.0 && percent < 0.05 {
        return "<0.1 %".to_owned();
    }
    if (99.95..100.0).contains(&percent) {
        return ">99.9 %".to_owned();
    }
    format!("{percent:.1} %")
}

/// A whole number with its thousands apart: `4,912`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A latency from seconds: `<1 ms`, `4.2 ms`, `110 ms`, `1.2 s`, `75 s`; no number is `–`.
#[must_use]
pub fn seconds_latency(seconds: f64) -> String {
    let milliseconds = seconds * 1000.0;
    if !seconds.is_finite() || seconds < 0.0 {
        "–".to_owned()
    } else if seconds == 0.0 {
        "0 ms".to_owned()
    } else if milliseconds < 0.95 {
        "<1 ms".to_owned()
    } else if milliseconds < 9.95 {
        format!("{milliseconds:.1} ms")
    } else if milliseconds < 999.5 {
        format!("{milliseconds:.0} ms")
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [(0, "0ms"), (340, "340ms"), (9_400, "9s"), (72_000, "1m12s"), (123_000, "2m03s"), (7_500_000, "2h05m")];
        for (given, wanted) in table {
            assert_eq!(duration(given), wanted);
        }
        assert_eq!(duration(273_600_000), "3d04h");
    }

    #[test]
    fn ages() {
        for (given, wanted) in [(0, "0s"), (59, "59s"), (120, "2m"), (3_600, "1h"), (259_200, "3d")] {
            assert_eq!(age(given), wanted);
        }
    }

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        let table = [(0.01, "1.0 %"), (0.002, "0.2 %"), (0.0, "0.0 %"), (0.0001, "<0.1 %"), (0.9999, ">99.9 %"), (1.0, "100.0 %")];
        for (given, wanted) in table {
            assert_eq!(share(given), wanted);
        }
        assert_eq!(share(f64::NAN), "–");
    }

    #[test]
    fn counts() {
        for (given, wanted) in [(0, "0"), (999, "999"), (4_912, "4,912"), (1_234_567, "1,234,567")] {
            assert_eq!(count(given), wanted);
        }
    }

    #[test]
    fn latencies() {
        let table =
            [(0.110, "110 ms"), (1.2, "1.2 s"), (0.0042, "4.2 ms"), (75.0, "75 s"), (0.9996, "1.0 s"), (0.0001, "<1 ms"), (0.0, "0 ms")];
        for (given, wanted) in table {
            assert_eq!(seconds_latency(given), wanted);
        }
        assert_eq!(seconds_latency(f64::NAN), "–");
    }
}
