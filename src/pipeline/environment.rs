//! What GitLab makes of an environment's name.

/// GitLab's limit for a name and for an address.
pub(super) const LENGTH_LIMIT: usize = 255;

/// Whether an environment can be called that: letters, digits and a few signs, no slash at an end (`lib/gitlab/regex.rb`,
/// `environment_name_regex`).
#[must_use]
pub fn is_environment_name(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_-/${}. ".contains(letter);
    !name.is_empty() && name.chars().all(fits) && !name.starts_with('/') && !name.ends_with('/') && name.chars().count() <= LENGTH_LIMIT
}

/// What the name of an environment says of its tier, where no job says it (`app/models/environment.rb`, `guess_tier`).
#[must_use]
pub fn guessed_tier(name: &str) -> &'static str {
    const TABLE: [(&str, &[&str]); 4] = [
        ("development", &["dev", "review", "trunk"]),
        ("testing", &["test", "tst", "int", "accept", "acpt", "qa", "qc", "control", "quality"]),
        ("staging", &["stag", "stg", "model", "modl", "pre", "demo", "non"]),
        ("production", &["prod", "prd", "live"]),
    ];
    let name = name.to_ascii_lowercase();
    TABLE.iter().find(|(_, parts)| parts.iter().any(|part| name.contains(part))).map_or("other", |(tier, _)| tier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_guessed_as_gitlab_does() {
        let table = [
            ("review/topic", "development"),
            ("Trunk", "development"),
            ("qa", "testing"),
            ("integration", "testing"),
            ("user-acceptance", "testing"),
            ("production/test", "testing"),
            ("stg-eu", "staging"),
            ("pre-production", "staging"),
            ("nonprod", "staging"),
            ("prod", "production"),
            ("PRD", "production"),
            ("live", "production"),
            ("canary", "other"),
            ("customer-portal", "other"),
        ];
        for (name, tier) in table {
            assert_eq!(guessed_tier(name), tier, "{name}");
        }
    }

    #[test]
    fn names_are_gitlabs() {
        for name in ["prod", "review/topic-1", "a b", "v1.2", "a//b"] {
            assert!(is_environment_name(name), "{name}");
        }
        for name in ["", "/a", "review/", "review/fix!", "é", &"x".repeat(256)] {
            assert!(!is_environment_name(name), "{name}");
        }
    }
}
