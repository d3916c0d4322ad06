//! The Kubernetes target against a real API server, a real gateway, a real registry and pods that are real processes.
//!
//! `HMS_TEST_CLUSTER` names the folder of a cluster that `tests/cluster/up` started; the tests run in its network
//! (`DIR/enter cargo test …`). They are ignored unless they are asked for.

mod migration;
mod sets;
mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hms::canary::provider::{Selector, requests_on};
use hms::deploy::kubernetes::{ClusterPlace, KubernetesTarget, RequestCount, RouterName, TrafficPlace, WorkloadName};
use hms::deploy::registry::{Credentials, Registry, RegistrySettings};
use hms::deploy::{ArmName, Effect, ReleaseImage, ReleaseRecord, Target, TargetError};
use hms::event::{Digest, Drift, ReleaseRef, Slot, Weight, Weights};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::contract::{Stage, Standby, all};
pub(crate) use super::world::run;
use super::world::{app, prod, quiet, start, until, weight};

/// The test cluster's gateway follows its routes after 100 ms; some more for a busy machine.
const SETTLE: Duration = Duration::from_secs(1);

/// A gateway begins its round robin anew at each reload, and every route and endpoint of any test is one: where a share is counted, the
/// other tests wait.
pub(crate) static GATEWAY: RwLock<()> = RwLock::new(());

/// A namespace of its own in the test cluster.
pub(crate) struct Cluster {
    folder: PathBuf,
    pub(crate) namespace: String,
    place: ClusterPlace,
    target: KubernetesTarget,
    empty: tempfile::TempDir,
}

/// The folder of the cluster. These tests run when they are asked for, and then there must be one.
pub(crate) fn folder() -> PathBuf {
    let found = std::env::var_os("HMS_TEST_CLUSTER").map(PathBuf::from);
    found.expect("HMS_TEST_CLUSTER names the folder of a cluster that tests/cluster/up started")
}

impl Cluster {
    pub(crate) async fn new(folder: &Path) -> Self {
        Self::with(folder, RouterName::HttpRoute("shop".to_owned())).await
    }

    async fn with(folder: &Path, router: RouterName) -> Self {
        let namespace = format!("t{}", ulid::Ulid::generate().to_string().to_lowercase());
        kubectl(folder, &["create", "namespace", &namespace], None);
        let place = ClusterPlace {
            context: Some("hms-test".to_owned()),
            namespace: namespace.clone(),
            workload: WorkloadName::Deployment("shop".to_owned()),
            containers: Vec::new(),
            image: Some(format!("127.0.0.1:5000/{namespace}")),
            traffic: Some(TrafficPlace {
                router: router.clone(),
                stable: "shop".to_owned(),
                canary: "shop-canary".to_owned(),
                settle: SETTLE,
            }),
            version_label: "version".to_owned(),
            take_over: Vec::new(),
        };
        kubectl(folder, &["-n", &namespace, "apply", "-f", "-"], Some(&format!("{SHOP}{}", route(&router, &namespace))));
        kubectl(folder, &["-n", &namespace, "rollout", "status", "deployment/shop", "--timeout=60s"], None);
        let target = KubernetesTarget::open(place.clone(), &app(), registry()).await.unwrap().counting(count());
        // A rollout is complete before the gateway knows its pods: until then it answers 503, and nobody's change is the cause.
        let (client, host) = (client(), format!("{namespace}.test"));
        until("the gateway knows the origin", async || ask(&client, WEB, &host).await == "v1").await;
        Self { folder: folder.to_owned(), namespace, place, target, empty: tempfile::tempdir().unwrap() }
    }

    /// The same place for the app that is named like the namespace.
    pub(crate) async fn of_its_own_app(mut self) -> Self {
        let app = self.namespace.parse().unwrap();
        self.target = KubernetesTarget::open(self.place.clone(), &app, registry()).await.unwrap().counting(count());
        self
    }

