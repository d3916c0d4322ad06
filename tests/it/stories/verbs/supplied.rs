//! Variables that the operator supplies: from a command or a file, as a value or as a file, for protected refs alone.

use std::os::unix::fs::PermissionsExt;

use super::{World, kill, wait_for};

const SECRET: &str = "s3cr3t-value-of-the-vault";

/// Writes the operator's file, and a vault's client that counts how often it is asked.
fn operator(world: &World, text: &str) {
    let vault = world.path("vault");
    let asked = world.path("asked").display().to_string();
    std::fs::write(
        &vault,
        format!("#!/bin/sh\necho \"$*\" >> {asked}\n[ \"$1\" = none ] && {{ echo {SECRET} >&2; exit 4; }}\necho {SECRET}\n"),
    )
    .unwrap();
    std::fs::set_permissions(&vault, PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::create_dir_all(world.path("home/.config/hms")).unwrap();
    let text = text.replace("VAULT", vault.to_str().unwrap()).replace("REPO", world.path("repo").to_str().unwrap());
    std::fs::write(world.path("home/.config/hms/config.yml"), text).unwrap();
}

/// Every file below the run's folder and the ledger, but the checkouts that jobs wrote into.
fn written(world: &World) -> String {
    let roots = [world.path("repo/.git/hms"), world.path("home/.local")];
    let files = roots.iter().flat_map(walkdir::WalkDir::new).flatten().filter(|entry| entry.file_type().is_file());
    files.map(|file| String::from_utf8_lossy(&std::fs::read(file.path()).unwrap()).into_owned()).collect()
}

#[test]
fn a_value_comes_from_the_operators_command_when_its_job_starts_and_is_masked() {
    let world = World::new(concat!(
        "stages: [build, deploy]\nbuild:\n  stage: build\n  script: test -z \"$TOKEN\"\n",
        "deploy:\n  stage: deploy\n  variables: {HEADER: 'Bearer:$TOKEN'}\n  script: printf %s \"$HEADER\" | wc -c; echo the token is $TOKEN\n",
    ));
    operator(&world, "variables: {TOKEN: {command: [VAULT, read, 'a b;$(id)'], repositories: REPO, jobs: deploy}}");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("asked"), "read a b;$(id)\n", "once, for the one job, and no shell has read it");
    let log = world.hms(&["logs", "deploy", "--run", "1"]).out;
    assert!(log.contains("the token is [MASKED]") && log.contains(&format!("{}", "Bearer:".len() + SECRET.len())), "{log}");
    assert!(!written(&world).contains(SECRET));
    // What is given for the run beats it, and is looked up no more.
    let given = world.command(&["run", "--headless", "--mask-env", "TOKEN"]).env("TOKEN", "another-value-given").output().unwrap();
    assert!(given.status.success() && world.hms(&["logs", "deploy", "--run", "2"]).out.contains("the token is [MASKED]"), "{given:?}");
    assert_eq!(world.read("asked").lines().count(), 1);
}

#[test]
fn a_command_that_fails_fails_its_job_by_name_and_exit_code_and_says_nothing_else() {
    let world = World::new("a:\n  script: 'true'\n");
    operator(&world, "variables: {TOKEN: {command: [VAULT, none], repositories: '*'}}");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(1));
    let job = world.job("1", "a");
    let why = job["why"].as_str().unwrap();
    assert!(why.contains("TOKEN") && why.contains("vault none` ended with exit code 4"), "{job}");
    assert!(!written(&world).contains(SECRET), "what it says on standard error may be anything");
    operator(&world, "variables: {TOKEN: {command: [VAULT, x], repositories: /elsewhere}}");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0), "it is another repository's");
    assert_eq!(world.read("asked"), "none\n");
}

