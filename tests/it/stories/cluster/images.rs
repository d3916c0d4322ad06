//! Images that hms makes, from the commit to the pods, and what its registry need not keep.

use super::*;

/// A version of the test service is the base; its program is what is run.
pub(super) fn pipeline(namespace: &str, base: &str) -> String {
    format!(
        r#"stages: [prod]

prod:
  script: hms-deploy --env prod

.hms:
  app: {namespace}
  image: {{ base: "127.0.0.1:5000/app:{base}", entrypoint: [/app], folder: /srv }}
  registry: {{ image: "127.0.0.1:5000/{namespace}", keep: 1 }}
  environments: {{ prod: {{ target: kubernetes, context: hms-test, namespace: {namespace}, workload: deployment/shop, protected: false }} }}
  traffic: {{ httproute: shop, stable: shop, canary: shop-canary }}
  metrics: {{ scrape: "http://127.0.0.1:9090/metrics", requests: http_requests_total, latency: http_request_duration_seconds }}
"#
    )
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn hms_makes_the_image_of_a_release_and_removes_what_nobody_needs() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(made_and_removed(&cluster_folder));
}

async fn made_and_removed(cluster_folder: &Path) {
    let cluster = Cluster::new(cluster_folder).await;
    let ada = Person::new(cluster_folder.join("admin.kubeconfig"));
    let repo = ada.at("repo");
    ada.git(&["init", "-q"]);
    ada.commit(".hms-ci.yml", &pipeline(&cluster.namespace, "v1"));
    let image = || cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    let mut images = Vec::new();
    for version in ["one", "one", "two", "three", "four"] {
        if std::fs::read_to_string(repo.join("page.html")).ok().as_deref() != Some(version) {
            ada.commit("page.html", version);
        }
        let (code, told) = ada.hms(HMS, &repo, &["run", "--headless"]).await;
        assert_eq!(code, 0, "{version}: {told}");
        images.push(image());
    }
    let name = format!("127.0.0.1:5000/{}@sha256:", cluster.namespace);
    assert!(images.iter().all(|image| image.starts_with(&name)), "{images:?}");
    assert_eq!(images[0], images[1], "the same files make the same image");
    let others: std::collections::BTreeSet<&String> = images.iter().collect();
    assert_eq!(others.len(), 4, "{images:?}");

    let list = async |arguments: &[&str]| {
        let (code, told) = ada.hms(HMS, &repo, &[&["images", "--output", "json"], arguments].concat()).await;
        assert_eq!(code, 0, "{told}");
        serde_json::from_str::<serde_json::Value>(told.lines().find(|line| line.starts_with('{')).unwrap()).unwrap()
    };
    let digest = |image: &String| image.rsplit_once('@').unwrap().1.to_owned();
    let digests = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
    };
    let looked = list(&[]).await;
    assert_eq!(
        digests(&looked["kept"]),
        [digest(&images[4]), digest(&images[3]), digest(&images[2])],
        "what runs, and two steps back: {looked}"
    );
    assert_eq!(digests(&looked["remove"]), [digest(&images[0])], "{looked}");
    assert_eq!(looked["kept"][0]["reason"], "it runs");

    // Somebody runs the one that would go: the record does not know, and nothing goes.
    cluster.kubectl(&["set", "image", "deployment/shop", &format!("shop={}", images[0])]);
    let (code, told) = ada.hms(HMS, &repo, &["images", "--remove"]).await;
    assert_eq!(code, 13, "{told}");
    assert!(told.contains("by kubectl-set"), "{told}");
    let (code, told) = ada.hms(HMS, &repo, &["run", "--headless"]).await;
    assert_eq!(code, 13, "what is there by the record was taken for there: {told}");
    assert!(told.contains("prod has drifted") && told.contains("by kubectl-set"), "{told}");
    let (code, told) = ada.hms(HMS, &repo, &["drift", "restore", "--env", "prod", "--reason", "nobody knows who did that"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(image(), images[4], "{told}");

    let removed = list(&["--remove"]).await;
    assert_eq!(removed["remove"][0]["result"], "removed", "{removed}");
    assert_eq!(digests(&list(&[]).await["remove"]), Vec::<String>::new(), "what is gone is listed no more");
    let (code, told) = ada.hms(HMS, &repo, &["rollback", "--env", "prod"]).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(image(), images[3], "{told}");
    let (code, told) = ada.hms(HMS, &repo, &["ledger", "verify"]).await;
    assert_eq!(code, 0, "{told}");
}
