//! Processes that die or sleep while they change a cluster: what is there afterwards is one of the two states that were meant, and who wakes
//! changes nothing any more.

use std::process::{Child, Stdio};

use super::images::pipeline;
use super::*;

/// An environment with a release and the next one, which is at the target and has no traffic. Nothing is protected there.
pub(super) struct Two {
    pub(super) cluster: Cluster,
    pub(super) traffic: Traffic,
    pub(super) ada: Person,
    /// Digests, with the reference that the workload has then. The old one answers `v1`, the new one `v2`.
    pub(super) old: (String, String),
    pub(super) new: (String, String),
}

impl Two {
    pub(super) async fn start(cluster_folder: &Path) -> Self {
        let cluster = Cluster::new(cluster_folder).await.of_its_own_app().await;
        let traffic = Traffic::to(&format!("{}.test", cluster.namespace), 4);
        let ada = Person::new(cluster_folder.join("admin.kubeconfig"));
        ada.git(&["init", "-q"]);
        let mut two = Self { cluster, traffic, ada, old: Default::default(), new: Default::default() };
        let mut made = Vec::new();
        for base in ["v1", "v2"] {
            two.ada.commit(".hms-ci.yml", &pipeline(&two.cluster.namespace, base));
            let (code, told) = two.ada.hms(HMS, &two.ada.at("repo"), &["run", "--headless"]).await;
            assert_eq!(code, 0, "{told}");
            let image = two.image();
            made.push((image.rsplit_once('@').unwrap().1.to_owned(), image));
        }
        [two.old, two.new] = made.try_into().unwrap();
        two.rolled_back(&[]).await;
        two.is(&two.old);
        two
    }

    fn image(&self) -> String {
        self.cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"])
    }

    /// The canary's weight in the route; nothing where it has no entry yet.
    fn weight(&self) -> String {
        self.cluster.kubectl(&["get", "httproute", "shop", "-o", "jsonpath={.spec.rules[0].backendRefs[1].weight}"])
    }

    fn has_arm(&self) -> bool {
        self.cluster.kubectl(&["get", "deployments", "-o", "name"]).contains("deployment.apps/shop-canary")
    }

    /// What every change writes.
    fn versions(&self) -> String {
        self.cluster.kubectl(&[
            "get",
            "deployment/shop",
            "httproute/shop",
            "-o",
            "jsonpath={range .items[*]}{.metadata.generation} {.metadata.annotations} {end}",
        ])
    }

    /// Everything is as after a release of `wanted`, and nothing is left over.
    pub(super) fn is(&self, wanted: &(String, String)) {
        assert_eq!(self.image(), wanted.1);
        assert_eq!(self.weight(), "0");
        assert!(!self.has_arm(), "the arm is still there");
    }

    fn deploy(&self, point: Option<&str>) -> Child {
        let arguments = ["--env", "prod", "--promote", &self.new.0, "--app", &self.cluster.namespace];
        self.start_of(DEPLOY, &arguments, point)
    }

    fn start_of(&self, program: &str, arguments: &[&str], point: Option<&str>) -> Child {
        let mut command = self.ada.command(program, &self.ada.at("repo"));
        command.envs(point.map(|point| ("HMS_CRASH_AT", point))).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    async fn rolled_back(&self, more: &[&str]) -> String {
        let arguments = [&["rollback", "--env", "prod", "--app", &self.cluster.namespace], more].concat();
        let (code, told) = self.ada.hms(DEPLOY, &self.ada.at("repo"), &arguments).await;
        assert_eq!(code, 0, "{told}");
        told
    }

    /// Nobody noticed, and the ledger is whole.
    pub(super) async fn end(self) {
        let (code, told) = self.ada.hms(HMS, &self.ada.at("repo"), &["ledger", "verify"]).await;
        assert_eq!(code, 0, "{told}");
        let answers = self.traffic.end().await;
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["v1", "v2"], "a request was lost: {answers:?}");
    }
}

