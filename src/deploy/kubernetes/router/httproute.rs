//! Gateway API: `HTTPRoute` of `gateway.networking.k8s.io/v1` (<https://gateway-api.sigs.k8s.io/reference/spec/#httproute>).
//!
//! A rule without a weight gives each backend 1. What each parent says of the route is in its status, by generation.

use serde_json::Value;

use super::Parent;
use super::weighted::{Grain, List, Shape};
use crate::deploy::kubernetes::object::{Kind, Object};

pub(super) const SHAPE: Shape = Shape {
    kind: Kind { group: "gateway.networking.k8s.io", version: "v1", name: "HTTPRoute", plural: "httproutes" },
    lists: rules,
    service: "/name",
    leads_to_service,
    plain: |name, _| name.to_owned(),
    unwritten: |_| 1,
    grain: Grain::Thousandths,
};

fn rules(object: &Object) -> Vec<List> {
    let all = object.at("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let list = |(index, rule): (usize, &Value)| List {
        at: format!("/spec/rules/{index}/backendRefs"),
        words: format!("rule {index} ({})", matches(rule)),
    };
    all.enumerate().map(list).collect()
}

fn leads_to_service(backend: &Value, namespace: &str) -> bool {
    let text = |key: &str| backend.get(key).and_then(Value::as_str);
    text("namespace").is_none_or(|other| other == namespace)
        && text("kind").is_none_or(|kind| kind == "Service")
        && text("group").is_none_or(str::is_empty)
}

fn matches(rule: &Value) -> String {
    let told = |one: &Value| {
        let path = one.pointer("/path/value").and_then(Value::as_str).unwrap_or("/");
        let headers = one.get("headers").and_then(Value::as_array).map_or(0, Vec::len);
        let method = one.get("method").and_then(Value::as_str).map(|method| format!("{method} ")).unwrap_or_default();
        format!("{method}{path}{}", if headers > 0 { " with headers" } else { "" })
    };
    match rule.get("matches").and_then(Value::as_array) {
        Some(all) if !all.is_empty() => all.iter().map(told).collect::<Vec<_>>().join(", "),
        Some(_) | None => "/".to_owned(),
    }
}

/// What keeps traffic from following the weights.
pub(super) fn warnings(object: &Object) -> Vec<String> {
    let rules = object.at("/spec/rules").and_then(Value::as_array).into_iter().flatten().enumerate();
    rules
        .filter(|(_, rule)| rule.get("sessionPersistence").is_some())
        .map(|(index, _)| format!("rule {index} keeps sessions: who has a session stays where it is, whatever the weights say"))
        .collect()
}

