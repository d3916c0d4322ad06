//! How long users meet a bad canary after the key, beside `kubectl rollout undo`: measured by clients, at the gateway.
//!
//! `HMS_ROUNDS=50` prints what `docs/kubernetes.md` shows; without it a few rounds show that it works, and times are not looked at.

use super::kills::Two;
use super::*;

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn after_the_key_nobody_meets_the_canary_any_more() {
    let cluster_folder = folder();
    let rounds = std::env::var("HMS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let two = Two::start(&cluster_folder).await;
        let (namespace, target) = (two.cluster.namespace.clone(), format!("hms-test/{}", two.cluster.namespace));
        let mut by_hms = Vec::new();
        for _ in 0..rounds {
            two.cluster.gives(&two.old.0, &two.new.0, "10%").await;
            met(&two.traffic, "v2").await;
            let arguments = ["rollback", "--env", "canary", "--app", &namespace, "--target", &target];
            let key = Instant::now();
            let (code, told) = two.ada.hms(DEPLOY, &two.ada.at("home"), &arguments).await;
            assert_eq!(code, 0, "{told}");
            by_hms.push(two.traffic.last("v2").saturating_duration_since(key));
            answers_again(&two.traffic, "v1").await;
            two.is(&two.old);
        }
        let answers = two.traffic.tally();
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["v1", "v2"], "a request was lost: {answers:?}");
        let mut by_kubectl = Vec::new();
        for _ in 0..rounds {
            two.cluster.kubectl(&["set", "image", "deployment/shop", &format!("shop={}", two.new.1)]);
            two.cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);
            met(&two.traffic, "v2").await;
            let key = Instant::now();
            two.cluster.kubectl(&["rollout", "undo", "deployment/shop"]);
            two.cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);
            met(&two.traffic, "v1").await;
            by_kubectl.push(two.traffic.last("v2").saturating_duration_since(key));
        }
        for (who, mut times) in [("hms rollback --env canary", by_hms), ("kubectl rollout undo", by_kubectl)] {
            times.sort();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            eprintln!("{who}: median {} ms, worst {} ms, {rounds} rounds", median.as_millis(), worst.as_millis());
        }
        let answers = two.traffic.end().await;
        eprintln!("answers: {answers:?}");
    });
}

/// A pod whose address is gone keeps a client that the gateway still sends there for the 30 s that the gateway waits for a connection;
/// all clients may be kept so after a rolling update whose pods have no preStop.
const PATIENCE: Duration = Duration::from_mins(2);

/// Until clients met that version again, some times: of a canary's share, far fewer than of all traffic.
async fn met(traffic: &Traffic, version: &str) {
    let before = traffic.tally();
    let bound = Instant::now() + PATIENCE;
    while traffic.count(version) < before.get(version).copied().unwrap_or_default() + 10 {
        assert!(Instant::now() < bound, "nobody meets {version}: {before:?}, and then {:?}", traffic.tally());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