async fn output(child: Child) -> (Option<i32>, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Where a promotion and a rollback are killed; with `HMS_CRASH_WALK=all` at each point that they pass.
fn points() -> Vec<(&'static str, &'static str)> {
    let few = [("after-start", "before-return"), ("before-promote", "after-return"), ("after-promote", "fence-taken")];
    let others = [
        ("created", "created"),
        ("slot-taken", "intent-written"),
        ("intent-written", "before-start"),
        ("fence-taken", "after-start"),
        ("before-start", "effect-written"),
        ("effect-written", "outcome-written"),
        ("outcome-written", "record-written"),
        ("record-written", "before-return"),
    ];
    let all = std::env::var("HMS_CRASH_WALK").is_ok_and(|walk| walk == "all");
    few.into_iter().chain(others.into_iter().filter(|_| all)).collect()
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn killed_on_a_cluster_it_goes_on_or_goes_back_and_nobody_notices() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let two = Two::start(&cluster_folder).await;
        for (number, (forward, back)) in points().into_iter().enumerate() {
            let (code, told) = output(two.deploy(Some(forward))).await;
            assert_eq!(code, None, "it was not killed at {forward}: {told}");
            // Where something is there to go back from, every second one does not go on first.
            let changed = two.has_arm() || two.image() == two.new.1;
            if number % 2 == 0 || !changed || forward == "record-written" {
                let (code, told) = output(two.deploy(None)).await;
                assert_eq!(code, Some(0), "after {forward}: {told}");
                two.is(&two.new);
            }
            // Before stable is another release it is the arm that is taken away.
            let back =
                if two.image() == two.new.1 { back.to_owned() } else { back.replace("return", "withdraw").replace("start", "withdraw") };
            let rollback = ["rollback", "--env", "prod", "--app", &two.cluster.namespace, "--to", &two.old.0];
            let (code, told) = output(two.start_of(DEPLOY, &rollback, Some(&back))).await;
            assert_ne!(code, Some(0), "it was not killed at {back}: {told}");
            two.rolled_back(&["--to", &two.old.0]).await;
            two.is(&two.old);
            let (_, told) = two.ada.hms(DEPLOY, &two.ada.at("repo"), &["status", "--env", "prod"]).await;
            assert!(!told.contains("held by") && !told.contains("UNRECORDED"), "after {forward} and {back}: {told}");
        }
        two.end().await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_process_that_slept_while_another_took_over_changes_nothing_when_it_wakes() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let two = Two::start(&cluster_folder).await;
        let signal = |child: &Child, name: &str| {
            let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
            assert!(status.success());
        };
        let all_beside = || two.weight() == "100";
        let changed = || two.image() == two.new.1;
        let moments: [(&str, &dyn Fn() -> bool); 3] =
            [("the arm is there", &|| two.has_arm()), ("all traffic is beside", &all_beside), ("stable is changed", &changed)];
        for (moment, reached) in moments {
            let asleep = two.deploy(None);
            let bound = Instant::now() + Duration::from_mins(1);
            while !reached() {
                assert!(Instant::now() < bound, "{moment} was never so");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            signal(&asleep, "STOP");
            let told = two.rolled_back(&["--to", &two.old.0, "--reason", "it does not answer"]).await;
            two.is(&two.old);
            let before = two.versions();
            signal(&asleep, "CONT");
            let (code, said) = output(asleep).await;
            assert_ne!(code, Some(0), "{moment}: {said}\n{told}");
            assert!(said.contains("superseded"), "{moment}: {said}");
            assert_eq!(two.versions(), before, "{moment}: it wrote after it woke: {said}");
            two.is(&two.old);
        }
        let (_, log) = two.ada.hms(HMS, &two.ada.at("repo"), &["ledger", "log"]).await;
        assert!(log.contains("it does not answer"), "{log}");
        two.end().await;
    });
}
