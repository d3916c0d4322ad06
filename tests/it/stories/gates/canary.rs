//! `hms canary status|watch|explain`: what a person reads of a canary while it is judged, and afterwards.

use serde_json::Value;

use super::world::{Said, World, pipeline, wait_for};

fn canary(world: &World, arguments: &[&str]) -> Value {
    let said = world.hms_ends(0, &[&["canary", "status", "--output", "json"], arguments].concat());
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn a_canary_tells_its_evidence_while_it_waits_at_the_gate() {
    let world = World::new(&pipeline(&[]));
    let said = world.hms_ends(3, &["canary", "status"]);
    assert!(said.err.contains("has a canary") && said.err.contains("hms runs"), "{said:#?}");
    let _users = world.users();
    world.first_release();
    world.commit_service("2", 0.0);
    let run = world.start(&["run", "--headless", "--linger"]);
    wait_for("the second canary", || (world.try_status("2")?["rollouts"][0]["weight"]["applied"] == 0.5).then_some(()));
    // Followed from HOLD to PASS.
    let watched = world.hms_ends(0, &["canary", "watch", "2"]);
    let last = watched.out.lines().last().unwrap();
    assert!(last.contains("PASS") && last.contains(" 50%  ") && last.contains("errors 0/"), "{watched:#?}");
    assert_eq!(Said::wait(run).code, Some(10));

    let told = canary(&world, &["2"]);
    assert_eq!((&told["verdict"], &told["phase"], &told["watched"]), (&"PASS".into(), &"watching".into(), &true.into()), "{told:#}");
    assert_eq!(told["toward_pass"], 1.0, "{told:#}");
    assert_eq!(told["weights"].as_array().unwrap().len(), 1, "{told:#}");
    let errors = &told["metrics"]["errors"];
    assert!(errors["canary"]["all"].as_u64().unwrap() >= 299 && errors["canary"]["rate"]["high"].as_f64().unwrap() < 0.05, "{errors:#}");
    let text = world.hms_ends(0, &["canary", "status"]).out;
    for part in ["PASS  ", "watched by driver", "weight 50%", "errors, limit 1.0 %", "e-value HARM", "100.0 % of the way to PASS"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let why = world.hms_ends(0, &["canary", "explain"]).out;
    for part in ["What each test says", "errors: HARM, worse than stable, is", "How it came to this", "HOLD: ", "PASS: "] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!why.contains("still needs"), "{why}");
    let happened: Value = serde_json::from_str(&world.hms_ends(0, &["canary", "explain", "--output", "json"]).out).unwrap();
    assert!(happened["happened"].as_array().unwrap().len() >= 3, "{happened:#}");

    // The same by the app's name and by the rollout's id, from no repository at all.
    let by_app = world.command(&["canary", "status", "--app", "shop", "--output", "json"]).current_dir("/").output().unwrap();
    let by_app: Value = serde_json::from_str(&Said::of(&by_app).out).unwrap();
    assert_eq!(by_app["rollout"], told["rollout"]);
    assert_eq!(canary(&world, &[told["rollout"].as_str().unwrap()])["rollout"], told["rollout"]);
}

#[test]
fn a_canary_that_does_harm_is_followed_to_its_end_and_explained_afterwards() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    world.commit_service("2", 0.5);
    let run = world.start(&["run", "--headless"]);
    wait_for("the second canary", || (world.try_status("2")?["rollouts"][0]["weight"]["applied"] == 0.5).then_some(()));
    let watched = world.hms_ends(12, &["canary", "watch", "2", "--output", "json"]);
    let last: Value = serde_json::from_str(watched.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["verdict"], &last["outcome"]), (&"ROLLBACK".into(), &"rolled_back".into()), "{last:#}");
    assert_eq!(Said::wait(run).code, Some(12));
    let why = world.hms_ends(0, &["canary", "explain", "2"]).out;
    for part in ["rolled back at", "HARM, worse than stable, is", "proven", "taken back: "] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(world.hms_ends(12, &["canary", "watch", "2"]).out.lines().count(), 2);
}

