//! The Deployment beside stable: a copy of stable's template with other images and labels. Pure.
//!
//! Its pods must be found by the canary's service and by no other: a canary that stable's service also selects would get stable's
//! traffic whatever the router says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names;
use crate::deploy::ArmName;
use crate::event::Weight;

/// Labels, or a selector.
pub(super) type Labels = BTreeMap<String, String>;

/// Keys of a selector that may be changed for the arm's pods, the least telling first.
const PREFERRED: [&str; 5] = ["track", "role", "tier", "app.kubernetes.io/instance", "app"];

/// Labels for the arm's pods, and the selector of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArmLabels {
    pub(super) pods: Labels,
    pub(super) service: Labels,
}

/// The labels that keep the arm's pods apart from stable's.
///
/// `template` are those of stable's pods, `stable` the selector of stable's service, `canary` that of the canary's service where there is
/// one already. `arm` are labels of hms that no pod of stable has.
///
/// # Errors
/// One sentence with the way out, when no labels do.
pub(super) fn labels(template: &Labels, stable: &Labels, canary: Option<&Labels>, arm: &Labels) -> Result<ArmLabels, String> {
    let mut pods = template.clone();
    let service = match canary {
        Some(canary) => {
            if canary.is_empty() {
                return Err("the canary's service selects no pods (hint: give it a selector, or delete it and hms makes one)".to_owned());
            }
            pods.extend(canary.clone());
            canary.clone()
        }
        None => arm.clone(),
    };
    pods.extend(arm.clone());
    if selects(stable, &pods) {
        if canary.is_some_and(|canary| stable.iter().all(|(key, _)| canary.contains_key(key))) || stable.is_empty() {
            return Err(
                "the stable service's selector also finds the canary's pods (hint: add a label such as track: stable to its selector and to \
                 stable's pods)"
                    .to_owned(),
            );
        }
        let free = |key: &str| stable.contains_key(key) && canary.is_none_or(|canary| !canary.contains_key(key));
        let key = PREFERRED.iter().copied().find(|key| free(key)).or_else(|| stable.keys().map(String::as_str).find(|key| free(key)));
        let Some(key) = key else {
            return Err("the stable service's selector also finds the canary's pods, and no label of it is free".to_owned());
        };
        let value = stable.get(key).map_or("", String::as_str);
        pods.insert(key.to_owned(), shortened(value));
    }
    Ok(ArmLabels { pods, service })
}

/// A label's value has at most 63 characters.
fn shortened(value: &str) -> String {
    format!("{}-canary", value.get(..56).unwrap_or(value).trim_end_matches(['-', '_', '.']))
}

/// Whether a selector finds pods with these labels. An empty one finds none.
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Reads a mapping of texts.
pub(super) fn labels_at(value: Option<&Value>) -> Labels {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A pod template with these images, by container. Containers that are not named keep theirs.
///
/// # Errors
/// When a container is not in the template.
pub(super) fn with_images(template: &Value, images: &BTreeMap<String, String>) -> Result<Value, String> {
    let mut template = template.clone();
    for (container, image) in images {
        let mut set = false;
        for list in ["/spec/containers", "/spec/initContainers"] {
            let all = template.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
            for one in all.filter(|one| one.get("name").and_then(Value::as_str) == Some(container)) {
                one["image"] = json!(image);
                set = true;
            }
        }
        if !set {
            return Err(format!("the pod template has no container {container}"));
        }
    }
    Ok(template)
}

/// How many pods carry a share of what `stable` pods carry: at least one, rounded up.
pub(super) fn pods_for(stable: u32, share: Weight) -> u32 {
    let thousandths = u32::from(share.thousandths());
    (stable.saturating_mul(thousandths)).div_ceil(1000).max(1)
}

/// The Deployment of the arm. `marks` are annotations.
pub(super) fn deployment(template: &Value, labels: &ArmLabels, own: &Labels, replicas: u32, arm: ArmName, marks: &Labels) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"] = json!(labels.pods);
    // What only the API server writes would make the copy another object's.
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    let mut annotations = marks.clone();
    annotations.insert(names::ARM.to_owned(), arm_word(arm).to_owned());
    json!({
        "metadata": {"labels": own, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": labels.service.iter().chain(own_selector(own).iter()).collect::<BTreeMap<_, _>>()},
            "template": template,
        },
    })
}

/// The part of the object's own labels that its pods have too.
fn own_selector(own: &Labels) -> Labels {
    own.iter().filter(|(key, _)| key.starts_with("hms/")).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The arm as its annotation says it.
pub(super) fn arm_word(arm: ArmName) -> &'static str {
    match arm {
        ArmName::Stable => "stable",
        ArmName::Canary => "canary",
        ArmName::Standby => "standby",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> Labels {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn own() -> Labels {
        map(&[("hms/app", "shop"), ("hms/arm", "beside")])
    }

    #[test]
    fn the_arms_pods_are_found_by_their_own_service_alone() {
        let template = map(&[("app", "shop"), ("track", "stable"), ("team", "a")]);
        let stable = map(&[("app", "shop"), ("track", "stable")]);
        for canary in [None, Some(map(&[("app", "shop"), ("track", "canary")]))] {
            let found = labels(&template, &stable, canary.as_ref(), &own()).unwrap();
            assert!(selects(&found.service, &found.pods), "{found:?}");
            assert!(!selects(&stable, &found.pods), "{found:?}");
            assert_eq!(found.pods["team"], "a");
        }
        let plain = map(&[("app", "shop")]);
        let found = labels(&plain, &plain, None, &own()).unwrap();
        assert_eq!(found.pods["app"], "shop-canary");
        assert!(!selects(&plain, &found.pods));
    }

    #[test]
    fn a_service_that_would_find_both_is_refused_with_the_way_out() {
        let plain = map(&[("app", "shop")]);
        let error = labels(&plain, &plain, Some(&plain), &own()).unwrap_err();
        assert!(error.contains("track: stable"), "{error}");
        assert!(labels(&plain, &plain, Some(&Labels::new()), &own()).is_err());
    }

    #[test]
    fn an_arm_has_pods_for_its_share() {
        let weight = |text: &str| text.parse().unwrap();
        assert_eq!(pods_for(3, weight("1%")), 1);
        assert_eq!(pods_for(10, weight("25%")), 3);
        assert_eq!(pods_for(100, weight("1%")), 1);
        assert_eq!(pods_for(101, weight("1%")), 2);
        assert_eq!(pods_for(3, Weight::FULL), 3);
        assert_eq!(pods_for(0, weight("5%")), 1);
    }

    #[test]
    fn images_are_set_in_all_kinds_of_containers_and_nothing_else() {
        let template = json!({"spec": {"initContainers": [{"name": "migrate", "image": "a:1"}], "containers": [{"name": "app", "image": "a:1", "env": []}, {"name": "side", "image": "s:1"}]}});
        let images = BTreeMap::from([("app".to_owned(), "a@sha256:2".to_owned()), ("migrate".to_owned(), "a@sha256:2".to_owned())]);
        let changed = with_images(&template, &images).unwrap();
        assert_eq!(changed["spec"]["containers"][0], json!({"name": "app", "image": "a@sha256:2", "env": []}));
        assert_eq!(changed["spec"]["initContainers"][0]["image"], "a@sha256:2");
        assert_eq!(changed["spec"]["containers"][1]["image"], "s:1");
        assert!(with_images(&template, &BTreeMap::from([("nope".to_owned(), "x".to_owned())])).unwrap_err().contains("nope"));
    }
}
