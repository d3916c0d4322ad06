//! Production changed by a job that nobody promoted, or with bytes that nobody scanned: refused, and in the ledger.

use super::world::{World, pipeline};

/// The run was refused, nothing is in prod, and the ledger says why.
#[track_caller]
fn is_refused(world: &World, run: &str, job: &str, why: &str) {
    let status = world.status(run);
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"refused".into(), &13.into()), "{status:#}");
    assert_eq!(world.job(run, job)["exit_code"], 13);
    let refusals = world.entries("refuse");
    let told = |entry: &serde_json::Value| entry["reason"].as_str().is_some_and(|reason| reason.contains(why));
    assert!(refusals.iter().any(told), "no refusal says `{why}`: {refusals:#?}");
    let prod = &world.store()["environments"]["prod"];
    assert!(prod["canary"].is_null() && prod["stable"].is_null(), "{prod:#}");
}

#[test]
fn a_job_that_nobody_promoted_changes_nothing() {
    let build = ("script: mkdir", "script: hms-deploy --env prod && mkdir");
    let world = World::new(&pipeline(&[build]));
    let said = world.hms_ends(13, &["run", "--headless"]);
    assert!(said.out.contains("▶ BUILD  ✘ refused"), "{said:#?}");
    is_refused(&world, "1", "build", "deploy: ");
    // Scanned, named in the script, and still promoted by nobody.
    let not_manual =
        pipeline(&[("  when: manual\n  needs: [canary]", "  needs: [scan]"), ("canary:\n  needs", "canary:\n  when: manual\n  needs")]);
    world.write(".hms-ci.yml", &not_manual);
    world.commit("promotes itself");
    world.hms_ends(13, &["run", "--headless"]);
    is_refused(&world, "2", "prod", "prod is protected");
}

/// Each asks for the release at the same moment: it is made once, and each is told what the rules say of it.
#[test]
fn jobs_that_deploy_at_once_get_one_release() {
    let stages = ("stages: [build, scan, canary, prod]", "stages: [build, scan, early, canary, prod]");
    // A canary beside them would be held for want of users, and the run with it.
    let text = pipeline(&[stages, ("canary:\n  needs: [scan]", "canary:\n  needs: [early]")]);
    let early = "early: {stage: early, parallel: 4, script: hms-deploy --env prod}\n";
    let world = World::new(&(text + early));
    world.hms_ends(13, &["run", "--headless"]);
    for n in 1..=4 {
        let job = world.job("1", &format!("early {n}/4"));
        assert_eq!(job["exit_code"], 13, "{job:#}");
    }
    let journal = std::fs::read_to_string(world.run_folder("1").join("journal")).unwrap();
    assert_eq!(journal.matches("\"type\":\"ReleaseMade\"").count(), 1, "{journal}");
}

#[test]
fn a_job_that_hides_its_environment_is_refused() {
    let world = World::new(&pipeline(&[("script: mkdir", "script: E=prod; hms-deploy --env $E && mkdir")]));
    world.hms_ends(13, &["run", "--headless"]);
    is_refused(&world, "1", "build", "does not name it");
}

#[test]
fn a_job_may_not_roll_back_or_approve() {
    let world = World::new(&pipeline(&[("script: mkdir", "script: hms-deploy rollback --env prod && mkdir")]));
    world.hms_ends(13, &["run", "--headless"]);
    is_refused(&world, "1", "build", "may not roll prod back");
    let approves = format!("script: hms -C {} approve 2 prod && mkdir", world.path("repo").display());
    world.write(".hms-ci.yml", &pipeline(&[("script: mkdir", &approves)]));
    world.commit("approves itself");
    // What a job exits with proves nothing: the run failed.
    world.hms_ends(1, &["run", "--headless"]);
    assert_eq!(world.job("2", "build")["exit_code"], 13);
    assert!(world.log("2", "build").contains("from inside a job"), "{}", world.log("2", "build"));
    let refusals = world.entries("refuse");
    assert!(refusals.iter().any(|entry| entry["reason"].as_str().unwrap().starts_with("approve: ")), "{refusals:#?}");
}

#[test]
fn a_release_that_was_not_scanned_goes_nowhere_protected() {
    let world = World::new(&pipeline(&[("script: scan dist/ --fail-on high", "script: 'true'")]));
    let said = world.hms_ends(13, &["run", "--headless"]);
    assert!(said.out.contains("▶ CANARY ✘ refused"), "{said:#?}");
    is_refused(&world, "1", "canary", "was not scanned");
    let refusals = world.entries("refuse");
    assert_eq!(refusals.len(), 1, "one no is one entry: {refusals:#?}");
    assert_eq!((&refusals[0]["outcome"], refusals[0]["digest"].is_string()), (&"unscanned".into(), true), "{refusals:#?}");
    world.write(".hms-ci.yml", &pipeline(&[("--fail-on high", "--fail-on critical")]));
    world.commit("laxer");
    world.hms_ends(13, &["run", "--headless"]);
    is_refused(&world, "2", "canary", "laxer than high");
    let after = "canary:\n  script: hms-deploy --env canary\nlate:\n  stage: scan\n  needs: [scan]\n  script: mkdir -p dist && echo x > dist/more\n  artifacts: dist/\nunused:";
    let later = pipeline(&[("canary:\n  needs: [scan]\n  script: hms-deploy --env canary --traffic 50% $MORE", after)]);
    world.write(".hms-ci.yml", &later.replace("unused:\n", ""));
    world.commit("changed after the scan");
    world.hms_ends(13, &["run", "--headless"]);
    is_refused(&world, "3", "canary", "dist/more");
}

