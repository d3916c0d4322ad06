//! Durations as GitLab reads them (the `chronic_duration` gem): `1h 30m`, `3 hours and 30 minutes`, `1:30:00`, `90`.

/// Reads a duration in seconds. None when it is not one, or is zero.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = numerized(&text.trim().to_ascii_lowercase());
    let seconds = if text.contains(':') { clock(&text)? } else { words(&text)? };
    (seconds > 0).then_some(seconds)
}

const UNITS: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Numbers in words as digits, as the `numerizer` gem does it before; up to `ninety nine`, which is all that a duration needs.
fn numerized(text: &str) -> String {
    let place = |words: &[&str], word: &str| words.iter().position(|known| *known == word);
    let mut all: Vec<String> = Vec::new();
    let mut tens: Option<usize> = None;
    let parts = |word: &str| if TENS.iter().any(|tens| word.starts_with(tens)) { 2 } else { 1 };
    for word in text.split([' ', '\t']).flat_map(|word| word.splitn(parts(word), '-')) {
        match (place(&TENS, word).map(|at| (at + 2) * 10), place(&UNITS, word).map(|at| at + 1), tens.take()) {
            (Some(number), _, before) => {
                all.extend(before.map(|before| before.to_string()));
                tens = Some(number);
            }
            (None, Some(number), Some(before)) if number < 10 => all.push((before + number).to_string()),
            (None, Some(number), before) => all.extend(before.into_iter().chain([number]).map(|number| number.to_string())),
            (None, None, before) => all.extend(before.map(|before| before.to_string()).into_iter().chain([word.to_owned()])),
        }
    }
    all.extend(tens.map(|before| before.to_string()));
    all.join(" ")
}

/// `h:mm:ss`, `m:ss`.
fn clock(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    parts.iter().try_fold(0u64, |total, part| {
        let plain = !part.is_empty() && part.len() <= 6 && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { total.checked_mul(60)?.checked_add(part.parse().ok()?) } else { None }
    })
}

fn words(text: &str) -> Option<u64> {
    let mut milliseconds: u64 = 0;
    let mut rest = text;
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
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
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
        "d" | "dy" | "day" | "days" => 86_400,
        "w" | "wk" | "week" | "weeks" => 7 * 86_400,
        "mo" | "mos" | "mth" | "mths" | "month" | "months" => 30 * 86_400,
        "y" | "yr" | "yrs" | "year" | "years" => 365 * 86_400,
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
            ("47 yrs 6 mos and 4d", Some(47 * 365 * 86_400 + 180 * 86_400 + 4 * 86_400)),
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