    /// A release of an image with that environment.
    fn release(&self, name: &str, environment: &[&str]) -> (ReleaseRecord, PathBuf) {
        let digest = push(&self.folder, &format!("shop-{name}:latest"), environment);
        let reference = format!("127.0.0.1:5000/shop-{name}@{digest}");
        let record = ReleaseRecord {
            format: 1,
            release: ReleaseRef { digest: digest.parse().unwrap(), revision: None, tag: name.to_owned(), tag_object: None, run: None },
            app: app(),
            created_at: hms::store::now(),
            files: 0,
            bytes: 0,
            start: None,
            scan: None,
            must_be_scanned: std::collections::BTreeMap::new(),
            images: vec![ReleaseImage { workload: None, container: None, reference, tag: None }],
        };
        (record, self.empty.path().to_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        kubectl(&self.folder, &["delete", "namespace", &self.namespace, "--wait=false"], None);
    }
}

const SHOP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}, annotations: {prometheus.io/scrape: "true"}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: shop
        image: 127.0.0.1:5000/app:v1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: http}]}
---
"#;

/// What leads the namespace's host to the service.
fn route(router: &RouterName, namespace: &str) -> String {
    match router {
        RouterName::HttpRoute(name) => format!(
            r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: web, namespace: default}}]
  hostnames: [{namespace}.test]
  rules:
  - backendRefs: [{{name: shop, port: 80}}]
"
        ),
        RouterName::TraefikService(name) => format!(
            r"
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {{name: {name}}}
spec: {{weighted: {{services: [{{name: shop, port: 80, weight: 1}}]}}}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {{name: shop}}
spec:
  entryPoints: [web]
  routes: [{{kind: Rule, match: Host(`{namespace}.test`), services: [{{kind: TraefikService, name: {name}}}]}}]
"
        ),
        RouterName::Ingress(_) | RouterName::VirtualService(_) => panic!("the test cluster's gateway does not serve it"),
    }
}

