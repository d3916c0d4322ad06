//! ingress-nginx: a second `Ingress` beside the user's, with the canary annotations
//! (<https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary>).
//!
//! The user's own Ingress is never written. At weight 0 the second one stays, with weight 0. The controller writes
//! no status of it: a change counts as taken over when it is stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Pair, RouteView, share_of};
use crate::deploy::TargetError;
use crate::deploy::kubernetes::access::{Access, Trouble};
use crate::deploy::kubernetes::names::TRAFFIC_MANAGER;
use crate::deploy::kubernetes::object::{Edit, Fence, Fences, Kind, Object, Objects};
use crate::deploy::kubernetes::written;
use crate::event::Weight;

const KIND: Kind = Kind { group: "networking.k8s.io", version: "v1", name: "Ingress", plural: "ingresses" };
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
const TOTAL: &str = "nginx.ingress.kubernetes.io/canary-weight-total";
const CLASS: &str = "kubernetes.io/ingress.class";
const AFFINITY: &str = "nginx.ingress.kubernetes.io/affinity";

/// The user's Ingress and the one beside it.
#[derive(Debug, Clone)]
pub(in crate::deploy::kubernetes) struct Ingress {
    objects: Objects,
    name: String,
    pairs: Vec<Pair>,
}

impl Ingress {
    pub(super) fn new(access: &Access, name: &str, pairs: Vec<Pair>) -> Self {
        Self { objects: Objects::of(access, KIND), name: name.to_owned(), pairs }
    }

    pub(super) fn name(&self) -> String {
        format!("ingress {}", self.beside())
    }

    fn beside(&self) -> String {
        format!("{}-canary", self.name)
    }

    pub(super) async fn read(&self) -> Result<RouteView, TargetError> {
        let stable = self.objects.need(&self.name).await?;
        let rules = rules(&stable, &self.pairs)?;
        let beside = self.objects.get(&self.beside()).await?;
        let at = written::keys(&["metadata", "annotations", WEIGHT]);
        Ok(RouteView {
            is_ours: beside.as_ref().is_some_and(|object| written::is_by_hms(object, &at)),
            writer: beside.as_ref().and_then(|object| written::writer(object, &at)),
            weight: beside.as_ref().map_or(Weight::ZERO, weight),
            fences: beside.as_ref().map(Object::fences).unwrap_or_default(),
            parents: Vec::new(),
            rules: rules.iter().map(|rule| rule.pointer("/host").and_then(Value::as_str).unwrap_or("*").to_owned()).collect(),
            warnings: stable
                .annotation(AFFINITY)
                .map(|_| format!("ingress {} keeps sessions: who has a session stays at stable", self.name))
                .into_iter()
                .collect(),
        })
    }

    pub(super) async fn set(&self, weight: Weight, fence: &Fence) -> Result<(), TargetError> {
        let there = self.objects.get(&self.beside()).await?;
        if there.as_ref().is_some_and(|there| there.fences() == Fences::default()) {
            let reason = format!("{} is not hms's (hint: rename it or delete it; hms makes its own)", self.name());
            return Err(TargetError::NotPossible { reason });
        }
        if weight == Weight::ZERO && there.is_none() {
            return Ok(());
        }
        // What it leads to is stable's to say, each time; weight 0 minds nothing of it.
        let led = match self.objects.get(&self.name).await? {
            Some(stable) => rules(&stable, &self.pairs).map(|rules| (stable, rules)),
            None => Err(TargetError::NotPossible { reason: format!("ingress {} is not there", self.name) }),
        };
        let led = match led {
            Err(_) if weight == Weight::ZERO => None,
            led => Some(led?),
        };
        if let (None, Some((stable, rules))) = (&there, &led) {
            let mut body = json!({"spec": {
                "ingressClassName": stable.at("/spec/ingressClassName"), "tls": stable.at("/spec/tls"), "rules": rules,
            }});
            body["metadata"]["annotations"] =
                json!({CANARY: "true", WEIGHT: "0", TOTAL: "1000", fence.name.as_str(): fence.number.to_string()});
            if let Some(class) = stable.annotation(CLASS) {
                // The older way to say which controller serves it: without it nobody would.
                body["metadata"]["annotations"][CLASS] = json!(class);
            }
            match self.objects.create(&self.beside(), body).await {
                Ok(_) | Err(Trouble::Conflict { .. }) => {}
                Err(trouble) => return Err(trouble.into()),
            }
        }
        let edit = |_: &Object| {
            let edit = Edit::default().annotate(CANARY, "true").annotate(WEIGHT, &weight.thousandths().to_string()).annotate(TOTAL, "1000");
            Ok(match &led {
                Some((_, rules)) => edit.put("/spec/rules", json!(rules)),
                None => edit,
            })
        };
        self.objects.change(&self.beside(), TRAFFIC_MANAGER, fence, edit).await?;
        Ok(())
    }
}