#[test]
fn a_variable_of_the_type_file_is_a_path_for_as_long_as_its_job_lives() {
    let script = concat!(
        "a:\n  variables: {ALSO: 'at $CONFIG', OWN: at}\n  script:\n    - cat $CONFIG | wc -l > $OUT\n    - stat -c %a $CONFIG >> $OUT\n",
        "    - echo $CONFIG >> $OUT\n    - echo $ALSO >> $OUT\n    - cat $CONFIG\n    - exit $CODE\n  after_script: ['test -e $CONFIG && echo still there']\n",
    );
    let world = World::new(script);
    operator(&world, "variables: {CONFIG: {path: VALUE, type: file, repositories: REPO}}");
    let value = world.path("value");
    std::fs::write(&value, "server: one\n$OWN-token: s3cr3t-of-the-file\n\n").unwrap();
    let config = world.read("home/.config/hms/config.yml").replace("VALUE", value.to_str().unwrap());
    std::fs::write(world.path("home/.config/hms/config.yml"), config).unwrap();
    let out = world.path("out");
    let run = |code: &str| {
        world.hms(&["run", "--headless", "--variable", &format!("OUT={}", out.display()), "--variable", &format!("CODE={code}")])
    };
    std::fs::set_permissions(&value, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(run("0").code, Some(1));
    assert!(world.job("1", "a")["why"].as_str().unwrap().contains("chmod 600"), "{}", world.job("1", "a"));
    std::fs::set_permissions(&value, PermissionsExt::from_mode(0o600)).unwrap();
    for (number, code) in [("2", "0"), ("3", "1")] {
        let said = run(code);
        assert_eq!(said.code, Some(code.parse().unwrap()), "{said:?}");
        let told = world.read("out");
        let told: Vec<&str> = told.lines().collect();
        // Of three line breaks at the end of the file, one is not the value's.
        assert_eq!((told[0], told[1]), ("2", "600"), "{told:?}");
        assert_eq!(told[3], format!("at {}", told[2]), "another variable that names it gets the path");
        assert!(!std::path::Path::new(told[2]).exists() && told[2].contains(".git/hms/runs/"), "gone with the job: {told:?}");
        let log = world.hms(&["logs", "a", "--run", number]).out;
        assert!(log.contains("[MASKED]") && log.contains("still there"), "{log}");
        assert!(!log.contains("s3cr3t-of-the-file") && !log.contains("server: one"), "{log}");
    }
    assert!(!written(&world).contains("s3cr3t-of-the-file"));
}

#[test]
fn a_protected_variable_is_for_runs_of_protected_refs_alone() {
    let world = World::new("a:\n  script: echo \"$CI_COMMIT_REF_PROTECTED ${TOKEN:+token} ${GIVEN:+given}\" >> $OUT\n");
    let text =
        "variables: {TOKEN: {command: [VAULT, x], protected: true, repositories: '*'}, GIVEN: {protected: true, repositories: '*'}}\n";
    operator(&world, text);
    let out = format!("OUT={}", world.path("out").display());
    let run = |reference: &str| {
        let arguments = ["run", "--ref", reference, "--headless", "--variable", &out, "--mask-env", "GIVEN"];
        let output = world.command(&arguments).env("GIVEN", "a-value-that-is-given").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    world.git(&["branch", "topic"]);
    world.git(&["tag", "v1"]);
    let head = String::from_utf8(world.git_out(&["rev-parse", "HEAD"])).unwrap();
    run("main");
    let said = run("topic");
    assert!(said.contains("TOKEN is for protected refs alone, and topic is none"), "{said}");
    run("v1");
    run(head.trim());
    assert_eq!(world.read("out"), "true token given\nfalse  \nfalse  \nfalse  \n");
    operator(&world, &format!("{text}protected_refs: {{branches: [to*], tags: v*}}"));
    for reference in ["main", "topic", "v1"] {
        run(reference);
    }
    assert_eq!(world.read("out").lines().skip(4).collect::<Vec<_>>(), ["false  ", "true token given", "true token given"]);
    assert!(world.hms(&["plan", "--ref", "topic"]).code == Some(0));
}

#[test]
fn the_file_of_a_variable_goes_also_when_the_keeper_was_killed() {
    let world =
        World::new("a:\n  script:\n    - echo $CONFIG > $OUT.new\n    - mv $OUT.new $OUT\n    - while [ ! -e $GO ]; do sleep 0.02; done\n");
    let value = world.path("value");
    std::fs::write(&value, "s3cr3t-of-the-file\n").unwrap();
    std::fs::set_permissions(&value, PermissionsExt::from_mode(0o600)).unwrap();
    operator(&world, &format!("variables: {{CONFIG: {{path: {}, type: file, repositories: REPO}}}}", value.display()));
    let given = [format!("OUT={}", world.path("out").display()), format!("GO={}", world.path("go").display())];
    assert_eq!(world.hms(&["run", "--detach", "--variable", &given[0], "--variable", &given[1]]).code, Some(0));
    let path = wait_for("the job", || Some(world.read("out")).filter(|path| !path.is_empty()));
    let path = std::path::Path::new(path.trim());
    assert_eq!(std::fs::read_to_string(path).unwrap(), "s3cr3t-of-the-file");
    kill(&World::holder(&world.run_folder(1).join("jobs/a/1/keeper.json")).unwrap());
    wait_for("the file's end", || (!path.exists()).then_some(()));
    // The next attempt has one of its own, which goes with it.
    std::fs::write(world.path("go"), "").unwrap();
    wait_for("the next attempt", || (world.job("1", "a")["status"] == "success").then_some(()));
    let second = world.read("out");
    assert!(second.trim() != path.to_str().unwrap() && !std::path::Path::new(second.trim()).exists(), "{second}");
    assert!(!world.run_folder(1).join("variables/a/1").exists());
}