#[test]
fn a_release_that_fails_with_4xx_alone_is_taken_back_where_that_is_a_metric() {
    let world = World::new(&pipeline(&[("app: shop", "app: shop\n  metrics: {own: {client_errors: {status: 4xx, slo: 5%}}}")]));
    let _users = world.users();
    world.first_release();
    world.write("service.json", r#"{"version":"2","error_rate":0.5,"error_status":404}"#);
    world.commit("2");
    let said = world.hms_ends(12, &["run", "--headless"]);
    assert!(said.out.contains("client_errors") || said.err.contains("client_errors"), "{said:#?}");
    let told = canary(&world, &["2"]);
    let of = |name: &str| told["metrics"][name].clone();
    assert_eq!((&of("client_errors")["harmed"], &of("errors")["harmed"]), (&true.into(), &false.into()), "{told:#}");
    assert_eq!(of("errors")["canary"]["bad"], 0, "a 4xx is no error: {told:#}");
    let why = world.hms_ends(0, &["canary", "explain", "2"]).out;
    assert!(why.contains("client_errors: HARM, worse than stable, is"), "{why}");
    // The journal judged again has the metric and its limit; what-if knows it by its name.
    let journal = std::fs::read_dir(world.path("home/.local/state/hms/rollouts/shop"))
        .unwrap()
        .map(|folder| folder.unwrap().path().join("journal"))
        .find(|journal| std::fs::read_to_string(journal).unwrap().contains("RolledBack"))
        .unwrap();
    let journal = journal.to_str().unwrap();
    let again = world.hms_ends(12, &["canary", "judge", journal, "--output", "json"]);
    let again: Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!((&again["metrics"]["client_errors"]["slo"], &again["metrics"]["client_errors"]["harmed"]), (&0.05.into(), &true.into()));
    let other = world.hms(&["canary", "judge", journal, "--output", "json", "--set", "slo_client_errors=60%"]);
    let other: Value = serde_json::from_str(other.out.lines().last().unwrap()).unwrap();
    assert_eq!(other["metrics"]["client_errors"]["slo"], 0.6, "{other:#}");
}

#[test]
fn a_canary_that_nobody_watches_is_told_as_that() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless", "--no-linger"]);
    assert_eq!(canary(&world, &[])["watched"], false);
    let text = world.hms_ends(0, &["canary", "status"]).out;
    assert!(text.contains("UNWATCHED since"), "{text}");
}

#[test]
fn a_run_is_reported_as_one_page_that_loads_and_runs_nothing() {
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    world.write("service.json", r#"{"version":"2","error_rate":0.5}"#);
    world.commit(r#"<script>alert("1")</script> & 'more'"#);
    world.hms_ends(12, &["run", "--headless"]);
    let file = world.path("home/run.html");
    let said = world.hms_ends(0, &["report", "2", "--to", file.to_str().unwrap()]);
    assert!(said.out.is_empty() && said.err.contains("wrote "), "{said:#?}");
    let page = std::fs::read_to_string(file).unwrap();
    assert_eq!(balanced(&page), Ok(()), "{page}");
    for absent in ["<script", "http://", "https://", "src=", "href=", "@import", "url(", "onload", "javascript:"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(page.matches("<svg").count(), 5, "p95, errors, rate, share, evidence");
    for part in [
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39;",
        "<strong>ROLLBACK</strong>",
        "prefers-color-scheme:dark",
        "default-src 'none'",
        "<h2>Pipeline</h2>",
        "<td>canary</td><td>✘ failed</td>",
        "<h2>Ledger</h2>",
        "<td>rollback intent</td>",
        "e class=\"canary\"",
        "e class=\"stable\"",
        "weight 50%",
        "taken back: ",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // The same for programs, and the numbers alone.
    let json: Value = serde_json::from_str(&world.hms_ends(0, &["report", "2", "--output", "json"]).out).unwrap();
    assert_eq!((&json["run"]["outcome"], &json["canaries"][0]["status"]["verdict"]), (&"rolled_back".into(), &"ROLLBACK".into()));
    assert!(json["ledger"].as_array().unwrap().iter().any(|entry| entry["type"] == "rollback" && entry["phase"] == "outcome"));
    let points = json["canaries"][0]["curves"]["points"].as_array().unwrap();
    let csv = world.hms_ends(0, &["canary", "export", "2", "--format", "csv"]).out;
    assert_eq!(csv.lines().count(), points.len() + 1, "{csv}");
    let failed: f64 = points.iter().filter(|point| point["arm"] == "canary").map(|point| point["errors"].as_f64().unwrap()).sum();
    assert!(failed >= 3.0, "{points:#?}");
    assert!(world.hms_ends(0, &["canary", "export", "2"]).out.lines().next().unwrap().starts_with("time  "));
}

/// Whether every element that is opened is closed, in order.
fn balanced(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1).map(|piece| piece.split('>').next().unwrap_or_default()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.pop() != Some(closed) {
                return Err(format!("</{closed}> closes nothing"));
            }
        } else if !tag.ends_with('/') && !["meta", "br", "!DOCTYPE"].contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("left open: {open:?}")) }
}