fn kubectl(folder: &Path, arguments: &[&str], input: Option<&str>) -> String {
    let output = kubectl_output(folder, arguments, input);
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn kubectl_output(folder: &Path, arguments: &[&str], input: Option<&str>) -> Output {
    use std::io::Write;
    let mut child = Command::new(folder.join("kubectl"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What the pods of the test service call a request.
fn count() -> RequestCount {
    let requests: Selector = "http_requests_total".parse().unwrap();
    RequestCount::new(move |page| requests_on(page, &requests).map_err(|error| error.to_string()))
}

fn registry() -> Registry {
    Registry::new(Credentials::anonymous(), RegistrySettings::default()).unwrap()
}

/// Pushes an image of the test service with that environment; gives its digest.
fn push(folder: &Path, name: &str, environment: &[&str]) -> String {
    let output = Command::new(folder.join("enter"))
        .args(["sh", "-c", "exec images --program \"$(command -v app)\" --push \"$@\"", "push", &format!("127.0.0.1:5000/{name}")])
        .args(environment)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap().to_owned()
}

impl Stage for Cluster {
    type Target = KubernetesTarget;
    const STANDBY: Standby = Standby::Cold;

    fn target(&self) -> &KubernetesTarget {
        &self.target
    }

    fn good(&self, name: &str) -> (ReleaseRecord, PathBuf) {
        self.release(name, &[&format!("VERSION={name}")])
    }

    fn bad(&self) -> (ReleaseRecord, PathBuf) {
        self.release("bad", &["EXIT_AT_START=the variable X is missing"])
    }

    fn silent(&self) -> (ReleaseRecord, PathBuf) {
        self.release("silent", &["VERSION=silent", "READY_DELAY=1h"])
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn the_contract_is_kept() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        // `all` makes its stages itself, and making one here takes a running API server.
        let mut stages = Vec::new();
        for _ in 0..super::contract::STAGES {
            stages.push(Cluster::new(&folder).await);
        }
        let stages = std::sync::Mutex::new(stages);
        Box::pin(all(|| stages.lock().unwrap().pop().unwrap())).await;
    });
}

/// The gateway's address.
const WEB: &str = "127.0.0.1:8000";

type Requests = Client<HttpConnector, Empty<Bytes>>;

fn client() -> Requests {
    Client::builder(TokioExecutor::new()).build_http()
}

/// One request: the first word of the answer, else its status, else what went wrong.
async fn ask(client: &Requests, address: &str, host: &str) -> String {
    let request = hyper::Request::get(format!("http://{address}/")).header("host", host).body(Empty::new()).unwrap();
    match client.request(request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let version = String::from_utf8_lossy(&body).split(' ').next().unwrap_or_default().to_owned();
            if status == 200 { version } else { status.to_string() }
        }
        Err(error) => error.to_string(),
    }
}

/// Requests through the gateway, over kept connections, until it is told to stop: who answered how often, by the first word of the answer
/// and its status.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<String, (u64, Instant)>>>,
    tasks: tokio::task::JoinSet<()>,
}

fn note(answers: &mut BTreeMap<String, (u64, Instant)>, answer: String) {
    let (count, at) = answers.entry(answer).or_insert_with(|| (0, Instant::now()));
    *count += 1;
    *at = Instant::now();
}

impl Traffic {
    pub(crate) fn to(host: &str, clients: usize) -> Self {
        Self::at(WEB, host, clients)
    }

    fn at(address: &str, host: &str, clients: usize) -> Self {
        let mut traffic = Self { stop: Arc::default(), answers: Arc::default(), tasks: tokio::task::JoinSet::new() };
        let client = client();
        for _ in 0..clients {
            let (client, address, host) = (client.clone(), address.to_owned(), host.to_owned());
            let (stop, answers) = (Arc::clone(&traffic.stop), Arc::clone(&traffic.answers));
            traffic.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&client, &address, &host).await;
                    note(&mut answers.lock().unwrap(), answer);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        traffic
    }

    pub(crate) fn count(&self, answer: &str) -> u64 {
        self.answers.lock().unwrap().get(answer).map_or(0, |(count, _)| *count)
    }

    fn all(&self) -> u64 {
        self.answers.lock().unwrap().values().map(|(count, _)| count).sum()
    }

    /// What was answered until now, and how often.
    pub(crate) fn tally(&self) -> BTreeMap<String, u64> {
        self.answers.lock().unwrap().iter().map(|(answer, (count, _))| (answer.clone(), *count)).collect()
    }

    /// When somebody was answered so last.
    pub(crate) fn last(&self, answer: &str) -> Instant {
        self.answers.lock().unwrap()[answer].1
    }

    pub(crate) async fn end(mut self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.answers.lock().unwrap()).into_iter().map(|(answer, (count, _))| (answer, count)).collect()
    }
}

impl Cluster {
    async fn bring(&self, release: (ReleaseRecord, PathBuf)) -> Digest {
        self.target.place(&release.0, &release.1).await.unwrap();
        release.0.release.digest
    }

    async fn apply(&self, fence: u64, effect: Effect) -> hms::deploy::Applied {
        self.target.apply(&prod(), fence, &effect, &quiet).await.unwrap()
    }

    /// Gives a release a share of the traffic as its canary, as a driver would that died then.
    pub(crate) async fn gives(&self, current: &str, canary: &str, share: &str) {
        let weight = weight(share);
        let canary: Digest = canary.parse().unwrap();
        let mut record = self.target.record(&prod()).await.unwrap();
        assert_eq!(record.current.as_ref().map(|release| release.digest.to_string()).as_deref(), Some(current));
        let release = record.releases.iter().find(|release| release.digest == canary).unwrap().clone();
        record.fence += 1;
        let rollout = ulid::Ulid::generate().to_string().parse().unwrap();
        record.slot = Some(Slot { release, rollout, since: hms::store::now() });
        record.weights = Some(Weights { requested: weight, applied: weight });
        let fence = self.target.put_record(record).await.unwrap().fence;
        self.apply(fence, start(&canary, ArmName::Canary)).await;
        self.apply(fence, Effect::Weigh { weight }).await;
    }

