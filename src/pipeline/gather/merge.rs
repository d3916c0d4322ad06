//! GitLab's deep merge (`Hash#deep_merge` of Rails): mappings grow into each other, everything else is replaced.

use std::collections::HashMap;

use crate::document::{Entry, Value};

/// Merges `over` into `base`. A key keeps its place in the order; its line and column are those of what wins.
pub(super) fn merge(base: &mut Vec<Entry>, over: Vec<Entry>) {
    let mut index: HashMap<String, usize> = base.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    for entry in over {
        let Some(there) = index.get(&entry.key).and_then(|at| base.get_mut(*at)) else {
            index.insert(entry.key.clone(), base.len());
            base.push(entry);
            continue;
        };
        match (&mut there.value.value, entry.value.value) {
            (Value::Mapping(inner), Value::Mapping(over)) => {
                merge(inner, over);
                (there.place, there.value.place) = (entry.place, entry.value.place);
            }
            (_, value) => {
                there.place = entry.place;
                there.value = crate::document::Node { place: entry.value.place, value };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Node, parse};

    fn merged(base: &str, over: &str) -> String {
        let entries = |text: &str| parse(text.as_bytes()).unwrap().entries().unwrap().to_vec();
        let mut base = entries(base);
        merge(&mut base, entries(over));
        shown(&Node { place: crate::document::Place::START, value: Value::Mapping(base) })
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Mapping(entries) => {
                let all: Vec<String> = entries.iter().map(|entry| format!("{}:{}", entry.key, shown(&entry.value))).collect();
                format!("{{{}}}", all.join(","))
            }
            Value::Sequence(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) | Value::Reference(_) => {
                node.scalar_text().unwrap()
            }
        }
    }

    #[test]
    fn mappings_grow_and_the_rest_is_replaced() {
        let table = [
            ("{a: 1}", "{b: 2}", "{a:1,b:2}"),
            ("{a: 1, b: 2}", "{a: 3}", "{a:3,b:2}"),
            ("{a: [1, 2]}", "{a: [3]}", "{a:[3]}"),
            ("{a: {x: 1, y: {z: 1}}}", "{a: {y: {w: 2}, x: 3}}", "{a:{x:3,y:{z:1,w:2}}}"),
            ("{a: {x: 1}}", "{a: 2}", "{a:2}"),
            ("{a: 2}", "{a: {x: 1}}", "{a:{x:1}}"),
            ("{a: {x: 1}}", "{a: ~}", "{a:}"),
        ];
        for (base, over, expected) in table {
            assert_eq!(merged(base, over), expected);
        }
    }
}
