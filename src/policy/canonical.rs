//! A policy's text and hash, and a text that somebody accepted read again.
//!
//! The text is canonical JSON (RFC 8785), the hash its SHA-256 (`docs/decisions.md` 8.1). What is in force is a text with its
//! hash: it is not written anew by a later program, whose defaults may be more.

use serde_json::Value;

use super::Policy;
use super::model::POLICY_FORMAT;
use crate::event::Digest;

/// A policy read from the text that a target keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPolicy {
    /// The policy, with this program's defaults for what the text does not say.
    pub policy: Policy,
    /// The text's own hash.
    pub hash: Digest,
    /// What the text says and this program does not know, by path. Any refuses a deploy, not a rollback.
    pub unknown: Vec<String>,
}

/// A text that is no policy.
#[derive(Debug, thiserror::Error)]
#[error("the stored policy cannot be read")]
pub struct BadPolicyText(#[from] serde_json::Error);

impl Policy {
    /// The policy as canonical JSON, every default written out.
    ///
    /// A share that is no number cannot be written; reading refuses those, so the text is empty only for a policy made by hand.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json_canonicalizer::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of [`Policy::text`].
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Reads a text that [`Policy::text`] made, by this program or another version of it. A section with a value that this program
    /// does not know is read as its default and named in `unknown`, so that a rollback still has a policy to go by.
    ///
    /// # Errors
    /// When it is no JSON object, or its environments cannot be read: nobody should act on a place that is guessed.
    pub fn from_text(text: &str) -> Result<StoredPolicy, BadPolicyText> {
        let given: Value = serde_json::from_str(text)?;
        if !given.is_object() {
            return Err(BadPolicyText(serde::de::Error::custom("a policy is a JSON object")));
        }
        let mut unknown = Vec::new();
        let policy = match Policy::deserialize_from(&given) {
            Ok(policy) => policy,
            Err(_) => Policy::deserialize_from(&readable(given.clone(), &mut unknown))?,
        };
        if let Ok(known) = serde_json::to_value(&policy) {
            // A section that was read as its default is named already.
            let given = readable(given, &mut Vec::new());
            unknown_keys(&given, &known, "", &mut unknown);
        }
        if policy.policy_format > POLICY_FORMAT {
            unknown.push(format!("policy_format {}", policy.policy_format));
        }
        Ok(StoredPolicy { policy, hash: Digest::of(text.as_bytes()), unknown })
    }

    fn deserialize_from(value: &Value) -> Result<Self, serde_json::Error> {
        serde::Deserialize::deserialize(value)
    }
}

/// Takes out the sections that cannot be read, all but the environments.
fn readable(mut given: Value, unknown: &mut Vec<String>) -> Value {
    if let Value::Object(sections) = &mut given {
        sections.retain(|section, value| {
            let alone = Value::Object([(section.clone(), value.clone())].into_iter().collect());
            let kept = section == "environments" || Policy::deserialize_from(&alone).is_ok();
            if !kept {
                unknown.push(section.clone());
            }
            kept
        });
    }
    given
}

/// Gathers the keys of `given` that `known` has not.
fn unknown_keys(given: &Value, known: &Value, path: &str, out: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let (Value::Object(given), Value::Object(known)) = (given, known) {
        for (key, value) in given {
            match known.get(key) {
                Some(other) => unknown_keys(value, other, &below(key), out),
                None => out.push(below(key)),
            }
        }
    } else if let (Value::Array(given), Value::Array(known)) = (given, known) {
        for (number, (value, other)) in given.iter().zip(known).enumerate() {
            unknown_keys(value, other, &below(&number.to_string()), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Canary, Period, Scan};

    #[test]
    fn the_defaults_have_a_text_that_says_them_all() {
        let text = Policy::default().text();
        for wanted in [
            r#""policy_format":1"#,
            r#""slot_timeout":"30m""#,
            r#""error_rate":0.01"#,
            r#""steps":[0.01]"#,
            r#""gate":"high""#,
            r#""advisories":"required""#,
            r#""delay":"3s""#,
            r#""listen":"127.0.0.1:8080""#,
            r#""unwatched":"keep""#,
            r#""bump":"none""#,
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        let stored = Policy::from_text(&text).unwrap();
        assert_eq!((stored.policy.clone(), stored.unknown), (Policy::default(), Vec::new()));
        assert_eq!(stored.hash, stored.policy.hash());
    }

    #[test]
    fn an_older_text_keeps_its_hash_and_a_newer_one_names_what_is_not_known() {
        let older = Policy::from_text(r#"{"policy_format":1,"canary":{"bake":"1m"}}"#).unwrap();
        assert_eq!(older.policy.canary.bake, Period::from_seconds(60));
        assert_eq!(older.policy.scan, Scan::default());
        assert_ne!(older.hash, older.policy.hash());
        let newer = Policy::from_text(r#"{"policy_format":2,"canary":{"mirror":true},"moon":1}"#).unwrap();
        assert_eq!(newer.unknown, ["canary.mirror", "moon", "policy_format 2"]);
        let word = Policy::from_text(r#"{"slot_timeout":"1h","canary":{"on_harm":"page","bake":"1h","mirror":1}}"#).unwrap();
        assert_eq!((word.unknown, word.policy.slot_timeout), (vec!["canary".to_owned()], Period::from_seconds(3600)));
        assert_eq!(word.policy.canary, Canary::default());
        for bad in ["{", "[]", r#"{"environments":{"prod":{"target":"moon","protected":true}}}"#] {
            assert!(Policy::from_text(bad).is_err(), "{bad}");
        }
    }
}
