//! What hms's own objects are called, and the labels and annotations that it writes (`docs/decisions.md` 20.4, 20.5).

use std::collections::BTreeMap;

use crate::event::{AppName, Digest, EnvironmentName};

/// Server-side apply: image, change-cause, annotations.
pub(super) const MANAGER: &str = "hms";
/// JSON patch: the whole pod template.
pub(super) const ROLLBACK_MANAGER: &str = "hms-rollback";
/// JSON patch: weights.
pub(super) const TRAFFIC_MANAGER: &str = "hms-traffic";

/// The app, as it is.
pub(super) const APP: &str = "hms/app";
/// The environment, as it is.
pub(super) const ENVIRONMENT: &str = "hms/environment";
/// `canary`, or `standby` for a release that is gone back to.
pub(super) const ARM: &str = "hms/arm";
/// The release's digest.
pub(super) const RELEASE: &str = "hms/release";
/// What the names of fences begin with: an app and an environment count for themselves, and may write into one object.
pub(super) const FENCES: &str = "hms/fence.";
/// The rollout that held the environment.
pub(super) const ROLLOUT: &str = "hms/rollout";
/// The run that asked.
pub(super) const RUN: &str = "hms/run";
/// Per cent applied.
pub(super) const TRAFFIC: &str = "hms/traffic";
/// Per cent asked for.
pub(super) const REQUESTED: &str = "hms/traffic-requested";
/// At a standby that has no pods for want of room: its release comes back in place.
pub(super) const IN_PLACE: &str = "hms/in-place";
/// How many pods stable had before the arm took its traffic.
pub(super) const STABLE_PODS: &str = "hms/stable-pods";
/// Per cent applied, once more under its full name.
pub(super) const APPLIED: &str = "hms/traffic-applied";
/// What people read in `kubectl rollout history`.
pub(super) const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// The field's label for who manages an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The ConfigMap of an app's record.
pub(super) fn app_object(app: &AppName) -> String {
    format!("hms.{}", part(app.as_str()))
}

/// The ConfigMap and the Lease of an environment.
pub(super) fn environment_object(app: &AppName, environment: &EnvironmentName) -> String {
    format!("{}.{}", app_object(app), part(environment.as_str()))
}

/// The ConfigMap of a release.
pub(super) fn release_object(app: &AppName, release: &Digest) -> String {
    format!("{}.release.{}", app_object(app), release.hex().get(..16).unwrap_or_default())
}

/// The ConfigMap of a release's pod templates in an environment.
pub(super) fn template_object(app: &AppName, environment: &EnvironmentName, release: &Digest) -> String {
    format!("{}.template.{}", environment_object(app, environment), release.hex().get(..16).unwrap_or_default())
}

/// The annotation of the highest fence of an environment that wrote an object. The part after `/` has at most 63 characters.
pub(super) fn fence(app: &AppName, environment: &EnvironmentName) -> String {
    let whole = format!("{}.{}", part(app.as_str()), part(environment.as_str()));
    if whole.len() <= 56 {
        return format!("{FENCES}{whole}");
    }
    format!("{FENCES}x{}", Digest::of(whole.as_bytes()).hex().get(..16).unwrap_or_default())
}

/// The Deployment beside a workload.
pub(super) fn arm_object(workload: &str) -> String {
    format!("{workload}-canary")
}

/// The Job that is run for a release before it comes up. Its pods have it as a label, which has at most 63 characters.
pub(super) fn migration_object(workload: &str, release: &Digest) -> String {
    let short = workload.get(..37).unwrap_or(workload).trim_end_matches(['-', '.']);
    format!("{short}-migrate-{}", release.hex().get(..16).unwrap_or_default())
}

/// A name as part of an object's name. `.` parts names and `_` is not allowed there: such a name gets its hash, so that two never share one.
fn part(name: &str) -> String {
    let bad = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !name.contains(bad) && !name.starts_with('-') && !name.ends_with('-') {
        return name.to_owned();
    }
    let plain: String = name.chars().map(|c| if bad(c) { '-' } else { c }).collect();
    let hash = Digest::of(name.as_bytes());
    format!("{}-x{}", plain.trim_matches('-'), hash.hex().get(..8).unwrap_or_default())
}

/// Labels of an object of hms.
pub(super) fn labels(app: &AppName, environment: Option<&EnvironmentName>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(MANAGED_BY.to_owned(), "hms".to_owned()), (APP.to_owned(), app.to_string())]);
    if let Some(environment) = environment {
        labels.insert(ENVIRONMENT.to_owned(), environment.to_string());
    }
    labels
}

/// A selector for all objects with these labels.
pub(super) fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_environment_has_a_fence_of_its_own_and_its_name_fits() {
        let name = |app: &str, environment: &str| fence(&app.parse().unwrap(), &environment.parse().unwrap());
        assert_eq!(name("shop", "prod"), "hms/fence.shop.prod");
        assert_ne!(name("a.b", "c"), name("a", "b.c"));
        let long = "a".repeat(50);
        let (one, other) = (name(&long, "production"), name(&long, "production2"));
        assert_ne!(one, other);
        assert!(one.split('/').nth(1).unwrap().len() <= 63, "{one}");
    }

    #[test]
    fn no_two_names_share_an_object() {
        let name = |app: &str, environment: &str| environment_object(&app.parse().unwrap(), &environment.parse().unwrap());
        assert_eq!(name("shop", "prod"), "hms.shop.prod");
        assert_ne!(name("a.b", "c"), name("a", "b.c"));
        assert_ne!(name("a_b", "c"), name("a-b", "c"));
        assert_ne!(name("a", "b-c"), name("a-b", "c"));
        for (app, environment) in [("a.b", "c"), ("a_b", "prod"), ("a", "e.f_g")] {
            let object = name(app, environment);
            assert!(
                object.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && !part.ends_with('-')),
                "{object}"
            );
        }
    }
}
