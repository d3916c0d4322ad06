//! When a workload's rollout is complete: kubectl's conditions, told with kubectl's words where they are good ones.
//!
//! Pure. After `kubectl rollout status` (`k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go`, 1.36), with two differences: the
//! generation that counts is that of our own write, so that an older complete state is never taken for the new one; and a paused,
//! deleted or refused rollout is told at once instead of waited for.

use serde_json::Value;

use super::object::{Kind, Object};

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Complete: every pod is of the new template and available.
    Done {
        /// How many pods.
        pods: i64,
    },
    /// On its way.
    Waiting(String),
    /// It will not get there by itself.
    Stuck(String),
}

/// How far the rollout of `object` is, which was last written in `generation`.
pub(super) fn rollout(kind: Kind, object: &Object, generation: i64) -> Rollout {
    if object.is_leaving() {
        return Rollout::Stuck(format!("{} {} is being deleted", kind.word(), object.name()));
    }
    let observed = object.number("/status/observedGeneration").unwrap_or(0);
    if observed < generation.max(object.generation()) {
        return Rollout::Waiting("the controller has not looked at the change yet".to_owned());
    }
    match kind.name {
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        _ => deployment(object),
    }
}

fn count(object: &Object, pointer: &str) -> i64 {
    object.number(pointer).unwrap_or(0)
}

/// Whether its controller is refused pods.
pub(super) fn lacks_pods(object: &Object) -> bool {
    condition(object, "ReplicaFailure").is_some_and(|failure| failure.status == "True")
}

fn deployment(object: &Object) -> Rollout {
    if object.at("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Rollout::Stuck(format!("it is paused (hint: kubectl rollout resume deployment/{})", object.name()));
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure.status == "True") {
        return Rollout::Stuck(failure.message);
    }
    if let Some(progressing) = condition(object, "Progressing")
        && progressing.reason == "ProgressDeadlineExceeded"
    {
        let seconds = object.number("/spec/progressDeadlineSeconds").unwrap_or(600);
        return Rollout::Stuck(format!("it made no progress for {seconds} s (ProgressDeadlineExceeded)"));
    }
    let wanted = object.number("/spec/replicas").unwrap_or(1);
    let (all, updated) = (count(object, "/status/replicas"), count(object, "/status/updatedReplicas"));
    let available = count(object, "/status/availableReplicas");
    if updated < wanted {
        return Rollout::Waiting(format!("{updated} of {wanted} new pods are made"));
    }
    if all > updated {
        return Rollout::Waiting(format!("{} old pods are still ending", all - updated));
    }
    if available < updated {
        return Rollout::Waiting(format!("{available} of {updated} new pods are available"));
    }
    Rollout::Done { pods: available }
}

