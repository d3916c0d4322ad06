//! A cluster with no Prometheus: the pods' own pages through the API server, the right that it needs, and what is held back in the end.

use super::*;

fn pipeline(namespace: &str) -> String {
    let scraped = format!(r#"scrape: "http://127.0.0.1:9090/federate?match[]=%7Bnamespace=%22{namespace}%22%7D""#);
    let text = super::pipeline(namespace, "two");
    assert!(text.contains(&scraped) && text.contains("bake: 2s"), "{text}");
    text.replace(&scraped, "pods: app=shop").replace("bake: 2s", "after: {watch: 8s, holdback: 20%}, bake: 2s")
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn pods_are_measured_through_the_api_server_and_what_is_held_back_is_drained() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(measured(&cluster_folder));
}

async fn measured(cluster_folder: &Path) {
    let cluster = Cluster::new(cluster_folder).await;
    let traffic = Traffic::to(&format!("{}.test", cluster.namespace), 6);
    let ada = Person::new(cluster_folder.join("deployer.kubeconfig"));
    let repo = ada.at("repo");
    ada.git(&["init", "-q"]);
    ada.commit(".hms-ci.yml", &pipeline(&cluster.namespace));
    let (code, rights) = ada.hms(HMS, &repo, &["doctor", "--rbac", "hms-deployer"]).await;
    assert_eq!(code, 0, "{rights}");
    let without: String = rights.split_inclusive('\n').filter(|line| !line.contains("pods/proxy")).collect();
    assert_ne!(without, rights, "the rule is among those that are printed");
    cluster.apply_text(&without);

    let run = ada.command(HMS, &repo).args(["run", "--headless"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut run = Ended(run);
    let status = async || ada.hms(HMS, &repo, &["canary", "status", "1"]).await.1;
    let said = "403: this credential may not get pods/proxy in hms-test/";
    eventually("the right that lacks to be named", async || status().await.contains(said)).await;
    assert!(status().await.contains("hms doctor --rbac USER prints the rule"), "{}", status().await);
    cluster.apply_text(&rights);
    eventually("a PASS on what the pods count", async || run.0.try_wait().unwrap().is_some()).await;
    let (verdict, explained) = (status().await, ada.hms(HMS, &repo, &["canary", "explain", "1"]).await.1);
    assert!(verdict.contains("PASS"), "{verdict}\n{explained}");

    let (code, told) = ada.hms(HMS, &repo, &["approve", "1", "prod", "--wait=120s"]).await;
    assert_eq!(code, 0, "{told}");
    let weights = || cluster.kubectl(&["get", "httproute", "shop", "-o", "jsonpath={.spec.rules[0].backendRefs[*].weight}"]);
    let image = || cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    let arm = || cluster.kubectl(&["get", "deployments", "-o", "jsonpath={.items[?(@.metadata.name==\"shop-canary\")].metadata.name}"]);
    let shares = weights();
    assert!(["20 80", "200 800", "1 4"].contains(&shares.trim()), "v1 keeps its share: {shares}");
    assert!(image().ends_with("app:v1"), "{}", image());
    eventually("the rest of the traffic", async || image().contains("@sha256:") && arm().trim().is_empty()).await;
    answers_again(&traffic, "two").await;
    let answers = traffic.end().await;
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["two", "v1"], "a request was lost: {answers:?}");
    let (code, told) = ada.hms(HMS, &repo, &["ledger", "verify"]).await;
    assert_eq!(code, 0, "{told}");
}

/// A program that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let bound = Instant::now() + Duration::from_secs(90);
    while !look().await {
        assert!(Instant::now() < bound, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
