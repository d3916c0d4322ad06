//! Several workloads that are one release: their shares in one write, their promotion and their way back in one step, and what is told
//! when one of them does not follow.

use hms::deploy::kubernetes::release_digest;

use super::*;

/// A second service behind the same route, and a worker that nobody calls.
const OTHERS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 5
      initContainers:
      - name: ready
        image: 127.0.0.1:5000/app:v1
        env: [{name: JOB, value: 100ms}]
      containers:
      - name: cart
        image: 127.0.0.1:5000/app:v1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 1
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: worker
        image: 127.0.0.1:5000/app:v1
      - name: side
        image: 127.0.0.1:5000/app:v3
        env: [{name: PORT, value: '8081'}]
";

impl Cluster {
    /// The three workloads behind one route, and a target that releases to all of them.
    async fn of_three(folder: &Path, more: &str) -> Self {
        let mut cluster = Self::new(folder).await;
        kubectl(folder, &["-n", &cluster.namespace, "apply", "-f", "-"], Some(&format!("{OTHERS}{more}")));
        let rules = r#"{"spec":{"rules":[{"matches":[{"path":{"type":"PathPrefix","value":"/cart"}}],"backendRefs":[{"name":"cart","port":80}]},
            {"backendRefs":[{"name":"shop","port":80}]}]}}"#;
        cluster.kubectl(&["patch", "httproute", "shop", "--type=merge", "--patch", rules]);
        for name in ["cart", "worker"] {
            cluster.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=60s"]);
        }
        let place = |workload: WorkloadName, container: &str| ClusterPlace {
            workload,
            containers: vec![container.to_owned()],
            image: None,
            traffic: None,
            ..cluster.place.clone()
        };
        let mut others = vec![
            ClusterPlace {
                image: Some(format!("127.0.0.1:5000/{}-cart", cluster.namespace)),
                traffic: cluster.place.traffic.clone().map(|traffic| TrafficPlace {
                    stable: "cart".to_owned(),
                    canary: "cart-canary".to_owned(),
                    ..traffic
                }),
                ..place(WorkloadName::Deployment("cart".to_owned()), "cart")
            },
            place(WorkloadName::Deployment("worker".to_owned()), "worker"),
        ];
        if !more.is_empty() {
            others.push(place(WorkloadName::StatefulSet("last".to_owned()), "last"));
        }
        cluster.target = cluster.target.clone().together(others);
        let (client, host) = (client(), format!("{}.test", cluster.namespace));
        until("the gateway knows the cart", async || ask(&client, CART, &host).await == "v1").await;
        cluster
    }

    /// A release of two images: one for the cart, one for the others.
    fn release_of_two(&self, name: &str, cart: &[&str]) -> (ReleaseRecord, PathBuf) {
        let (mut record, tree) = self.release(name, &[&format!("VERSION={name}")]);
        let digest = push(&self.folder, &format!("cart-{name}:latest"), cart);
        let reference = format!("127.0.0.1:5000/cart-{name}@{digest}");
        record.images.push(ReleaseImage { workload: Some("deployment/cart".to_owned()), container: None, reference, tag: None });
        record.release.digest = release_digest(&record.images).unwrap();
        (record, tree)
    }

    /// The images of all containers, by workload.
    fn images(&self) -> String {
        let path = "{range .items[*]}{.metadata.name}: {.spec.template.spec.containers[*].image}{\"\\n\"}{end}";
        self.kubectl(&["get", "deployments,statefulsets", "-o", &format!("jsonpath={path}")])
    }

    fn weights_of_all(&self) -> String {
        self.kubectl(&["get", "httproute", "shop", "-o", "jsonpath={range .spec.rules[*].backendRefs[*]}{.name}={.weight} {end}"])
    }
}