    /// What kubectl prints, also when it says no.
    pub(crate) fn answer(&self, arguments: &[&str]) -> String {
        String::from_utf8(kubectl_output(&self.folder, &[&["-n", &self.namespace], arguments].concat(), None).stdout).unwrap()
    }

    /// Applies objects as the cluster's administrator.
    pub(crate) fn apply_text(&self, objects: &str) {
        kubectl(&self.folder, &["apply", "-f", "-"], Some(objects));
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.folder, &[&["-n", &self.namespace], arguments].concat(), None)
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn one_per_cent_of_real_traffic_goes_to_the_canary_and_no_request_is_lost_on_the_way_to_prod_and_back() {
    there_and_back(&RouterName::HttpRoute("shop".to_owned()));
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn the_same_by_a_traefik_service() {
    there_and_back(&RouterName::TraefikService("split".to_owned()));
}

fn there_and_back(router: &RouterName) {
    let folder = folder();
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::with(&folder, router.clone()).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().expect("what ran before is adopted");
        assert_eq!(origin.tag, "v1");
        let host = format!("{}.test", cluster.namespace);
        let traffic = Traffic::to(&host, 8);
        until("the origin answers", async || traffic.count("v1") > 20).await;

        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        let applied = cluster.apply(1, Effect::Weigh { weight: weight("1%") }).await;
        assert_eq!(applied.weight, weight("1%"));
        let (canary, stable) = applied.observation.served.expect("the pods' own counts say that the weight is in force");
        assert!(canary > 0 && stable > 50 * canary, "{canary} and {stable}");
        assert!(traffic.count("two") > 0, "in force, and nobody was answered by the canary");
        let (before, canary) = (traffic.all(), traffic.count("two"));
        until("10,000 requests more", async || traffic.all() >= before + 10_000).await;
        let (all, canary) = (traffic.all() - before, traffic.count("two") - canary);
        // The gateway's round robin is exact; requests on their way when the two counts are read make the difference.
        assert!((canary * 100).abs_diff(all) <= 300, "{canary} of {all} requests went to the canary");

        cluster.apply(2, Effect::Promote { release: two.clone() }).await;
        let stable = traffic.count("v1");
        until("the new release answers", async || traffic.count("two") > 500).await;
        assert_eq!(traffic.count("v1"), stable, "the old release still answers after the promotion");
        let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert!(image.ends_with(&two.to_string()), "{image}");

        cluster.apply(3, start(&origin.digest, ArmName::Standby)).await;
        let applied = cluster.apply(3, Effect::Return { release: origin.digest.clone() }).await;
        assert_eq!(applied.weight, Weight::ZERO);
        let gone = traffic.count("two");
        let there = traffic.count("v1");
        until("the old release answers again", async || traffic.count("v1") > there + 500).await;
        assert_eq!(traffic.count("two"), gone, "what was rolled back still answers");
        let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert_eq!(image, "127.0.0.1:5000/app:v1", "the whole template is back as it was");

        let answers = traffic.end().await;
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["two", "v1"], "{answers:?}");
        assert_eq!(cluster.target.adopt(&prod()).await.unwrap().map(|again| again.digest), Some(origin.digest));
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn an_arm_that_still_gets_requests_is_not_taken_away() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        let told = Mutex::new(Vec::new());
        let tell = |line: String| told.lock().unwrap().push(line);
        let said = |what: &str| told.lock().unwrap().iter().any(|line: &String| line.contains(what));
        let weigh = Effect::Weigh { weight: weight("5%") };
        let applied = cluster.target.apply(&prod(), 1, &weigh, &tell).await.unwrap();
        assert_eq!(applied.observation.served, None, "there is no traffic to see a share in");
        assert!(said("5% accepted, not seen in traffic yet"), "{told:?}");

        // A gateway that goes on as before: a client of the canary's pods alone.
        let address = cluster.kubectl(&["get", "pods", "-l", "hms/beside=shop", "-o", "jsonpath={.items[0].status.podIP}"]);
        let late = Traffic::at(&format!("{address}:8080"), "late.test", 1);
        until("the canary answers", async || late.count("two") > 0).await;
        let environment = prod();
        let withdrawn = cluster.target.apply(&environment, 2, &Effect::Withdraw, &tell);
        let meanwhile = async {
            until("weight 0 is accepted", async || said("the canary has nothing")).await;
            let before = late.all();
            until("2,000 requests more", async || late.all() >= before + 2_000).await;
            assert!(!said("no requests any more"), "{told:?}");
            cluster.kubectl(&["get", "deployment", "shop-canary"]);
            late.end().await
        };
        let (applied, answers) = tokio::join!(withdrawn, meanwhile);
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["two"], "{answers:?}");
        assert_eq!(applied.unwrap().weight, Weight::ZERO);
        assert!(said("deployment shop-canary gets no requests any more"), "{told:?}");
        assert!(cluster.target.observe(&prod()).await.unwrap().arms.iter().all(|view| view.arm == ArmName::Stable));
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn each_way_not_to_come_up_is_told_with_its_fix_and_leaves_traffic_alone() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let tell = async |release: (ReleaseRecord, PathBuf)| {
            let digest = cluster.bring(release).await;
            match cluster.target.apply(&prod(), 1, &start(&digest, ArmName::Canary), &quiet).await {
                Err(TargetError::StartFailed { reason, last_lines }) => (reason, last_lines.join("\n")),
                other => panic!("{other:?}"),
            }
        };
        let (reason, lines) = tell(cluster.release("missing-env", &["REQUIRED=DATABASE_URL"])).await;
        assert!(reason.contains("ends again and again") || reason.contains("ended: exit code"), "{reason}");
        assert!(lines.contains("DATABASE_URL"), "{lines}");

