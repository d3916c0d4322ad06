//! Gateway API: `HTTPRoute` of `gateway.networking.k8s.io/v1` (<https://gateway-api.sigs.k8s.io/reference/spec/#httproute>).
//!
//! A rule without a weight gives each backend 1. What each parent says of the route is in its status, by generation.

use serde_json::Value;

use super::Acceptance;
use super::weighted::{Grain, List, Shape};
use crate::deploy::kubernetes::object::{Kind, Object};

pub(super) const SHAPE: Shape = Shape {
    kind: Kind { group: "gateway.networking.k8s.io", version: "v1", name: "HTTPRoute", plural: "httproutes" },
    lists: rules,
    service: "/name",
    leads_to_service,
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

fn leads_to_service(backend: &Value) -> bool {
    let text = |key: &str| backend.get(key).and_then(Value::as_str);
    text("kind").is_none_or(|kind| kind == "Service") && text("group").is_none_or(str::is_empty)
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

/// What each parent says of this generation. A route that no gateway looks at has no status at all.
pub(super) fn acceptance(object: &Object) -> Acceptance {
    let parents: Vec<&Value> = object.at("/status/parents").and_then(Value::as_array).into_iter().flatten().collect();
    let asked: Vec<&Value> = object.at("/spec/parentRefs").and_then(Value::as_array).into_iter().flatten().collect();
    if parents.is_empty() {
        let named: Vec<&str> = asked.iter().filter_map(|parent| parent.get("name")?.as_str()).collect();
        return Acceptance::Awaited(format!("no gateway answers for it; it names {} (hint: kubectl get gateway)", named.join(", ")));
    }
    if parents.len() < asked.len() {
        return Acceptance::Awaited(format!("{} of {} gateways answer for it", parents.len(), asked.len()));
    }
    for parent in parents {
        let name = parent.pointer("/parentRef/name").and_then(Value::as_str).unwrap_or("its gateway");
        for wanted in ["Accepted", "ResolvedRefs"] {
            let mut conditions = parent.get("conditions").and_then(Value::as_array).into_iter().flatten();
            let condition = conditions.find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted));
            let Some(condition) = condition else { return Acceptance::Awaited(format!("{name} says nothing of {wanted} yet")) };
            let seen = condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or(0);
            if seen < object.generation() {
                return Acceptance::Awaited(format!("{name} has not looked at this change yet"));
            }
            let text = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("status") != "True" {
                return Acceptance::Rejected(format!("{name}: {wanted} is {} ({}): {}", text("status"), text("reason"), text("message")));
            }
        }
    }
    Acceptance::Accepted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::weighted::edit;
    use super::super::{Pair, view};
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
        let seen = view(&route(rules, accepted(4)), &pair(), &SHAPE, acceptance, warnings).unwrap();
        assert_eq!(seen.weight, "1%".parse().unwrap());
        assert_eq!(seen.acceptance, Acceptance::Accepted);
        assert_eq!(seen.rules, ["rule 0 (/api)", "rule 2 (/)"]);
        let told = seen.warnings.join("\n");
        assert!(told.contains("gives the canary 0") && told.contains("1 of 3") && told.contains("keeps sessions"), "{told}");
    }

    #[test]
    fn only_weights_are_written_and_a_missing_canary_is_put_beside_stable() {
        let rules = json!([{"filters": [{"type": "RequestMirror"}], "backendRefs": [backend("app", 1)]}]);
        let edit = edit(&route(rules, Value::Null), &pair(), &SHAPE, "0.5%".parse().unwrap()).unwrap();
        let expected = Edit::default()
            .put("/spec/rules/0/backendRefs/0/weight", json!(995))
            .put("/spec/rules/0/backendRefs/-", json!({"name": "app-canary", "port": 80, "weight": 5}));
        assert_eq!(edit, expected);
    }

    #[test]
    fn a_third_backend_or_no_stable_is_refused_with_names() {
        let refusal = |rules: Value| view(&route(rules, Value::Null), &pair(), &SHAPE, acceptance, warnings).unwrap_err().to_string();
        let three = refusal(json!([{"backendRefs": [backend("app", 50), backend("app-canary", 0), backend("old", 50)]}]));
        assert!(three.contains("also leads to old"), "{three}");
        let none = refusal(json!([{"backendRefs": [backend("other", 1)]}]));
        assert!(none.contains("it leads to other"), "{none}");
    }

    #[test]
    fn acceptance_is_of_this_generation_and_by_every_parent() {
        let rules = || json!([{"backendRefs": [backend("app", 99), backend("app-canary", 1)]}]);
        assert!(matches!(acceptance(&route(rules(), Value::Null)), Acceptance::Awaited(why) if why.contains("names web")));
        assert!(matches!(acceptance(&route(rules(), accepted(3))), Acceptance::Awaited(_)));
        let mut refused = accepted(4);
        refused["parents"][0]["conditions"][1] = json!({"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "service app-canary", "observedGeneration": 4});
        assert!(matches!(acceptance(&route(rules(), refused)), Acceptance::Rejected(why) if why.contains("BackendNotFound")));
    }
}