const CART: &str = "127.0.0.1:8000/cart";

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn several_workloads_are_one_release_with_one_share_one_promotion_and_one_way_back() {
    let folder = folder();
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::of_three(&folder, "").await;
        let before = cluster.images();
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let host = format!("{}.test", cluster.namespace);
        let (shop, cart) = (Traffic::to(&host, 4), Traffic::at(CART, &host, 4));
        until("the origin answers", async || shop.count("v1") > 20 && cart.count("v1") > 20).await;

        let two = cluster.release_of_two("two", &["VERSION=two"]);
        let tag = two.0.release.clone();
        let two = cluster.bring(two).await;
        let told = cluster.target.preview(&two, ArmName::Canary, Some(weight("50%"))).await.unwrap().join("\n");
        assert!(
            ["shop-canary", "cart-canary", "worker-canary"].iter().all(|arm| told.contains(&format!("+ deployment {arm}: 1 pods"))),
            "{told}"
        );
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        let applied = cluster.apply(1, Effect::Weigh { weight: weight("50%") }).await;
        assert_eq!(
            (applied.weight, applied.observation.arms.len()),
            (weight("50%"), 2),
            "one stable and one canary, whatever they are made of"
        );
        assert!(applied.observation.served.is_some_and(|(canary, _)| canary > 0));
        assert_eq!(cluster.weights_of_all(), "cart=50 cart-canary=50 shop=50 shop-canary=50 ");
        assert_eq!(cluster.kubectl(&["get", "deployment", "worker-canary", "-o", "jsonpath={.spec.replicas}"]), "1");
        until("both canaries answer", async || shop.count("two") > 100 && cart.count("two") > 100).await;

        cluster.apply(2, Effect::Promote { release: two.clone() }).await;
        cluster.amend(|record| record.current = Some(tag.clone())).await;
        let now = cluster.images();
        let lines: Vec<&str> = now.lines().collect();
        assert!(lines[0].starts_with("cart: 127.0.0.1:5000/cart-two@") && lines[1].starts_with("shop: 127.0.0.1:5000/shop-two@"), "{now}");
        assert!(lines[2].starts_with("worker: 127.0.0.1:5000/shop-two@") && lines[2].ends_with(" 127.0.0.1:5000/app:v3"), "{now}");
        assert_eq!(lines.len(), 3, "the arms are gone: {now}");
        assert_eq!(cluster.drift().await, Vec::<String>::new());
        let init = cluster.kubectl(&["get", "deployment", "cart", "-o", "jsonpath={.spec.template.spec.initContainers[0].image}"]);
        assert_eq!(init, "127.0.0.1:5000/app:v1", "policy names the container that gets the image");
        cluster.kubectl(&["set", "env", "deployment/worker", "LEVEL=debug"]);
        let found = cluster.drift().await.join("\n");
        assert!(found.contains("deployment/worker .spec.containers[worker].env") && found.contains("by kubectl-set"), "{found}");

        cluster.apply(3, start(&origin.digest, ArmName::Standby)).await;
        let applied = cluster.apply(3, Effect::Return { release: origin.digest.clone() }).await;
        assert_eq!((applied.weight, cluster.images()), (Weight::ZERO, before), "all three are as they were");
        assert_eq!(cluster.weights_of_all(), "cart=100 cart-canary=0 shop=100 shop-canary=0 ");
        let (two, cart_two) = (shop.count("two"), cart.count("two"));
        until("the origin answers again", async || shop.count("v1") > 300 && cart.count("v1") > 300).await;
        assert_eq!((shop.count("two"), cart.count("two")), (two, cart_two), "nobody is answered by what was taken back");
        for answers in [shop.end().await, cart.end().await] {
            assert_eq!(answers.keys().collect::<Vec<_>>(), ["two", "v1"], "a request was lost: {answers:?}");
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_release_of_which_one_workload_does_not_come_up_comes_up_nowhere_and_says_which() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::of_three(&folder, "").await;
        let (before, weights) = (cluster.images(), cluster.weights_of_all());
        let bad = cluster.bring(cluster.release_of_two("half", &["EXIT_AT_START=the variable CART is missing"])).await;
        let error = cluster.target.apply(&prod(), 1, &start(&bad, ArmName::Canary), &quiet).await.unwrap_err();
        let TargetError::StartFailed { reason, last_lines } = &error else { panic!("{error:?}") };
        assert!(reason.starts_with("deployment/cart: ") && reason.contains("deployment/shop did"), "{reason}");
        assert!(last_lines.join("\n").contains("the variable CART is missing"), "{last_lines:?}");
        assert_eq!((cluster.images(), cluster.weights_of_all()), (before, weights), "nothing is left beside, and no traffic moved");

        // One that has nothing for the cart would leave it behind.
        let one = cluster.bring(cluster.release("one", &["VERSION=one"])).await;
        let refused = cluster.target.apply(&prod(), 1, &start(&one, ArmName::Canary), &quiet).await.unwrap_err().to_string();
        assert!(refused.contains("has no image for deployment/cart"), "{refused}");
    });
}

const LAST: &str = r"
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: last}
spec:
  replicas: 1
  serviceName: last
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: last}}
  template:
    metadata: {labels: {app: last}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: last
        image: 127.0.0.1:5000/app:v1
";

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_promotion_that_one_workload_does_not_follow_keeps_the_traffic_beside_and_is_taken_back_whole() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::of_three(&folder, LAST).await;
        let before = cluster.images();
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let host = format!("{}.test", cluster.namespace);
        let (shop, cart) = (Traffic::to(&host, 2), Traffic::at(CART, &host, 2));
        let two = cluster.bring(cluster.release_of_two("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Weigh { weight: weight("10%") }).await;
        // Its pods change only when somebody deletes them.
        let error = cluster.target.apply(&prod(), 2, &Effect::Promote { release: two.clone() }, &quiet).await.unwrap_err().to_string();
        assert!(error.starts_with("statefulset/last: ") && error.contains("OnDelete") && error.contains("deployment/cart did"), "{error}");
        assert_eq!(cluster.weights_of_all(), "cart=0 cart-canary=100 shop=0 shop-canary=100 ", "users stay beside");
        let refused = cluster.target.apply(&prod(), 2, &Effect::Withdraw, &quiet).await.unwrap_err().to_string();
        assert!(refused.contains("in the middle of being changed"), "{refused}");

        cluster.kubectl(&[
            "patch",
            "statefulset",
            "last",
            "--type=merge",
            "--patch",
            r#"{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}"#,
        ]);
        cluster.apply(3, Effect::Return { release: origin.digest.clone() }).await;
        assert_eq!((cluster.images(), cluster.weights_of_all()), (before, "cart=100 cart-canary=0 shop=100 shop-canary=0 ".to_owned()));
        for answers in [shop.end().await, cart.end().await] {
            assert!(answers.keys().all(|answer| answer == "two" || answer == "v1"), "a request was lost: {answers:?}");
        }
    });
}
