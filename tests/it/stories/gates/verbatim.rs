//! The file that must run as it stands, in a Node project.

use super::world::{World, pipeline};

const VERBATIM: &str = include_str!("../../pipeline/verbatim.yml");
const SETTINGS: &str = "
.hms:
  app: shop
  local: {listen: '127.0.0.1:0'}
  canary: {bake: 300ms, interval: 200ms}
";
const PACKAGE: &str = r#"{"name":"shop","version":"1.0.0","scripts":{
  "lint":"node --check server.js && mkdir -p dist && cp server.js dist/",
  "test":"node --test",
  "start":"node dist/server.js"}}"#;
const LOCKFILE: &str =
    r#"{"name":"shop","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"shop","version":"1.0.0"}}}"#;
const SERVER: &str = "require('node:http').createServer((_, answer) => answer.end('hello')).listen(process.env.PORT, '127.0.0.1');\n";
const TEST: &str = "const {test} = require('node:test');\ntest('one', () => {});\ntest('two', () => {});\n";

fn has_node() -> bool {
    let runs = |program: &str| std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let there = runs("node") && runs("npm");
    if !there {
        eprintln!("skipped: node or npm is not there");
    }
    there
}

#[test]
fn the_verbatim_file_goes_to_production() {
    if !has_node() {
        return;
    }
    let world = World::new(&format!("{VERBATIM}{SETTINGS}"));
    for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCKFILE), ("server.js", SERVER), ("one.test.js", TEST)] {
        world.write(name, text);
    }
    world.commit("a service");
    let users = world.users();
    let said = world.hms_ends(10, &["run", "--headless"]);
    let lines: Vec<&str> = said.out.lines().collect();
    let starts = ["▶ BUILD  ✔ ", "▶ TEST   ✔ 2 tests passed  ", "▶ SCAN   ✔ 0 critical 0 high 0 medium · 0 secrets · ", "▶ CANARY ✔ 100"];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{start}: {said:#?}");
    }
    assert!(lines[2].contains("no dependencies to check"), "{said:#?}");
    assert!(lines[3].contains(" traffic healthy (p95=") && lines[3].contains("errors 0") && lines[3].contains(" requests)"), "{said:#?}");
    let pid = world.engine("1").expect("the engine watches the canary").process.pid;
    let gate =
        format!("PROD waiting for manual approval: hms approve 1 prod   (blocked at a gate: exit 10; canary watched by engine {pid})");
    assert_eq!(lines[4..], [gate], "{said:#?}");
    assert!(said.err.contains("`image:` is not honoured"), "{said:#?}");
    let said = world.approve("1");
    assert!(said.out.contains("▶ PROD   ✔"), "{said:#?}");
    let prod = world.store()["environments"]["prod"].clone();
    assert!(prod["stable"].is_object() && prod["canary"].is_null(), "{prod:#}");
    assert_eq!(users.failed(), 0);
    assert_eq!(world.rollout("1")["weight"]["applied"], 1.0);
    // The very bytes that were the canary.
    assert_eq!(prod["record"]["current"]["digest"], world.status("1")["release"]["digest"]);
}

const THREE: &str = r#"{"name":"shop","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"shop"},
  "node_modules/a":{"version":"1.0.0"},"node_modules/b":{"version":"1.0.0"},"node_modules/c":{"version":"1.0.0"}}}"#;

#[test]
fn packages_that_nobody_looked_up_are_no_green() {
    let world = World::new(&pipeline(&[]));
    world.write("package-lock.json", THREE);
    world.commit("three packages");
    let said = world.hms_ends(1, &["run", "--headless"]);
    assert!(said.out.contains("3 packages NOT CHECKED"), "{said:#?}");
    assert_eq!(world.job("1", "scan")["exit_code"], 3);
    assert!(world.log("1", "scan").contains("3 packages NOT CHECKED"));
    assert_eq!(world.job("1", "canary")["status"], "skipped");
}

#[test]
fn policy_may_let_packages_pass_and_says_so() {
    let world = World::new(&pipeline(&[("advisories: required", "advisories: optional")]));
    world.write("package-lock.json", THREE);
    world.commit("three packages");
    let _users = world.users();
    let said = world.hms_ends(10, &["run", "--headless"]);
    let scan = said.out.lines().find(|line| line.starts_with("▶ SCAN")).unwrap();
    assert!(scan.starts_with("▶ SCAN   ✔ ") && scan.contains("3 packages NOT CHECKED"), "{said:#?}");
    let entries = world.entries("scan");
    assert!(
        entries.iter().any(|entry| entry["reason"].as_str().is_some_and(|reason| reason.contains("3 packages NOT CHECKED"))),
        "{entries:#?}"
    );
}
