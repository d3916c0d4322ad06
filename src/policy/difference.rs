//! What a commit's policy would change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Policy;

/// One setting that differs. Values are JSON; none is a setting that the other side does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting, for instance `environments.prod.approvals`.
    pub path: String,
    /// What is in force.
    pub from: Option<String>,
    /// What the commit says.
    pub to: Option<String>,
}

/// Lists what the commit's policy says otherwise than the one in force, in the order of paths. Equal policies give nothing.
#[must_use]
pub fn difference(in_force: &Policy, commits: &Policy) -> Vec<Difference> {
    let mut found = Vec::new();
    let as_json = |policy| serde_json::to_value(policy).ok();
    compare("", as_json(in_force).as_ref(), as_json(commits).as_ref(), &mut found);
    found
}

fn compare(path: &str, from: Option<&Value>, to: Option<&Value>, found: &mut Vec<Difference>) {
    if from == to {
        return;
    }
    if let (Some(Value::Object(left)), Some(Value::Object(right))) = (from, to) {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for key in keys {
            let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            compare(&below, left.get(key), right.get(key), found);
        }
        return;
    }
    let text = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(ToString::to_string);
    found.push(Difference { path: path.to_owned(), from: text(from), to: text(to) });
}
