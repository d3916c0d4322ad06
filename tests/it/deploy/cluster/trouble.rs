//! Trouble that is not the release's: other apps, other people, other objects; and trouble that a rollback is to end.

use super::*;

const SECOND: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 1
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      terminationGracePeriodSeconds: 5
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
";

fn rules(cluster: &Cluster, rules: &str) {
    let patch = format!(r#"{{"spec":{{"rules":{rules}}}}}"#);
    cluster.kubectl(&["patch", "httproute", "shop", "--type=merge", "--patch", &patch]);
}

fn weights(cluster: &Cluster) -> String {
    cluster.kubectl(&["get", "httproute", "shop", "-o", "jsonpath={range .spec.rules[*].backendRefs[*]}{.name}={.weight} {end}"])
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn two_apps_behind_one_route_do_not_lock_each_other_out() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        kubectl(&folder, &["-n", &cluster.namespace, "apply", "-f", "-"], Some(SECOND));
        rules(
            &cluster,
            r#"[{"backendRefs":[{"name":"shop","port":80}]},{"matches":[{"path":{"type":"PathPrefix","value":"/cart"}}],"backendRefs":[{"name":"cart","port":80}]}]"#,
        );
        let place = ClusterPlace {
            context: Some("hms-test".to_owned()),
            namespace: cluster.namespace.clone(),
            workload: WorkloadName::Deployment("cart".to_owned()),
            containers: Vec::new(),
            image: None,
            traffic: Some(TrafficPlace {
                router: RouterName::HttpRoute("shop".to_owned()),
                stable: "cart".to_owned(),
                canary: "cart-canary".to_owned(),
                settle: SETTLE,
            }),
            version_label: "version".to_owned(),
            take_over: Vec::new(),
        };
        let cart = KubernetesTarget::open(place, &"cart".parse().unwrap(), registry()).await.unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(40, start(&two, ArmName::Canary)).await;
        cluster.apply(40, Effect::Weigh { weight: weight("5%") }).await;
        let mut three = cluster.release("three", &["VERSION=three"]);
        three.0.app = "cart".parse().unwrap();
        cart.place(&three.0, &three.1).await.unwrap();
        let digest = three.0.release.digest;
        let apply = async |fence, effect: Effect| cart.apply(&prod(), fence, &effect, &quiet).await;
        apply(3, start(&digest, ArmName::Canary)).await.unwrap();
        let applied = apply(3, Effect::Weigh { weight: weight("10%") }).await.unwrap();
        assert_eq!((applied.weight, applied.observation.fence), (weight("10%"), 3));
        assert!(matches!(apply(2, Effect::Withdraw).await, Err(TargetError::Superseded { fence: 3, .. })), "its own number holds");
        let applied = cluster.apply(41, Effect::Withdraw).await;
        assert_eq!((applied.weight, applied.observation.fence), (Weight::ZERO, 41));
        assert_eq!(cart.observe(&prod()).await.unwrap().weight, weight("10%"));
        assert_eq!(apply(4, Effect::Withdraw).await.unwrap().weight, Weight::ZERO);
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_rule_that_leads_nowhere_and_is_not_ours_stops_no_way_there_or_back() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        rules(
            &cluster,
            r#"[{"backendRefs":[{"name":"shop","port":80}]},{"matches":[{"path":{"type":"PathPrefix","value":"/docs"}}],"backendRefs":[{"name":"docs","port":80}]}]"#,
        );
        let unresolved = r#"{.status.parents[0].conditions[?(@.type=="ResolvedRefs")].reason}"#;
        until("the gateway objects to the docs", async || {
            cluster.kubectl(&["get", "httproute", "shop", "-o", &format!("jsonpath={unresolved}")]) == "BackendNotFound"
        })
        .await;
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        assert_eq!(cluster.apply(1, Effect::Weigh { weight: weight("5%") }).await.weight, weight("5%"));
        cluster.apply(1, Effect::Promote { release: two.clone() }).await;
        cluster.apply(2, start(&origin.digest, ArmName::Standby)).await;
        assert_eq!(cluster.apply(2, Effect::Return { release: origin.digest }).await.weight, Weight::ZERO);
        assert_eq!(weights(&cluster), "shop=100 shop-canary=0 docs=1 ");

        // Somebody puts a third service beside the two: no share can be promised, and weight 0 is given all the same.
        cluster.apply(3, start(&two, ArmName::Canary)).await;
        cluster.apply(3, Effect::Weigh { weight: weight("5%") }).await;
        rules(
            &cluster,
            r#"[{"backendRefs":[{"name":"shop","port":80,"weight":45},{"name":"shop-canary","port":80,"weight":5},{"name":"docs","port":80,"weight":50}]}]"#,
        );
        let refused = cluster.target.apply(&prod(), 3, &Effect::Weigh { weight: weight("10%") }, &quiet).await.unwrap_err().to_string();
        assert!(refused.contains("also leads to docs"), "{refused}");
        assert_eq!(cluster.apply(4, Effect::Withdraw).await.weight, Weight::ZERO);
        assert_eq!(weights(&cluster), "shop=45 shop-canary=0 docs=50 ");
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn pods_that_crash_are_what_a_rollback_ends_and_not_why_it_fails() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        // A start that takes longer than a crash has to stand until it is believed.
        let slow = r#"{"spec":{"template":{"spec":{"containers":[{"name":"shop","readinessProbe":{"initialDelaySeconds":6}}]}}}}"#;
        cluster.kubectl(&["patch", "deployment", "shop", "--patch", slow]);
        cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout=60s"]);
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Promote { release: two.clone() }).await;
        // All of them crash, and none goes before another one is ready: that is what a rollback finds in production.
        let broken = r#"{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":"100%"}},"template":{"spec":{"containers":[{"name":"shop","env":[{"name":"EXIT_AT_START","value":"gone"}]}]}}}}"#;
        cluster.kubectl(&["patch", "deployment", "shop", "--patch", broken]);
        until("pods crash again and again", async || {
            let restarts =
                cluster.kubectl(&["get", "pods", "-l", "app=shop", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"]);
            let counts: Vec<u32> = restarts.split_whitespace().map(|count| count.parse().unwrap()).collect();
            counts.len() == 2 && counts.iter().all(|count| *count > 1)
        })
        .await;
        cluster.kubectl(&["patch", "deployment", "shop", "--patch", r#"{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0}}}}"#]);
        cluster.apply(2, start(&origin.digest, ArmName::Standby)).await;
        assert_eq!(cluster.apply(2, Effect::Return { release: origin.digest }).await.weight, Weight::ZERO);
        cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout=1s"]);
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn stable_that_was_scaled_away_while_it_had_no_traffic_gets_its_pods_before_it_has_any() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        let traffic = Traffic::to(&format!("{}.test", cluster.namespace), 2);
        let told = Mutex::new(Vec::new());
        let scaled = AtomicBool::new(false);
        let tell = |line: String| {
            if line.contains("all traffic is beside") && !scaled.swap(true, Ordering::Relaxed) {
                cluster.kubectl(&["scale", "deployment/shop", "--replicas=0"]);
            }
            told.lock().unwrap().push(line);
        };
        let applied = cluster.target.apply(&prod(), 1, &Effect::Promote { release: two }, &tell).await.unwrap();
        assert_eq!(applied.weight, Weight::ZERO);
        assert!(told.lock().unwrap().iter().any(|line| line.contains("was scaled from 2 to 0 pods")), "{told:?}");
        assert_eq!(cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.replicas} {.status.availableReplicas}"]), "2 2");
        let answers = traffic.end().await;
        assert!(answers.keys().all(|answer| ["v1", "two"].contains(&answer.as_str())), "requests were lost: {answers:?}");
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn marks_that_no_record_knows_are_adopted_as_what_runs() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(7, start(&two, ArmName::Canary)).await;
        cluster.apply(7, Effect::Promote { release: two.clone() }).await;
        // With the release's own record, and without any.
        let again = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        assert_eq!((&again.digest, again.tag.as_str()), (&two, "two"));
        cluster.kubectl(&["delete", "configmaps", "-l", "app.kubernetes.io/managed-by=hms"]);
        let again = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        assert_eq!(again.digest, two);
        assert!(cluster.target.placed(&two).await.unwrap().is_some(), "it can be gone back to");
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn what_would_be_refused_is_refused_while_everybody_is_served_as_before() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        let tried = async |effect: Effect| cluster.target.apply(&prod(), 1, &effect, &quiet).await.unwrap_err().to_string();
        cluster.kubectl(&["rollout", "pause", "deployment/shop"]);
        let refused = tried(start(&two, ArmName::Canary)).await;
        assert!(refused.contains("is paused") && refused.contains("kubectl rollout resume deployment/shop"), "{refused}");
        cluster.kubectl(&["rollout", "resume", "deployment/shop"]);
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Weigh { weight: weight("5%") }).await;
        // Since the canary was begun.
        let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\nspec: {template: {spec: {containers: [{name: shop, image: '127.0.0.1:5000/app:v1'}]}}}\n";
        let arguments = ["-n", &cluster.namespace, "apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"];
        kubectl(&folder, &arguments, Some(foreign));
        let refused = tried(Effect::Promote { release: two.clone() }).await;
        assert!(refused.contains("managed by gitops"), "{refused}");
        assert_eq!(weights(&cluster), "shop=95 shop-canary=5 ", "traffic was moved for a promotion that cannot be");
        cluster.kubectl(&["rollout", "pause", "deployment/shop"]);
        assert!(tried(Effect::Promote { release: two }).await.contains("is paused"));
        assert_eq!(weights(&cluster), "shop=95 shop-canary=5 ");
    });
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn where_no_second_fleet_has_room_a_rollback_takes_the_place_of_what_runs() {
    let folder = folder();
    let _gateway = GATEWAY.read().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let cluster = Cluster::new(&folder).await;
        let origin = cluster.target.adopt(&prod()).await.unwrap().unwrap();
        let two = cluster.bring(cluster.release("two", &["VERSION=two"])).await;
        cluster.apply(1, start(&two, ArmName::Canary)).await;
        cluster.apply(1, Effect::Promote { release: two.clone() }).await;
        until("the arm is gone", async || cluster.kubectl(&["get", "pods", "-o", "name"]).lines().count() == 2).await;
        cluster.kubectl(&["create", "quota", "few", "--hard=pods=3"]);
        let told = Mutex::new(Vec::new());
        let tell = |line: String| told.lock().unwrap().push(line);
        cluster.target.apply(&prod(), 2, &start(&origin.digest, ArmName::Standby), &tell).await.unwrap();
        assert!(told.lock().unwrap().iter().any(|line| line.contains("exceeded quota") && line.contains("in place")), "{told:?}");
        let applied = cluster.apply(2, Effect::Return { release: origin.digest.clone() }).await;
        assert_eq!(applied.observation.arms.len(), 1);
        assert_eq!((&applied.observation.arms[0].release, applied.weight), (&origin.digest, Weight::ZERO));
        let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert_eq!(image, "127.0.0.1:5000/app:v1");
        // One that is broken by itself goes nowhere.
        let bad = cluster.bring(cluster.bad()).await;
        let answer = cluster.target.apply(&prod(), 3, &start(&bad, ArmName::Standby), &quiet).await;
        assert!(matches!(answer, Err(TargetError::StartFailed { .. })), "{answer:?}");
    });
}
