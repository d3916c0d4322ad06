//! Durations as GitLab reads them (the `chronic_duration` gem): `1h 30m`, `3 hours and 30 minutes`, `1:30:00`, `90`.

/// Reads a duration in seconds. None when it is not one, or is zero.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let seconds = if text.contains(':') { clock(&text)? } else { words(&text)? };
    (seconds > 0).then_some(seconds)
}

/// `m:ss`, `h:mm:ss`, and days, months and years before them; blanks say nothing.
fn clock(text: &str) -> Option<u64> {
    const UNITS: [u64; 6] = [1, 60, 3600, DAY, 30 * DAY, YEAR];
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let parts: Vec<&str> = text.split(':').rev().collect();
    if parts.len() > UNITS.len() {
        return None;
    }
    parts.iter().zip(UNITS).try_fold(0u64, |total, (part, unit)| {
        let plain = !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { total.checked_add(part.parse::<u64>().ok()?.checked_mul(unit)?) } else { None }
    })
}

/// Numbers that are written out, as the gem's `numerizer` reads them.
const NUMBERS: [(&str, u64); 28] = [
    ("zero", 0),
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// The text with digits for numbers that are written out: `twenty-five mins` is `25 mins`.
fn in_digits(text: &str) -> String {
    let number = |word: &str| NUMBERS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    let text = text.replace("y-", "y ");
    let mut out: Vec<String> = Vec::new();
    let mut tens: Option<u64> = None;
    for word in text.split_whitespace() {
        match (number(word), tens.take()) {
            (Some(ones @ 1..=9), Some(before)) => {
                out.pop();
                out.push((before + ones).to_string());
            }
            (Some(found), _) => {
                tens = (found >= 20).then_some(found);
                out.push(found.to_string());
            }
            (None, _) => out.push(word.to_owned()),
        }
    }
    out.join(" ")
}

const DAY: u64 = 86_400;
/// A year of the gem has 365.25 days.
const YEAR: u64 = 31_557_600;

fn words(text: &str) -> Option<u64> {
    let mut milliseconds: u64 = 0;
    let text = in_digits(text);
    let mut rest = text.as_str();
    let mut parts = 0;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        for joiner in ["and ", "with ", "plus "] {
            rest = rest.strip_prefix(joiner).unwrap_or(rest).trim_start();
        }
        if rest.is_empty() {
            return (parts > 0).then_some(milliseconds / 1000);
        }
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        // Only at the start may a unit stand for one of it: `day`, `minute 30 sec`.
        let number = if digits == 0 && parts == 0 { "1" } else { number };
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if digits == 0 && unit.is_empty() {
            return None;
        }
        milliseconds = milliseconds.checked_add(thousandths(number)?.checked_mul(seconds_in(unit)?)?)?;
        rest = after;
        parts += 1;
    }
}

/// `1.5` is 1500. More than three decimals are cut.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') || whole.len() > 12 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction)
}

fn seconds_in(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        "d" | "dy" | "day" | "days" => DAY,
        "w" | "wk" | "wks" | "week" | "weeks" => 7 * DAY,
        "mo" | "mos" | "month" | "months" => 30 * DAY,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_of_gitlabs_documentation() {
        let table = [
            ("42", Some(42)),
            ("42 seconds", Some(42)),
            ("3 mins 4 sec", Some(184)),
            ("2 hrs 20 min", Some(8400)),
            ("2h20min", Some(8400)),
            ("1h 30m", Some(5400)),
            ("3 hours 30 minutes", Some(12_600)),
            ("3 hours and 30 minutes", Some(12_600)),
            ("1.5 hours", Some(5400)),
            ("6 mos 1 day", Some(15_638_400)),
            ("47 yrs 6 mos and 4d", Some(47 * 31_557_600 + 180 * 86_400 + 4 * 86_400)),
            ("day", Some(86_400)),
            ("minute 30sec", Some(90)),
            ("two hours", Some(7200)),
            ("twenty five mins", Some(1500)),
            ("twenty-five mins", Some(1500)),
            ("1h30", Some(3630)),
            ("1 day plus 2 wks with 3s", Some(15 * 86_400 + 3)),
            ("1:00:00:00", Some(86_400)),
            ("1 : 30", Some(90)),
            ("2 mths", None),
            ("1 hour day", None),
            (".", None),
            ("3 weeks and 2 days", Some(23 * 86_400)),
            ("1:30:00", Some(5400)),
            ("one week", Some(7 * 86_400)),
            ("Three hours and thirty minutes", Some(12_600)),
            ("twenty-five mins twenty sec", Some(1520)),
            ("forty two days", Some(42 * 86_400)),
            ("eleventy days", None),
            ("", None),
            ("0", None),
            ("soon", None),
            ("10 parsecs", None),
            ("1h -5m", None),
            ("1..5h", None),
            ("99999999999999999999h", None),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }
}
