//! Names made fit for host names and paths, as GitLab makes them.

use crate::event::Digest;

/// `CI_COMMIT_REF_SLUG` and `CI_JOB_NAME_SLUG`: lower case letters, digits and `-`, 63 at most, no `-` at the ends.
#[must_use]
pub fn slug(name: &str) -> String {
    let plain: String = dashed(name).chars().take(63).collect();
    plain.trim_matches('-').to_owned()
}

/// `CI_ENVIRONMENT_SLUG`: at most 24 characters that start with a letter; where that changes the name, the first 17 and six
/// characters of its SHA-256 in base 36 (`lib/gitlab/slug/environment.rb`).
#[must_use]
pub fn environment_slug(name: &str) -> String {
    let mut slug = dashed(name);
    if !slug.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        slug.insert_str(0, "env-");
    }
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    if slug == name && slug.len() <= 24 {
        return slug;
    }
    let mut short: String = slug.chars().take(17).collect();
    if !short.ends_with('-') {
        short.push('-');
    }
    short + &suffix(name)
}

fn dashed(name: &str) -> String {
    name.to_lowercase().chars().map(|letter| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' }).collect()
}

/// The last six base 36 digits of the SHA-256: the remainder by 36⁶.
fn suffix(name: &str) -> String {
    const MODULUS: u64 = 36u64.pow(6);
    let mut rest = Digest::of(name.as_bytes())
        .hex()
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .fold(0, |rest, digit| (rest * 16 + u64::from(digit)) % MODULUS);
    let mut digits = [' '; 6];
    for place in digits.iter_mut().rev() {
        *place = u32::try_from(rest % 36).ok().and_then(|digit| char::from_digit(digit, 36)).unwrap_or('0');
        rest /= 36;
    }
    digits.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_slugs_are_gitlabs() {
        let table = [
            ("production", "production"),
            ("Production EU", "production-eu-dxh713"),
            ("review/feature-1", "review-feature-1-1q251u"),
            ("canary/eu west 1/very-long-name", "canary-eu-west-1-rx64pr"),
        ];
        for (name, expected) in table {
            assert_eq!(environment_slug(name), expected);
        }
        assert!(environment_slug("1st").starts_with("env-1st-"));
    }

    #[test]
    fn ref_slugs_are_gitlabs() {
        let long = "x".repeat(70);
        let table =
            [("Feature/ABC_1", "feature-abc-1"), ("-a-", "a"), ("a--b", "a--b"), (long.as_str(), &long[..63]), ("test 1/4", "test-1-4")];
        for (name, expected) in table {
            assert_eq!(slug(name), expected);
        }
    }
}
