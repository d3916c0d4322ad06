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
    /// Whether an entry leads to a service of that namespace at all.
    pub(super) leads_to_service: fn(&Value, &str) -> bool,
    /// The service's name, as an entry of that namespace writes it.
    pub(super) plain: fn(&str, &str) -> String,
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
    /// Other services that get some of it.
    others: Vec<String>,
}

impl Split {
    /// That a share of it cannot be promised; none when there are only the two arms.
    pub(super) fn third(&self, what: &str) -> Option<String> {
        (!self.others.is_empty()).then(|| {
            let (words, others) = (&self.list.words, self.others.join(", "));
            format!("{words} of {what} also leads to {others}: a share of its traffic cannot be promised (hint: give it a rule of its own)")
        })
    }
}

/// The lists that lead to the canary and not to stable, in words: nobody's weights, and errors for their users when the arm goes.
pub(super) fn alone(object: &Object, pair: &Pair, shape: &Shape) -> Vec<String> {
    let namespace = object.namespace();
    let leads = |list: &List, service: &str| {
        let mut entries = object.at(&list.at).and_then(Value::as_array).into_iter().flatten();
        let is = |entry: &Value| {
            let name = entry.pointer(shape.service).and_then(Value::as_str).unwrap_or_default();
            (shape.plain)(name, &namespace) == service && (shape.leads_to_service)(entry, &namespace)
        };
        entries.any(is)
    };
    let lists = (shape.lists)(object).into_iter().filter(|list| leads(list, &pair.canary) && !leads(list, &pair.stable));
    lists.map(|list| format!("{} leads to the canary alone: its users get errors while there is none", list.words)).collect()
}

/// Every list that leads to the stable service.
///
/// # Errors
/// When none does.
pub(super) fn splits(object: &Object, pair: &Pair, shape: &Shape) -> Result<Vec<Split>, TargetError> {
    let (what, namespace) = (format!("{} {}", shape.kind.word(), object.name()), object.namespace());
    let mut found = Vec::new();
    let mut named = Vec::new();
    for list in (shape.lists)(object) {
        let entries: Vec<&Value> = object.at(&list.at).and_then(Value::as_array).into_iter().flatten().collect();
        let name = |entry: &Value| (shape.plain)(entry.pointer(shape.service).and_then(Value::as_str).unwrap_or_default(), &namespace);
        let is = |entry: &Value, service: &str| name(entry) == service && (shape.leads_to_service)(entry, &namespace);
        let weight = |entry: &Value| match entry.get("weight") {
            Some(weight) => weight.as_u64().unwrap_or(0),
            None => (shape.unwritten)(entries.len()),
        };
        named.extend(entries.iter().map(|entry| name(entry)));
        let Some(stable) = entries.iter().position(|entry| is(entry, &pair.stable)) else { continue };
        let canary = entries.iter().position(|entry| is(entry, &pair.canary));
        let third = |entry: &&&Value| !is(entry, &pair.stable) && !is(entry, &pair.canary) && weight(entry) > 0;
        let mut others: Vec<String> = entries.iter().filter(third).map(|entry| name(entry)).collect();
        // Subsets, or two ports of one service: which of them is the arm cannot be told.
        let again = |arm: &str, first: Option<usize>| {
            let entries = entries.iter().enumerate();
            let more = entries.filter(|(index, entry)| Some(*index) != first && is(entry, arm) && weight(entry) > 0).count();
            (more > 0).then(|| format!("{arm} once more"))
        };
        others.extend(again(&pair.stable, Some(stable)).into_iter().chain(again(&pair.canary, canary)));
        let weight_at = |index: usize| entries.get(index).map_or(0, |entry| weight(entry));
        let all: u64 = entries.iter().map(|entry| weight(entry)).sum();
        let beside = canary.map_or(0, weight_at);
        found.push(Split { list, stable, canary, weight: share_of(all - beside, beside), others });
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

/// The changes that give every canary this share in every list; its entry is put beside stable's where it is missing.
///
/// # Errors
/// As [`splits`]; when the share is finer than the router can give, or a list leads to a third service too, which no weight 0 minds.
pub(super) fn edit(object: &Object, pairs: &[Pair], shape: &Shape, weight: Weight) -> Result<Edit, TargetError> {
    pairs.iter().try_fold(Edit::default(), |edit, pair| one_pair(edit, object, pair, shape, weight))
}

fn one_pair(mut edit: Edit, object: &Object, pair: &Pair, shape: &Shape, weight: Weight) -> Result<Edit, TargetError> {
    let (stable, canary) = shares(weight, shape)?;
    let what = format!("{} {}", shape.kind.word(), object.name());
    for split in splits(object, pair, shape)? {
        if let Some(reason) = split.third(&what) {
            if weight > Weight::ZERO {
                return Err(TargetError::NotPossible { reason });
            }
            // Stable and the third keep what they have of one another.
            if let Some(beside) = split.canary {
                edit = edit.put(format!("{}/{beside}/weight", split.list.at), json!(0));
            }
            continue;
        }
        let Split { list, stable: index, canary: beside, .. } = split;
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