/// The share by the annotations; a total that is not written is 100.
fn weight(object: &Object) -> Weight {
    if object.annotation(CANARY) != Some("true") {
        return Weight::ZERO;
    }
    let number = |name: &str| object.annotation(name).and_then(|text| text.parse::<u64>().ok());
    let (canary, total) = (number(WEIGHT).unwrap_or(0), number(TOTAL).unwrap_or(100));
    share_of(total.saturating_sub(canary), canary)
}

/// The rules that lead to stable, leading to the canary instead.
fn rules(stable: &Object, pairs: &[Pair]) -> Result<Vec<Value>, TargetError> {
    let service = "/backend/service/name";
    let (mut found, mut led) = (Vec::new(), BTreeSet::new());
    for rule in stable.at("/spec/rules").and_then(Value::as_array).into_iter().flatten() {
        let mut rule = rule.clone();
        if let Some(paths) = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut) {
            paths.retain_mut(|path| {
                let named = path.pointer(service).and_then(Value::as_str);
                let Some(pair) = pairs.iter().find(|pair| named == Some(pair.stable.as_str())) else { return false };
                led.insert(pair.stable.as_str());
                path["backend"]["service"]["name"] = json!(pair.canary);
                true
            });
            if !paths.is_empty() {
                found.push(rule);
            }
        }
    }
    if let Some(pair) = pairs.iter().find(|pair| !led.contains(pair.stable.as_str())) {
        let reason = format!(
            "ingress {} does not lead to the service {} (hint: `traffic.stable` in .hms names the service)",
            stable.name(),
            pair.stable
        );
        return Err(TargetError::NotPossible { reason });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_ingress_has_the_paths_that_lead_to_stable_and_no_others() {
        let path = |name: &str, path: &str| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}});
        let object = Object::from_value(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "app"},
            "spec": {"rules": [{"host": "a.test", "http": {"paths": [path("app", "/"), path("docs", "/docs")]}}, {"host": "b.test", "http": {"paths": [path("docs", "/")]}}]},
        }));
        let pair = Pair { stable: "app".to_owned(), canary: "app-canary".to_owned() };
        let found = rules(&object, std::slice::from_ref(&pair)).unwrap();
        assert_eq!(found, [json!({"host": "a.test", "http": {"paths": [path("app-canary", "/")]}})]);
        let docs = Pair { stable: "docs".to_owned(), canary: "docs-canary".to_owned() };
        let both = rules(&object, &[pair.clone(), docs]).unwrap();
        assert_eq!(both[0]["http"]["paths"], json!([path("app-canary", "/"), path("docs-canary", "/docs")]));
        assert_eq!(both[1]["http"]["paths"], json!([path("docs-canary", "/")]));
        let other = Pair { stable: "nope".to_owned(), ..pair.clone() };
        assert!(rules(&object, &[pair, other]).unwrap_err().to_string().contains("does not lead to the service nope"));
    }

    #[test]
    fn a_share_is_of_its_total() {
        let with = |weight: &str, total: Option<&str>| {
            let mut object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "c"}});
            object["metadata"]["annotations"] = json!({CANARY: "true", WEIGHT: weight});
            if let Some(total) = total {
                object["metadata"]["annotations"][TOTAL] = json!(total);
            }
            super::weight(&Object::from_value(object))
        };
        assert_eq!(with("1", None), "1%".parse().unwrap());
        assert_eq!(with("5", Some("1000")), "0.5%".parse().unwrap());
        assert_eq!(with("0", None), Weight::ZERO);
    }
}