        let mut gone = cluster.release("gone", &["VERSION=gone"]);
        let absent = Digest::of(b"no image has these bytes");
        gone.0.images[0].reference = format!("127.0.0.1:5000/shop-gone@{absent}");
        gone.0.release.digest = absent;
        let error = cluster.target.place(&gone.0, &gone.1).await.unwrap_err().to_string();
        assert!(error.contains("is not in its registry"), "{error}");

        cluster.kubectl(&["create", "secret", "generic", "db", "--from-literal=other=1"]);
        let secret = r#"{"spec":{"template":{"spec":{"containers":[{"name":"shop","env":[{"name":"URL","valueFrom":{"secretKeyRef":{"name":"db","key":"url"}}}]}]}}}}"#;
        cluster.kubectl(&["patch", "deployment", "shop", "--patch", secret]);
        let (reason, _) = tell(cluster.release("two", &["VERSION=two"])).await;
        assert!(reason.contains("the secret db has no key url"), "{reason}");
        let seen = cluster.target.observe(&prod()).await.unwrap();
        assert_eq!(seen.weight, Weight::ZERO);
        assert!(seen.arms.iter().all(|view| view.arm == ArmName::Stable), "{:?}", seen.arms);
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn fields_of_another_controller_are_not_taken_and_a_rollback_asks_nobody() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {template: {spec: {containers: [{name: shop, image: '127.0.0.1:5000/app:v3'}]}}}\n";
        let arguments = ["-n", &cluster.namespace, "apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"];
        kubectl(&cluster.folder, &arguments, Some(foreign));
        cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        // Before anything runs, and long before anybody's traffic moves.
        let refused = cluster.target.apply(&prod(), 1, &start(&two, ArmName::Canary), &quiet).await.unwrap_err().to_string();
        assert!(refused.contains("managed by gitops") && refused.contains("take_over"), "{refused}");
        cluster.apply(2, Effect::Withdraw).await;
        cluster.apply(3, start(&origin.digest, ArmName::Standby)).await;
        cluster.apply(3, Effect::Return { release: origin.digest }).await;
        let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert_eq!(image, "127.0.0.1:5000/app:v1");
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_release_is_named_by_the_image_that_a_job_pushed_and_a_moved_tag_is_refused() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let revision = "8c4f2d3e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d";
        let mut made = cluster.release("unpushed", &["VERSION=unpushed"]).0;
        made.images.clear();
        made.release.revision = Some(revision.parse().unwrap());
        let error = cluster.target.prepare(made.clone(), cluster.empty.path(), None).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{}:{revision}", cluster.namespace)) && error.contains("hint:"), "{error}");

