//! Traefik's own weighted service: `TraefikService` of `traefik.io/v1alpha1`
//! (<https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/crd/http/traefikservice/>).
//!
//! It has no status: Traefik takes a change over at its next throttled reload, 2 s later at most by default.

use serde_json::Value;

use super::weighted::{Grain, List, Shape};
use crate::deploy::kubernetes::object::{Kind, Object};

pub(super) const SHAPE: Shape = Shape {
    kind: Kind { group: "traefik.io", version: "v1alpha1", name: "TraefikService", plural: "traefikservices" },
    lists: |_: &Object| vec![List { at: "/spec/weighted/services".to_owned(), words: "its list".to_owned() }],
    service: "/name",
    leads_to_service: |entry: &Value, namespace: &str| {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        text("namespace").is_none_or(|other| other == namespace) && text("kind").is_none_or(|kind| kind == "Service")
    },
    plain: |name, _| name.to_owned(),
    unwritten: |_| 1,
    grain: Grain::Thousandths,
};
