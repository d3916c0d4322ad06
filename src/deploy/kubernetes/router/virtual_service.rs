//! Istio: `VirtualService` of `networking.istio.io/v1` (<https://istio.io/latest/docs/reference/config/networking/virtual-service/>).
//!
//! Each of `spec.http` is a rule. The destinations are told apart by host; weights are whole per cents, and a rule's only destination
//! without one has all. Istio writes no status by default, so a change counts as taken over when it is stored.

use serde_json::Value;

use super::weighted::{Grain, List, Shape};
use crate::deploy::kubernetes::object::{Kind, Object};

pub(super) const SHAPE: Shape = Shape {
    kind: Kind { group: "networking.istio.io", version: "v1", name: "VirtualService", plural: "virtualservices" },
    lists: rules,
    service: "/destination/host",
    leads_to_service: |_: &Value, _: &str| true,
    plain,
    unwritten: |entries| if entries == 1 { 100 } else { 0 },
    grain: Grain::PerCents,
};

/// A host without what the mesh reads as the same: `shop`, `shop.irs`, `shop.irs.svc` and `shop.irs.svc.cluster.local` are one service of `irs`.
fn plain(host: &str, namespace: &str) -> String {
    let rest = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc")).unwrap_or(host);
    rest.strip_suffix(&format!(".{namespace}")).unwrap_or(rest).to_owned()
}

fn rules(object: &Object) -> Vec<List> {
    let all = object.at("/spec/http").and_then(Value::as_array).into_iter().flatten();
    let list = |(index, rule): (usize, &Value)| {
        let name = rule.get("name").and_then(Value::as_str).map_or_else(|| format!("rule {index}"), |name| format!("rule {name}"));
        List { at: format!("/spec/http/{index}/route"), words: name }
    };
    all.enumerate().map(list).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Pair;
    use super::super::weighted::{edit, splits};
    use super::*;
    use crate::deploy::kubernetes::object::Edit;
    use crate::event::Weight;

    #[test]
    fn a_host_is_a_service_however_it_is_written_and_subsets_of_one_are_no_split() {
        for host in ["app", "app.irs", "app.irs.svc", "app.irs.svc.cluster.local"] {
            assert_eq!(plain(host, "irs"), "app");
        }
        assert_eq!(plain("app.other.svc.cluster.local", "irs"), "app.other");
        let object = |route: Value| {
            Object::from_value(json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": "app", "namespace": "irs"}, "spec": {"http": [{"route": route}]}}))
        };
        let pair = Pair { stable: "app".to_owned(), canary: "app-canary".to_owned() };
        let to = |host: &str, weight: u8| json!({"destination": {"host": host}, "weight": weight});
        let whole = object(json!([to("app.irs.svc.cluster.local", 95), to("app-canary.irs.svc.cluster.local", 5)]));
        assert_eq!(splits(&whole, &pair, &SHAPE).unwrap()[0].weight, "5%".parse().unwrap());
        let subsets = object(json!([to("app", 90), to("app", 10)]));
        let refused = edit(&subsets, std::slice::from_ref(&pair), &SHAPE, "1%".parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("app once more"), "{refused}");
        edit(&subsets, std::slice::from_ref(&pair), &SHAPE, Weight::ZERO).unwrap();
    }

    #[test]
    fn destinations_are_told_apart_by_host_and_the_only_one_has_all() {
        let object = Object::from_value(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "app"},
            "spec": {"hosts": ["app"], "http": [{"name": "main", "timeout": "5s", "route": [{"destination": {"host": "app", "port": {"number": 80}}}]}]},
        }));
        let pair = Pair { stable: "app".to_owned(), canary: "app-canary".to_owned() };
        assert_eq!(splits(&object, &pair, &SHAPE).unwrap()[0].weight, Weight::ZERO);
        let changes = edit(&object, std::slice::from_ref(&pair), &SHAPE, "1%".parse().unwrap()).unwrap();
        let canary = json!({"destination": {"host": "app-canary", "port": {"number": 80}}, "weight": 1});
        assert_eq!(changes, Edit::default().put("/spec/http/0/route/0/weight", json!(99)).put("/spec/http/0/route/-", canary));
    }
}