        let push = |version: &str| push(&folder, &format!("{}:{revision}", cluster.namespace), &[&format!("VERSION={version}")]);
        let digest = push("two");
        let record = cluster.target.prepare(made, cluster.empty.path(), None).await.unwrap();
        assert_eq!(record.release.digest.to_string(), digest);
        assert_eq!(record.images[0].reference, format!("127.0.0.1:5000/{}@{digest}", cluster.namespace));
        assert_ne!(push("three"), digest);
        let moved = cluster.target.place(&record, cluster.empty.path()).await.unwrap_err().to_string();
        assert!(moved.contains("names") && moved.contains("now"), "{moved}");
        push("two");
        cluster.target.place(&record, cluster.empty.path()).await.unwrap();
        assert_eq!(cluster.target.placed(&record.release.digest).await.unwrap(), Some(record));
    });
}

impl Cluster {
    /// Writes into the record what a driver would.
    async fn amend(&self, change: impl FnOnce(&mut hms::event::EnvironmentRecord)) {
        let mut record = self.target.record(&prod()).await.unwrap();
        change(&mut record);
        self.target.put_record(record).await.unwrap();
    }

    /// What is otherwise than it was left, in lines.
    async fn drift(&self) -> Vec<String> {
        self.target.drift(&prod()).await.unwrap().iter().map(Drift::to_string).collect()
    }

    async fn put_back(&self, fence: u64, release: &Digest) {
        self.apply(fence, start(release, ArmName::Standby)).await;
        self.apply(fence, Effect::Return { release: release.clone() }).await;
        assert_eq!(self.drift().await, Vec::<String>::new(), "it is as it was left");
    }

    fn settled(&self) {
        self.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn what_kubectl_does_behind_hms_is_found_told_and_put_back() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        assert_eq!(cluster.drift().await, Vec::<String>::new(), "nothing is recorded yet");
        let two = cluster.release("two", &["VERSION=two"]);
        let tag = two.0.release.clone();
        let two = cluster.bring(two).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Promote { release: two.clone() }).await;
        cluster.amend(|record| record.current = Some(tag.clone())).await;
        assert_eq!(cluster.drift().await, Vec::<String>::new(), "it is as hms left it");

        let one = async |expected: &[&str]| {
            let found = cluster.drift().await;
            let [only] = found.as_slice() else { panic!("{found:?}") };
            assert!(expected.iter().all(|part| only.contains(part)), "{only}");
        };
        // A restart is nobody's change of what runs.
        cluster.kubectl(&["rollout", "restart", "deployment/shop"]);
        cluster.settled();
        assert_eq!(cluster.drift().await, Vec::<String>::new());