/// What each parent that the route asks for says of it. One that no gateway looks at has no status at all.
pub(super) fn parents(object: &Object) -> Vec<Parent> {
    let list = |pointer: &str| object.at(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let (asked, said) = (list("/spec/parentRefs"), list("/status/parents"));
    let is_of = |reference: &Value, parent: &Value| {
        ["name", "namespace", "sectionName", "port"].into_iter().all(|key| {
            let (asked, said) = (reference.get(key), parent.pointer(&format!("/parentRef/{key}")));
            // A gateway may write out what is left out.
            asked.is_none() || asked == said
        })
    };
    let of = |reference: &Value| {
        let text = |key: &str| reference.get(key).and_then(Value::as_str);
        let name = match (text("name").unwrap_or("its gateway"), text("sectionName")) {
            (name, Some(section)) => format!("{name}/{section}"),
            (name, None) => name.to_owned(),
        };
        let Some(parent) = said.iter().find(|parent| is_of(reference, parent)) else {
            let awaited = Some(format!("the gateway {name} does not answer for it (hint: kubectl get gateway)"));
            return Parent { name, awaited, is_known: false, objections: Vec::new() };
        };
        answered(object, name, parent)
    };
    if asked.is_empty() {
        let awaited = Some("it names no gateway, so nobody serves it (hint: `parentRefs`)".to_owned());
        return vec![Parent { name: "nobody".to_owned(), awaited, is_known: false, objections: Vec::new() }];
    }
    asked.iter().map(of).collect()
}

fn answered(object: &Object, name: String, parent: &Value) -> Parent {
    let (mut awaited, mut objections) = (None, Vec::new());
    for wanted in ["Accepted", "ResolvedRefs"] {
        let mut conditions = parent.get("conditions").and_then(Value::as_array).into_iter().flatten();
        let condition = conditions.find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted));
        let Some(condition) = condition else {
            awaited = Some(format!("{name} says nothing of {wanted} yet"));
            continue;
        };
        if condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or(0) < object.generation() {
            awaited = Some(format!("{name} has not looked at this change yet"));
        }
        let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("status") != "True" {
            let kind = format!("{wanted} {}", text("reason"));
            objections.push((kind, format!("{name}: {wanted} is {} ({}): {}", text("status"), text("reason"), text("message"))));
        }
    }
    Parent { name, awaited, is_known: true, objections }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::weighted::edit;
    use super::super::{Acceptance, Pair, judged, view};
    use super::*;
    use crate::deploy::kubernetes::object::Edit;

    fn pair() -> Pair {
        Pair { stable: "app".to_owned(), canary: "app-canary".to_owned() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is put into the macro is made for it")]
    fn route(rules: Value, status: Value) -> Object {
        Object::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "app", "generation": 4, "resourceVersion": "77"},
            "spec": {"parentRefs": [{"name": "web"}], "rules": rules}, "status": status,
        }))
    }

    fn accepted(generation: i64) -> Value {
        let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": kind, "observedGeneration": generation});
        json!({"parents": [{"parentRef": {"name": "web"}, "conditions": [condition("Accepted"), condition("ResolvedRefs")]}]})
    }

    fn backend(name: &str, weight: u32) -> Value {
        json!({"name": name, "port": 80, "weight": weight})
    }

    #[test]
    fn weights_are_read_from_every_rule_that_leads_to_stable() {
        let rules = json!([
            {"matches": [{"path": {"value": "/api"}}], "backendRefs": [backend("app-canary", 1), backend("app", 99)]},
            {"backendRefs": [backend("docs", 1)]},
            {"backendRefs": [backend("app", 1)], "sessionPersistence": {}},
        ]);
        let seen = view(&route(rules, accepted(4)), &[pair()], &SHAPE, parents, warnings).unwrap();
        assert_eq!(seen.weight, "1%".parse().unwrap());
        assert_eq!(judged(&[], &seen.parents).0, Acceptance::Accepted);
        assert_eq!(seen.rules, ["rule 0 (/api)", "rule 2 (/)"]);
        let told = seen.warnings.join("\n");
        assert!(told.contains("gives the canary 0") && told.contains("1 of 3") && told.contains("keeps sessions"), "{told}");
    }

    #[test]
    fn only_weights_are_written_and_a_missing_canary_is_put_beside_stable() {
        let rules = json!([{"filters": [{"type": "RequestMirror"}], "backendRefs": [backend("app", 1)]}]);
        let edit = edit(&route(rules, Value::Null), &[pair()], &SHAPE, "0.5%".parse().unwrap()).unwrap();
        let expected = Edit::default()
            .put("/spec/rules/0/backendRefs/0/weight", json!(995))
            .put("/spec/rules/0/backendRefs/-", json!({"name": "app-canary", "port": 80, "weight": 5}));
        assert_eq!(edit, expected);
    }

    #[test]
    fn the_arms_of_several_workloads_get_their_share_in_one_write() {
        let rules = json!([
            {"matches": [{"path": {"value": "/cart"}}], "backendRefs": [backend("cart", 99), backend("cart-canary", 1)]},
            {"backendRefs": [backend("app", 95), backend("app-canary", 5)]},
        ]);
        let pairs = [pair(), Pair { stable: "cart".to_owned(), canary: "cart-canary".to_owned() }];
        let seen = view(&route(rules.clone(), accepted(4)), &pairs, &SHAPE, parents, warnings).unwrap();
        assert_eq!((seen.weight, seen.rules.len()), ("5%".parse().unwrap(), 2));
        assert_eq!(seen.warnings, ["rule 0 (/cart) gives the canary 1%, another one gives it 5%"]);
        let written = edit(&route(rules, Value::Null), &pairs, &SHAPE, crate::event::Weight::ZERO).unwrap();
        let weight = |rule: u8, entry: u8| format!("/spec/rules/{rule}/backendRefs/{entry}/weight");
        let all = [(1, 0, 100), (1, 1, 0), (0, 0, 100), (0, 1, 0)];
        let expected = all.into_iter().fold(Edit::default(), |edit, (rule, entry, share)| edit.put(weight(rule, entry), json!(share)));
        assert_eq!(written, expected);
        let lacking = Pair { stable: "mail".to_owned(), canary: "mail-canary".to_owned() };
        let refused =
            view(&route(json!([{"backendRefs": [backend("app", 1)]}]), Value::Null), &[pair(), lacking], &SHAPE, parents, warnings);
        assert!(refused.unwrap_err().to_string().contains("does not lead to the service mail"));
    }

    #[test]
    fn a_third_backend_stops_a_share_and_no_way_back() {
        let three = route(json!([{"backendRefs": [backend("app", 40), backend("app-canary", 10), backend("old", 50)]}]), Value::Null);
        let refused = edit(&three, &[pair()], &SHAPE, "1%".parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("also leads to old"), "{refused}");
        let back = edit(&three, &[pair()], &SHAPE, crate::event::Weight::ZERO).unwrap();
        assert_eq!(back, Edit::default().put("/spec/rules/0/backendRefs/1/weight", json!(0)), "stable and the third keep what they have");
        let seen = view(&three, &[pair()], &SHAPE, parents, warnings).unwrap();
        assert_eq!(seen.weight, "10%".parse().unwrap());
        assert!(seen.warnings.join("\n").contains("also leads to old"), "{:?}", seen.warnings);
        let none = view(&route(json!([{"backendRefs": [backend("other", 1)]}]), Value::Null), &[pair()], &SHAPE, parents, warnings);
        assert!(none.unwrap_err().to_string().contains("it leads to other"));
    }

    #[test]
    fn a_rule_that_leads_to_the_canary_alone_is_told() {
        let rules = json!([{"backendRefs": [backend("app", 1)]}, {"matches": [{"headers": [{"name": "x", "value": "y"}]}], "backendRefs": [backend("app-canary", 1)]}]);
        let seen = view(&route(rules, accepted(4)), &[pair()], &SHAPE, parents, warnings).unwrap();
        assert_eq!(seen.weight, crate::event::Weight::ZERO);
        let told = seen.warnings.join("\n");
        assert!(told.contains("rule 1 (/ with headers) leads to the canary alone"), "{told}");
    }

    #[test]
    fn acceptance_is_of_this_generation_and_by_every_parent() {
        let rules = || json!([{"backendRefs": [backend("app", 99), backend("app-canary", 1)]}]);
        let acceptance = |route: &Object| judged(&[], &parents(route)).0;
        assert!(
            matches!(acceptance(&route(rules(), Value::Null)), Acceptance::Awaited(why) if why.contains("gateway web does not answer"))
        );
        assert!(matches!(acceptance(&route(rules(), accepted(3))), Acceptance::Awaited(_)));
        let mut refused = accepted(4);
        refused["parents"][0]["conditions"][1] = json!({"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "service app-canary", "observedGeneration": 4});
        let refused = route(rules(), refused);
        assert!(matches!(acceptance(&refused), Acceptance::Rejected(why) if why.contains("BackendNotFound")));
        assert_eq!(judged(&parents(&refused), &parents(&refused)).0, Acceptance::Accepted, "it was so before");
    }
}
