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
