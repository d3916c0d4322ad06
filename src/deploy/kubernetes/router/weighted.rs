//! What the routers with a list of weighted backends have in common: which entries are the two arms, and how a share is written.
//!
//! Single weights are written by JSON patch, by index, under the resourceVersion that the indices were read from: a merge would
//! replace the whole list.

use serde_json::{Value, json};

use super::{Pair, share_of};
use crate::deploy::TargetError;
use crate::deploy::kubernetes::object::{Edit, Kind, Object};
use crate::event::Weight;

/// How one kind of router writes its backends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// The lists of backends in an object.
    pub(super) lists: fn(&Object) -> Vec<List>,
    /// Where an entry names its service, as a JSON pointer.
    pub(super) service: &'static str,
    /// Whether an entry leads to a service at all.
    pub(super) leads_to_service: fn(&Value) -> bool,
    /// What an entry without a weight has, of so many entries.
    pub(super) unwritten: fn(usize) -> u64,
    /// How fine a share can be.
    pub(super) grain: Grain,
}

/// How fine a share can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Any whole thousandth.
    Thousandths,
    /// Whole per cents.
    PerCents,
}

/// A list of backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    /// Where it is, as a JSON pointer.
    pub(super) at: String,
    /// What leads to it, for people.
    pub(super) words: String,
}

/// The two arms in one list, by index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Split {
    pub(super) list: List,
    stable: usize,
    canary: Option<usize>,
    /// The canary's share.
    pub(super) weight: Weight,
}

/// Every list that leads to the stable service.
///
/// # Errors
/// When none does, or one leads to a third service too.
pub(super) fn splits(object: &Object, pair: &Pair, shape: &Shape) -> Result<Vec<Split>, TargetError> {
    let what = format!("{} {}", shape.kind.word(), object.name());
    let mut found = Vec::new();
    let mut named = Vec::new();
    for list in (shape.lists)(object) {
        let entries: Vec<&Value> = object.at(&list.at).and_then(Value::as_array).into_iter().flatten().collect();
        let name = |entry: &Value| entry.pointer(shape.service).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is = |entry: &Value, service: &str| name(entry) == service && (shape.leads_to_service)(entry);
        let weight = |entry: &Value| match entry.get("weight") {
            Some(weight) => weight.as_u64().unwrap_or(0),
            None => (shape.unwritten)(entries.len()),
        };
        named.extend(entries.iter().map(|entry| name(entry)));
        let Some(stable) = entries.iter().position(|entry| is(entry, &pair.stable)) else { continue };
        let canary = entries.iter().position(|entry| is(entry, &pair.canary));
        let third = |entry: &&&Value| !is(entry, &pair.stable) && !is(entry, &pair.canary) && weight(entry) > 0;
        let others: Vec<String> = entries.iter().filter(third).map(|entry| name(entry)).collect();
        if !others.is_empty() {
            let reason = format!(
                "{} of {what} also leads to {}: a share of its traffic cannot be promised (hint: give it a rule of its own)",
                list.words,
                others.join(", ")
            );
            return Err(TargetError::NotPossible { reason });
        }
        let weight_at = |index: usize| entries.get(index).map_or(0, |entry| weight(entry));
        found.push(Split { list, stable, canary, weight: share_of(weight_at(stable), canary.map_or(0, weight_at)) });
    }
    if found.is_empty() {
        let there = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
        let reason = format!(
            "{what} does not lead to the service {}: it leads to {there} (hint: `traffic.stable` in .hms names the service)",
            pair.stable
        );
        return Err(TargetError::NotPossible { reason });
    }
    Ok(found)
}

/// The changes that give the canary this share in every list; its entry is put beside stable's where it is missing.
///
/// # Errors
/// As [`splits`], and when the share is finer than the router can give.
pub(super) fn edit(object: &Object, pair: &Pair, shape: &Shape, weight: Weight) -> Result<Edit, TargetError> {
    let (stable, canary) = shares(weight, shape)?;
    let mut edit = Edit::default();
    for Split { list, stable: index, canary: beside, .. } in splits(object, pair, shape)? {
        let at = list.at;
        edit = edit.put(format!("{at}/{index}/weight"), json!(stable));
        edit = if let Some(beside) = beside {
            edit.put(format!("{at}/{beside}/weight"), json!(canary))
        } else {
            let mut entry = object.at(&format!("{at}/{index}")).cloned().unwrap_or_else(|| json!({}));
            if let Some(name) = entry.pointer_mut(shape.service) {
                *name = json!(pair.canary);
            }
            entry["weight"] = json!(canary);
            edit.put(format!("{at}/-"), entry)
        };
    }
    Ok(edit)
}

/// Weights for two backends that give exactly this share: of 100 where that is exact, else of 1000.
fn shares(weight: Weight, shape: &Shape) -> Result<(u16, u16), TargetError> {
    let thousandths = weight.thousandths();
    if thousandths.is_multiple_of(10) {
        return Ok((100 - thousandths / 10, thousandths / 10));
    }
    match shape.grain {
        Grain::Thousandths => Ok((1000 - thousandths, thousandths)),
        Grain::PerCents => Err(TargetError::NotPossible {
            reason: format!("{} gives whole per cents, and {weight} is none (hint: the next ones can be asked for)", shape.kind.name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::traefik_service::SHAPE;
    use super::super::virtual_service;
    use super::*;

    proptest! {
        #[test]
        fn a_share_is_written_and_read_as_the_same(thousandths in 0u16..=1000) {
            let weight = Weight::from_thousandths(thousandths).unwrap();
            let (stable, canary) = shares(weight, &SHAPE).unwrap();
            prop_assert_eq!(share_of(stable.into(), canary.into()), weight);
        }
    }

    #[test]
    fn shares_are_whole_per_cents_where_they_can_be_and_refused_where_they_must() {
        let of = |text: &str, shape: &Shape| shares(text.parse().unwrap(), shape);
        assert_eq!(of("1%", &SHAPE).unwrap(), (99, 1));
        assert_eq!(of("0.1%", &SHAPE).unwrap(), (999, 1));
        assert_eq!(of("100%", &virtual_service::SHAPE).unwrap(), (0, 100));
        assert!(of("0.5%", &virtual_service::SHAPE).unwrap_err().to_string().contains("whole per cents"));
    }
}
