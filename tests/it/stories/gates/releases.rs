//! The whole loop with a real Prometheus: healthy, errors, a slow tail, 4xx alone, an outage of both arms, and Prometheus gone for a
//! while. `scripts/bench releases` has the same at 1 % of 200 requests/s, with the times.

use std::net::TcpListener;

use serde_json::Value;

use super::world::{Said, World, pipeline, wait_for};
use crate::prometheus;

fn canary(world: &World, run: &str) -> Option<Value> {
    let said = world.hms(&["canary", "status", run, "--output", "json"]);
    serde_json::from_str(&said.out).ok().filter(|_| said.code == Some(0))
}

/// Waits for a canary whose status is so.
#[track_caller]
fn wait_canary(world: &World, run: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || canary(world, run).filter(|told| holds(told)))
}

#[test]
fn five_releases_are_each_judged_right_by_what_prometheus_measured() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let metrics = format!(
        "app: shop\n  metrics: {{prometheus: 'http://127.0.0.1:{port}', requests: hms_requests_total, latency: hms_request_duration_seconds, own: {{client_errors: {{status: 4xx, slo: 5%}}}}}}"
    );
    let canary_settings = "{bake: 3s, interval: 500ms, on_hold: 3m, unwatched: keep, slo: {error_rate: 1%, p95: 250ms}}";
    let world = World::new(&pipeline(&[
        ("app: shop", &metrics),
        ("{bake: 300ms, interval: 200ms, on_hold: 1m, unwatched: keep, slo: {error_rate: 1%, p95: 1s}}", canary_settings),
    ]));
    let folder = world.path("home");
    let server = prometheus::start(&folder, port, "250ms");
    let _users = world.users();
    let first = world.start(&["run", "--headless"]);
    let proxy = wait_for("the proxy's metrics", || world.store()["metrics"].as_str().map(str::to_owned));
    prometheus::scrapes(&folder, &proxy);
    assert_eq!(Said::wait(first).code, Some(10));
    world.approve("1");

    // Three that are bad, each in its own way.
    for (run, service, name) in [
        ("2", r#""error_rate":0.5"#, "errors"),
        ("3", r#""slow_rate":0.5,"slow_ms":400"#, "latency"),
        ("4", r#""error_rate":0.5,"error_status":404"#, "client_errors"),
    ] {
        world.write("service.json", &format!(r#"{{"version":"{run}",{service}}}"#));
        world.commit(name);
        world.hms_ends(12, &["run", "--headless"]);
        let told = canary(&world, run).unwrap();
        let metrics = told["metrics"].as_object().unwrap();
        let harmed: Vec<&String> = metrics.iter().filter(|(_, metric)| metric["harmed"] == true).map(|(name, _)| name).collect();
        let key = if name == "latency" { "slow" } else { name };
        assert_eq!(harmed, [key], "{told:#}");
    }

    // A healthy one; Prometheus is killed in the middle of it, and comes back.
    let outage = world.path("home/outage");
    world.write("service.json", &format!(r#"{{"version":"5","outage":"{}"}}"#, outage.display()));
    world.commit("healthy");
    let run = world.start(&["run", "--headless"]);
    wait_canary(&world, "5", "the canary's weight", |told| told["weight"]["applied"] == 0.5);
    drop(server);
    let blind = wait_canary(&world, "5", "a HOLD without data", |told| told["missed_reason"].is_string() && told["verdict"] == "HOLD");
    assert!(blind["missed_reason"].as_str().unwrap().contains("cannot be read"), "{blind:#}");
    let _server = prometheus::start(&folder, port, "250ms");
    let said = Said::wait(run);
    assert_eq!(said.code, Some(10), "{said:#?}");
    world.approve("5");

    // What both releases need fails: no harm of the canary's, and no PASS while it lasts.
    world.write("service.json", &format!(r#"{{"version":"6","outage":"{}"}}"#, outage.display()));
    world.commit("an outage");
    let run = world.start(&["run", "--headless"]);
    wait_canary(&world, "6", "the canary's weight", |told| told["weight"]["applied"] == 0.5);
    std::fs::write(&outage, "").unwrap();
    let told = wait_canary(&world, "6", "an incident", |told| {
        told["verdict"] == "HOLD" && told["reason"].as_str().is_some_and(|reason| reason.starts_with("environment incident: "))
    });
    assert!(told["metrics"].as_object().unwrap().values().all(|metric| metric["harmed"] == false), "{told:#}");
    assert!(told["metrics"]["errors"]["stable"]["bad"].as_u64().unwrap() > 0, "{told:#}");
    world.hms_ends(0, &["rollback", "--env", "canary"]);
    assert_eq!(Said::wait(run).code, Some(12));
}
