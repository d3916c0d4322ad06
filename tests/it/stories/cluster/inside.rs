//! Death between the writes of one effect, on the real cluster: whoever goes on and whoever goes back end in one of the two states that were
//! meant, and the target's record and the ledger say which.

use std::collections::BTreeSet;

use hms::rollout::CrashPoint;

use super::*;

/// What goes on from a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The run is resumed.
    On,
    /// `hms rollback --env canary`: what `R` says while a promotion is under way.
    Back,
}

/// An unprotected environment that a commit goes straight into, under traffic.
fn straight(namespace: &str, version: &str) -> String {
    format!(
        r#"stages: [build, prod]

build:
  script:
    - images --program "$(command -v app)" --push 127.0.0.1:5000/{namespace}:$CI_COMMIT_SHA VERSION={version}

prod:
  needs: [build]
  script: hms-deploy --env prod --tag $CI_COMMIT_SHA

.hms:
  app: {namespace}
  registry: {{ image: "127.0.0.1:5000/{namespace}" }}
  environments:
    prod: {{ target: kubernetes, context: hms-test, namespace: {namespace}, workload: deployment/shop, protected: false }}
  traffic: {{ httproute: shop, stable: shop, canary: shop-canary }}
  metrics:
    scrape: "http://127.0.0.1:9090/federate?match[]=%7Bnamespace=%22{namespace}%22%7D"
    requests: http_requests_total
"#
    )
}

struct Walk {
    cluster: Cluster,
    ada: Person,
    runs: u32,
}

impl Walk {
    /// A commit of that version, whose engine dies at the point.
    async fn commit(&mut self, version: &str, point: Option<CrashPoint>) -> (i32, String) {
        self.runs += 1;
        self.ada.commit(".hms-ci.yml", &straight(&self.cluster.namespace, version));
        self.hms(&["run", "--headless"], point).await
    }

    async fn hms(&self, arguments: &[&str], point: Option<CrashPoint>) -> (i32, String) {
        let mut command = tokio::process::Command::from(self.ada.command(HMS, &self.ada.at("repo")));
        command.args(arguments).envs(point.map(|point| ("HMS_CRASH_AT", point.name())));
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        (status.code().unwrap_or(-1), text)
    }

    fn weight(&self) -> u64 {
        let weights = self.cluster.kubectl(&["get", "httproute", "shop", "-o", "jsonpath={.spec.rules[0].backendRefs}"]);
        let backends: serde_json::Value = serde_json::from_str(&weights).unwrap();
        let canary = backends.as_array().unwrap().iter().find(|backend| backend["name"] == "shop-canary");
        canary.map_or(0, |backend| backend["weight"].as_u64().unwrap())
    }

    /// Who has the traffic by the target's own record, and nobody holds it.
    async fn rests_at(&self, version: &str, name: &str) {
        let record = self.cluster.kubectl(&["get", "configmap", &format!("hms.{}.prod", self.cluster.namespace), "-o", "json"]);
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let record: serde_json::Value = serde_json::from_str(record["data"]["record.json"].as_str().unwrap()).unwrap();
        assert!(record["slot"].is_null(), "{name}: {record}");
        let current = record["current"]["digest"].as_str().unwrap();
        let running = self.cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.metadata.annotations}"]);
        assert!(running.contains(current), "{name}: {current} is recorded, {running} runs");
        assert_eq!(self.weight(), 0, "{name}");
        let arms = self.cluster.answer(&["get", "deployment", "shop-canary", "-o", "jsonpath={.metadata.deletionTimestamp}"]);
        assert!(
            self.cluster.answer(&["get", "deployment", "shop-canary", "-o", "name"]).is_empty() || !arms.is_empty(),
            "{name}: an arm is left"
        );
        let traffic = Traffic::to(&format!("{}.test", self.cluster.namespace), 1);
        let bound = Instant::now() + Duration::from_secs(20);
        while traffic.count(version) < 50 {
            assert!(Instant::now() < bound, "{name}: {version} does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answers = traffic.end().await;
        assert_eq!(answers.keys().collect::<Vec<_>>(), [version], "{name}");
        let (code, told) = self.hms(&["ledger", "verify"], None).await;
        assert_eq!(code, 0, "{name}: {told}");
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn who_dies_between_two_writes_of_an_effect_is_finished_or_taken_back() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(walk(&cluster_folder));
}

/// Each point once, and all of them both ways with `HMS_CRASH_WALK=all`.
async fn walk(cluster_folder: &Path) {
    let all = std::env::var_os("HMS_CRASH_WALK").is_some_and(|value| value == "all");
    let cluster = Cluster::new(cluster_folder).await;
    let ada = Person::new(cluster_folder.join("admin.kubeconfig"));
    ada.git(&["init", "-q"]);
    let mut walk = Walk { cluster, ada, runs: 0 };
    let (code, told) = walk.commit("r0", None).await;
    assert_eq!(code, 0, "{told}");
    let host = format!("{}.test", walk.cluster.namespace);
    let traffic = Traffic::to(&host, 4);
    let (mut there, mut met) = ("r0".to_owned(), BTreeSet::new());
    for (n, point) in CrashPoint::INSIDE.iter().enumerate() {
        for way in [Way::On, Way::Back] {
            if !all && (n % 2 == 0) != (way == Way::Back) {
                continue;
            }
            let before = walk.hms(&["ledger", "log"], None).await.1;
            let (version, name) = (format!("{}-{way:?}", point.name()).to_lowercase(), format!("{} {way:?}", point.name()));
            let (code, told) = walk.commit(&version, Some(*point)).await;
            assert_ne!(code, 0, "{name}: nobody died: {told}");
            met.insert(*point);
            if !matches!(point, CrashPoint::ArmWritten | CrashPoint::TrafficBack) {
                assert_eq!(walk.weight(), 100, "{name}: the arm has not everything");
            }
            let (code, told) = match way {
                Way::On => walk.hms(&["run", "--resume", &walk.runs.to_string(), "--headless"], None).await,
                Way::Back => walk.hms(&["rollback", "--env", "canary"], None).await,
            };
            assert_eq!(code, 0, "{name}: {told}");
            if way == Way::On {
                there.clone_from(&version);
            }
            walk.rests_at(&there, &name).await;
            let (word, after) = (if way == Way::On { "promote" } else { "abort" }, walk.hms(&["ledger", "log"], None).await.1);
            assert!(after.matches(word).count() > before.matches(word).count(), "{name}: the ledger does not say {word}: {after}");
        }
    }
    assert_eq!(met.len(), CrashPoint::INSIDE.len());
    for (n, point) in CrashPoint::INSIDE.iter().enumerate() {
        let (before, version, name) = (there.clone(), format!("next-{n}"), format!("rollback {}", point.name()));
        let (code, told) = walk.commit(&version, None).await;
        assert_eq!(code, 0, "{name}: {told}");
        let (code, told) = walk.hms(&["rollback", "--env", "prod"], Some(*point)).await;
        assert_ne!(code, 0, "{name}: nobody died: {told}");
        let (code, told) = walk.hms(&["rollback", "--env", "prod"], None).await;
        assert_eq!(code, 0, "{name}: {told}");
        walk.rests_at(&before, &name).await;
    }
    let answers = traffic.end().await;
    let lost: Vec<_> = answers.iter().filter(|(answer, _)| !answer.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    assert!(lost.is_empty(), "requests were lost: {answers:?}");
}