        cluster.kubectl(&["set", "image", "deployment/shop", "shop=127.0.0.1:5000/app:v3"]);
        cluster.settled();
        one(&[".spec.containers[shop].image is 127.0.0.1:5000/app:v3, and was 127.0.0.1:5000/shop-two@", "by kubectl-set at 20"]).await;
        // What a person adopted is drift no more, until it changes again.
        let found = cluster.target.drift(&prod()).await.unwrap();
        cluster.amend(|record| record.adopted.clone_from(&found)).await;
        assert_eq!(cluster.drift().await, Vec::<String>::new());
        cluster.kubectl(&["set", "image", "deployment/shop", "shop=127.0.0.1:5000/app:v2"]);
        one(&["is 127.0.0.1:5000/app:v2"]).await;
        cluster.put_back(2, &two).await;
        let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert!(image.ends_with(&two.to_string()), "{image}");

        cluster.kubectl(&["set", "env", "deployment/shop", "LEVEL=debug"]);
        one(&["env", "by kubectl-set"]).await;
        cluster.put_back(3, &two).await;

        cluster.kubectl(&["scale", "deployment/shop", "--replicas=3"]);
        // The API server keeps no time of a scale.
        one(&["is to have 3 pods, and had 2", "by kubectl"]).await;
        cluster.kubectl(&["scale", "deployment/shop", "--replicas=2"]);
        assert_eq!(cluster.drift().await, Vec::<String>::new());

        cluster.kubectl(&["rollout", "pause", "deployment/shop"]);
        one(&["is paused", "by kubectl"]).await;
        cluster.kubectl(&["scale", "deployment/shop", "--replicas=0"]);
        cluster.put_back(4, &two).await;
        assert_eq!(cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.replicas}"]), "2", "no pods serve nobody");

        cluster.kubectl(&["rollout", "undo", "deployment/shop", "--to-revision=1"]);
        cluster.settled();
        let found = cluster.target.drift(&prod()).await.unwrap();
        assert!(
            matches!(&found[0], Drift::Stable { recorded, found: Some(found) } if *recorded == two && *found == origin.digest),
            "{found:?}"
        );
        assert!(found.len() == 2 && found[1].to_string().contains("by kubectl"), "{found:?}");
        cluster.put_back(5, &two).await;
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_weight_that_somebody_wrote_and_an_arm_that_is_gone_are_told() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.release("two", &["VERSION=two"]);
        let tag = two.0.release.clone();
        let two = cluster.bring(two).await;
        let one = weight("1%");
        let rollout = "01KATE000000000000000RQXX1".parse().unwrap();
        cluster
            .amend(|record| {
                record.current = Some(origin.clone());
                record.slot = Some(Slot { release: tag.clone(), rollout, since: hms::store::now() });
                record.weights = Some(Weights { requested: one, applied: one });
            })
            .await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Weigh { weight: one }).await;
        assert_eq!(cluster.drift().await, Vec::<String>::new());

        let patch = r#"[{"op":"replace","path":"/spec/rules/0/backendRefs/0/weight","value":60},{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":40}]"#;
        cluster.kubectl(&["patch", "httproute", "shop", "--type=json", "--patch", patch]);
        let found = cluster.drift().await.join("\n");
        assert!(found.contains("httproute shop gives the canary 40%, and hms gave it 1%, by kubectl-patch at 20"), "{found}");
        cluster.apply(1, Effect::Weigh { weight: one }).await;
        assert_eq!(cluster.drift().await, Vec::<String>::new());

        cluster.kubectl(&["set", "image", "deployment/shop-canary", "shop=127.0.0.1:5000/app:v3"]);
        let found = cluster.drift().await.join("\n");
        assert!(found.contains("deployment shop-canary is hms's own, and was changed, by kubectl-set at 20"), "{found}");
        cluster.kubectl(&["delete", "deployment", "shop-canary"]);
        let found = cluster.drift().await.join("\n");
        assert!(found.contains("the canary beside deployment/shop is not there any more"), "{found}");
        let seen = cluster.target.observe(&prod()).await.unwrap();
        assert_eq!(seen.weight, one, "users still get errors for it, and that is no 0");
        assert_eq!(cluster.apply(2, Effect::Weigh { weight: Weight::ZERO }).await.weight, Weight::ZERO);
    });
}