/// What a job would do that means harm: hms's own programs in a clean environment, so that nothing names its attempt.
fn around(world: &World, command: &str) -> String {
    let (home, runtime) = (world.path("home"), world.path("runtime"));
    let (home, runtime) = (home.display(), runtime.display());
    format!("env -i PATH=$PATH HOME={home} XDG_RUNTIME_DIR={runtime} {command}")
}

#[test]
fn a_job_does_not_stop_what_users_reach() {
    let world = World::new(&pipeline(&[]));
    let users = world.users();
    world.first_release();
    let stop = around(&world, "hms local stop --app shop");
    world.write(".hms-ci.yml", &format!("stages: [build]\nbuild:\n  script: {stop}\n"));
    world.commit("stops it");
    world.hms_ends(1, &["run", "--headless"]);
    assert_eq!(world.job("2", "build")["exit_code"], 13, "{}", world.log("2", "build"));
    let refusals = world.entries("refuse");
    assert!(refusals.iter().any(|entry| entry["reason"].as_str().unwrap().starts_with("hms local stop")), "{refusals:#?}");
    assert_eq!((users.failed(), world.entries("stop").len()), (0, 0));
    drop(users);
    // A person does, and the ledger says so.
    world.hms_ends(0, &["local", "stop", "--app", "shop"]);
    let stops = world.entries("stop");
    let told: Vec<_> = stops.iter().map(|entry| (entry["phase"].as_str().unwrap(), entry["outcome"].as_str())).collect();
    assert_eq!(told, [("intent", None), ("outcome", Some("done"))], "{stops:#?}");
    assert!(stops[0]["reason"].as_str().unwrap().contains("in prod (stable)"), "{stops:#?}");
    world.hms_ends(0, &["local", "stop", "--app", "shop"]);
    assert_eq!(world.entries("stop").len(), 2, "there was nothing to stop");
    world.hms_ends(0, &["ledger", "verify"]);
    // What is down is said to be, and comes back with what it had.
    let said = world.deploy(&["status", "--app", "shop"]);
    assert!(said.out.contains("STOPPED by a person") && said.err.contains("hms-deploy --env prod --promote"), "{said:#?}");
    assert_eq!(world.deploy(&["rollback", "--env", "canary", "--app", "shop"]).code, Some(3));
    let status = world.status("1");
    assert!(status["notices"].to_string().contains("stopped by a person"), "{status:#}");
    assert_eq!(status["rollouts"][0]["weight"]["applied"], 0.0, "{status:#}");
    let current = world.store()["environments"]["prod"]["record"]["current"]["digest"].as_str().unwrap().to_owned();
    let said = world.deploy(&["--env", "prod", "--promote", &current, "--app", "shop"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.err.contains("is brought back"), "{said:#?}");
    let address = world.store()["environments"]["prod"]["address"].as_str().unwrap().to_owned();
    assert!(super::world::answers(&address), "what is said to be deployed answers");
    assert!(!world.deploy(&["status", "--app", "shop"]).out.contains("STOPPED"));
}

#[test]
fn a_pid_namespace_of_its_own_makes_no_person_of_a_job() {
    // With the right to it and without, with a `/proc` of its own and with the old one.
    let ways = ["unshare -pf --mount-proc", "unshare -pf", "unshare -Urpf --mount-proc", "unshare -Urpf"];
    let possible = |way: &&&str| {
        let words: Vec<&str> = way.split(' ').collect();
        std::process::Command::new(words[0]).args(&words[1..]).arg("true").status().is_ok_and(|status| status.success())
    };
    let ways: Vec<&str> = ways.iter().filter(possible).copied().collect();
    if ways.is_empty() {
        eprintln!("skipped: this machine makes no pid namespaces");
        return;
    }
    let world = World::new(&pipeline(&[]));
    let _users = world.users();
    world.first_release();
    let release = world.store()["environments"]["prod"]["record"]["current"]["digest"].as_str().unwrap().to_owned();
    let verbs = [
        "hms local stop --app shop".to_owned(),
        "hms-deploy rollback --env prod --app shop".to_owned(),
        format!("hms-deploy --env prod --app shop --promote {release}"),
        format!("hms approve --env prod --app shop --release {release} --reason x"),
    ];
    let tries: Vec<String> = ways
        .iter()
        .flat_map(|way| verbs.iter().map(move |verb| format!("{way} {verb}")))
        .map(|line| format!("    - {} && exit 1 || test $? = 13\n", around(&world, &line)))
        .collect();
    world.write(".hms-ci.yml", &format!("stages: [build]\nbuild:\n  script:\n{}", tries.concat()));
    world.commit("hides");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{}", world.log("2", "build"));
    assert_eq!(world.entries("refuse").len(), tries.len(), "{:#?}", world.entries("refuse"));
    // Also when nothing lives but the run itself.
    world.hms_ends(0, &["local", "stop", "--app", "shop"]);
    world.hms_ends(0, &["run", "--headless"]);
    assert_eq!(world.entries("refuse").len(), 2 * tries.len());
    assert_eq!(world.entries("approve").len(), 1);
}

#[test]
fn a_job_that_asks_for_json_reads_json() {
    let world = World::new(&pipeline(&[("script: mkdir", "script: hms-deploy rollback --env prod --output json && mkdir")]));
    world.hms_ends(13, &["run", "--headless"]);
    let log = world.log("1", "build");
    let told = log.lines().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&told["refusal"], &told["exit_code"]), (&"inside_run".into(), &13.into()), "{told}");
}