fn stateful_set(object: &Object) -> Rollout {
    if object.at("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return Rollout::Stuck("its update strategy is OnDelete: pods change only when somebody deletes them".to_owned());
    }
    let wanted = object.number("/spec/replicas").unwrap_or(1);
    let ready = count(object, "/status/readyReplicas");
    let updated = count(object, "/status/updatedReplicas");
    let partition = object.number("/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    if ready < wanted {
        return Rollout::Waiting(format!("{ready} of {wanted} pods are ready"));
    }
    if partition > 0 {
        let due = wanted - partition;
        return if updated < due {
            Rollout::Waiting(format!("{updated} of {due} new pods are made"))
        } else {
            Rollout::Done { pods: updated }
        };
    }
    let text = |pointer: &str| object.at(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("/status/updateRevision") != text("/status/currentRevision") {
        return Rollout::Waiting(format!("{updated} of {wanted} pods are of the new revision"));
    }
    Rollout::Done { pods: ready }
}

fn daemon_set(object: &Object) -> Rollout {
    if object.at("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return Rollout::Stuck("its update strategy is OnDelete: pods change only when somebody deletes them".to_owned());
    }
    let wanted = count(object, "/status/desiredNumberScheduled");
    let updated = count(object, "/status/updatedNumberScheduled");
    let available = count(object, "/status/numberAvailable");
    if updated < wanted {
        return Rollout::Waiting(format!("{updated} of {wanted} nodes have the new pod"));
    }
    if available < wanted {
        return Rollout::Waiting(format!("{available} of {wanted} new pods are available"));
    }
    Rollout::Done { pods: available }
}

/// A condition of an object.
struct Condition {
    status: String,
    reason: String,
    message: String,
}

fn condition(object: &Object, kind: &str) -> Option<Condition> {
    let all = object.at("/status/conditions")?.as_array()?;
    let found = all.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::object::{DAEMON_SET, DEPLOYMENT, STATEFUL_SET};
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "what is put into the macro is made for it")]
    fn object(generation: i64, spec: Value, status: Value) -> Object {
        Object::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "generation": generation},
            "spec": spec, "status": status,
        }))
    }

    fn status(observed: i64, replicas: i64, updated: i64, available: i64) -> Value {
        json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available})
    }

    /// The vectors of kubectl's own test, by their numbers.
    #[test]
    fn a_deployment_is_done_when_kubectl_says_so() {
        let rows = [
            (0, 1, 1, (1, 0, 0), "0 of 1 new pods are made"),
            (1, 1, 1, (2, 1, 2), "1 old pods are still ending"),
            (1, 1, 2, (2, 2, 1), "1 of 2 new pods are available"),
            (2, 1, 2, (2, 2, 2), "the controller has not looked at the change yet"),
        ];
        for (generation, observed, wanted, (replicas, updated, available), expected) in rows {
            let deployment = object(generation, json!({"replicas": wanted}), status(observed, replicas, updated, available));
            assert_eq!(rollout(DEPLOYMENT, &deployment, 0), Rollout::Waiting(expected.to_owned()));
        }
        let done = object(1, json!({"replicas": 2}), status(1, 2, 2, 2));
        assert_eq!(rollout(DEPLOYMENT, &done, 1), Rollout::Done { pods: 2 });
        assert!(matches!(rollout(DEPLOYMENT, &done, 2), Rollout::Waiting(_)), "our own write is generation 2, and this is from before");
        let none = object(1, json!({"replicas": 0}), json!({"observedGeneration": 1}));
        assert_eq!(rollout(DEPLOYMENT, &none, 1), Rollout::Done { pods: 0 });
    }

    #[test]
    fn what_will_not_get_there_is_told_at_once() {
        let with = |kind: &str, status: &str, reason: &str, message: &str| {
            let condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
            object(
                1,
                json!({"replicas": 3}),
                json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 1, "conditions": [condition]}),
            )
        };
        let stuck = |object: &Object| match rollout(DEPLOYMENT, object, 1) {
            Rollout::Stuck(why) => why,
            other @ (Rollout::Done { .. } | Rollout::Waiting(_)) => panic!("{other:?}"),
        };
        assert!(stuck(&with("Progressing", "False", "ProgressDeadlineExceeded", "")).contains("600 s"));
        assert!(stuck(&with("ReplicaFailure", "True", "FailedCreate", "exceeded quota: pods")).contains("exceeded quota"));
        assert!(stuck(&object(1, json!({"replicas": 1, "paused": true}), status(1, 1, 0, 1))).contains("paused"));
        let mut leaving = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}});
        leaving["metadata"] = json!({"name": "app", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert!(stuck(&Object::from_value(leaving)).contains("deleted"));
    }

    #[test]
    fn sets_are_done_by_their_own_rules() {
        let set = |status: Value| object(1, json!({"replicas": 3}), status);
        let seen = |ready: i64, current: &str| json!({"observedGeneration": 1, "readyReplicas": ready, "updatedReplicas": 1, "currentRevision": current, "updateRevision": "b"});
        assert_eq!(rollout(STATEFUL_SET, &set(seen(2, "b")), 1), Rollout::Waiting("2 of 3 pods are ready".to_owned()));
        assert_eq!(rollout(STATEFUL_SET, &set(seen(3, "a")), 1), Rollout::Waiting("1 of 3 pods are of the new revision".to_owned()));
        assert_eq!(rollout(STATEFUL_SET, &set(seen(3, "b")), 1), Rollout::Done { pods: 3 });
        let daemon = |updated: i64, available: i64| {
            object(
                1,
                json!({}),
                json!({"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available}),
            )
        };
        assert_eq!(rollout(DAEMON_SET, &daemon(1, 2), 1), Rollout::Waiting("1 of 2 nodes have the new pod".to_owned()));
        assert_eq!(rollout(DAEMON_SET, &daemon(2, 1), 1), Rollout::Waiting("1 of 2 new pods are available".to_owned()));
        assert_eq!(rollout(DAEMON_SET, &daemon(2, 2), 1), Rollout::Done { pods: 2 });
    }
}
