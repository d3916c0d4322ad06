//! What an unquoted word means: psych's `ScalarScanner` (ruby/psych `lib/psych/scalar_scanner.rb`), as GitLab reads it.
//!
//! Two differences, both where GitLab fails or loses digits: dates are text, and a whole number past 64 bits keeps its
//! digits as text.

use super::{KeyWord, Value};

/// Reads a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    let first = text.bytes().next();
    match first {
        None => Value::Null,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
        Some(_) => word(text),
    }
}

/// What an unquoted key is when it is no text.
pub(super) fn key_word(text: &str) -> Option<KeyWord> {
    if is_date(text) { Some(KeyWord::Date) } else { KeyWord::of(&resolve(text)) }
}

/// A date, or the date of a time: to psych a class of its own, which GitLab's loader does not let in.
fn is_date(text: &str) -> bool {
    let date = text.split([' ', '\t', 'T', 't']).next().unwrap_or_default();
    let mut parts = date.split('-');
    let mut is = |least: usize, most: usize| {
        parts.next().is_some_and(|part| (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is(4, 4) && is(1, 2) && is(1, 2) && parts.next().is_none() && (date.len() == text.len() || text.contains(':'))
}

fn word(text: &str) -> Value {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if text == "~" || is(&["null"]) {
        Value::Null
    } else if is(&["true", "yes", "on"]) {
        Value::Bool(true)
    } else if is(&["false", "no", "off"]) {
        Value::Bool(false)
    } else {
        Value::String(text.to_owned())
    }
}

fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    match digits.to_ascii_lowercase().as_str() {
        ".inf" => return Some(Value::Float(if sign < 0 { f64::NEG_INFINITY } else { f64::INFINITY })),
        ".nan" => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    if digits.contains(':') {
        return sexagesimal(digits).map(|number| Value::Integer(sign * number));
    }
    if let Some((radix, body)) = radix_and_body(digits) {
        let body: String = body.chars().filter(|letter| !matches!(letter, '_' | ',')).collect();
        return match i64::from_str_radix(&body, radix) {
            Ok(number) => Some(Value::Integer(sign * number)),
            Err(_) if radix == 10 && !body.is_empty() => Some(Value::String(format!("{}{body}", if sign < 0 { "-" } else { "" }))),
            Err(_) => None,
        };
    }
    float(digits).map(|number| Value::Float(if sign < 0 { -number } else { number }))
}

fn radix_and_body(digits: &str) -> Option<(u32, &str)> {
    let all =
        |body: &str, allowed: fn(u8) -> bool| !body.is_empty() && body.bytes().all(|byte| allowed(byte) || matches!(byte, b'_' | b','));
    if let Some(body) = digits.strip_prefix("0b") {
        return all(body, |byte| matches!(byte, b'0' | b'1')).then_some((2, body));
    }
    if let Some(body) = digits.strip_prefix("0x") {
        return all(body, |byte| byte.is_ascii_hexdigit()).then_some((16, body));
    }
    if digits == "0" {
        return Some((10, digits));
    }
    if let Some(body) = digits.strip_prefix('0') {
        return all(body, |byte| matches!(byte, b'0'..=b'7')).then_some((8, body));
    }
    let separated = digits.bytes().last().is_some_and(|byte| byte.is_ascii_digit()) && !digits.contains("__") && !digits.contains(",,");
    let starts = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    (starts && separated && all(digits, |byte| byte.is_ascii_digit())).then_some((10, digits))
}

/// `1:30` is 90: YAML 1.1 counts in sixties. At most three parts, as psych has it.
fn sexagesimal(digits: &str) -> Option<i64> {
    let parts: Vec<&str> = digits.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut total: i64 = 0;
    for (index, part) in parts.iter().enumerate() {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let value: i64 = part.parse().ok()?;
        if index > 0 && (part.len() > 2 || value > 59) {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(value)?;
    }
    Some(total)
}

/// A float has a point; `1e3` is text to psych.
fn float(digits: &str) -> Option<f64> {
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'_' | b',');
    if !whole.bytes().all(plain) || whole.starts_with(['_', ',']) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent_ok = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['+', '-']).is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if !exponent_ok {
        return None;
    }
    digits.replace(['_', ','], "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_they_mean_to_gitlab() {
        let text = |text: &str| Value::String(text.to_owned());
        let table = [
            ("", Value::Null),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("yes", Value::Bool(true)),
            ("On", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("no", Value::Bool(false)),
            ("y", text("y")),
            ("n", text("n")),
            ("0", Value::Integer(0)),
            ("42", Value::Integer(42)),
            ("-42", Value::Integer(-42)),
            ("+7", Value::Integer(7)),
            ("012", Value::Integer(10)),
            ("012345", Value::Integer(5349)),
            ("08", text("08")),
            ("0o12", text("0o12")),
            ("0x1F", Value::Integer(31)),
            ("0b101", Value::Integer(5)),
            ("1_000", Value::Integer(1000)),
            ("1,000", Value::Integer(1000)),
            ("1__0", text("1__0")),
            ("99999999999999999999", text("99999999999999999999")),
            ("1:30", Value::Integer(90)),
            ("1:99", text("1:99")),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("1.", Value::Float(1.0)),
            ("1e3", text("1e3")),
            ("1.0e+3", Value::Float(1000.0)),
            (".inf", Value::Float(f64::INFINITY)),
            ("1.2.3", text("1.2.3")),
            ("2026-11-24", text("2026-11-24")),
            ("-", text("-")),
            (".", text(".")),
            ("1%", text("1%")),
            ("node:18", text("node:18")),
            ("127.0.0.1:8080", text("127.0.0.1:8080")),
            ("250ms", text("250ms")),
        ];
        for (word, value) in table {
            assert_eq!(resolve(word), value, "{word}");
        }
    }
}
