//! `environment`: what jobs are told of it, and how it is stopped.

use super::{World, wait_for};

#[test]
fn jobs_see_their_environment_with_true_values() {
    let show = "echo \"$CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_SLUG $CI_ENVIRONMENT_URL $CI_ENVIRONMENT_ACTION $CI_ENVIRONMENT_TIER\" >> $OUT";
    let world = World::new(&format!(
        "stages: [make, go, check]
make: {{stage: make, script: echo PORT=8080 > a.env, artifacts: {{reports: {{dotenv: a.env}}}}}}
go:
  stage: go
  script: '{show}'
  environment: {{name: review/$CI_COMMIT_REF_SLUG, url: 'http://$CI_ENVIRONMENT_SLUG.test:$PORT/'}}
check:
  stage: check
  script: '{show}'
  environment: {{name: customers, action: verify, url: $CI_PROJECT_NAME}}
none: {{stage: check, script: 'echo \"${{CI_ENVIRONMENT_NAME-none}}\" >> $OUT', needs: [check]}}
"
    ));
    let out = format!("OUT={}", world.path("out").display());
    let said = world.hms(&["run", "--headless", "--variable", &out]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let slug = hms::pipeline::environment_slug("review/main");
    assert_eq!(
        world.read("out"),
        format!("review/main {slug} http://{slug}.test:8080/ start development\ncustomers customers repo verify other\nnone\n")
    );
}

#[test]
fn a_job_whose_environment_has_no_name_fails_and_says_so() {
    let world = World::new("go:\n  script: touch $OUT\n  retry: 2\n  environment: review/$WHICH\n");
    let out = format!("OUT={}", world.path("out").display());
    assert_eq!(world.hms(&["run", "--headless", "--variable", &out]).code, Some(1));
    let job = world.job("1", "go");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1, "{job}");
    assert!(job["why"].as_str().unwrap().contains("its environment would be called `review/`"), "{job}");
    assert!(!world.path("out").exists());
    assert_eq!(world.hms(&["run", "--headless", "--variable", &out, "--variable", "WHICH=a"]).code, Some(0));
}

/// A review app that a job stops; what is left out of `more` is a line of its environment.
fn review(world: &World, more: &str) -> String {
    format!(
        "stages: [deploy, later]
review:
  stage: deploy
  script: [echo \"PORT=$PORT_GIVEN\" > a.env, echo up >> {up}, exit $CODE]
  artifacts: {{reports: {{dotenv: a.env}}}}
  environment: {{name: review/$CI_COMMIT_REF_SLUG, url: 'http://$CI_ENVIRONMENT_SLUG.test:$PORT', on_stop: stop_review{more}}}
stop_review:
  stage: deploy
  when: manual
  script: [echo \"$CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_ACTION\" >> {down}, '[ ! -e {broken} ]']
  environment: {{name: review/$CI_COMMIT_REF_SLUG, action: stop}}
",
        up = world.path("up").display(),
        down = world.path("down").display(),
        broken = world.path("broken").display(),
    )
}

fn deploy(world: &World, code: &str) {
    let said = world.hms(&["run", "--headless", "--variable", "PORT_GIVEN=8080", "--variable", &format!("CODE={code}")]);
    assert_eq!(said.code, Some(code.parse().unwrap()), "{said:?}");
}

fn all(world: &World) -> Vec<serde_json::Value> {
    let said = world.hms(&["environments", "--output", "json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    value["environments"].as_array().unwrap().clone()
}

fn one(world: &World, name: &str) -> serde_json::Value {
    all(world).into_iter().find(|found| found["name"] == name).unwrap_or_else(|| panic!("{name} in {:?}", all(world)))
}

#[test]
fn an_environment_is_stopped_by_the_job_of_its_last_deployment_and_comes_back_with_the_next() {
    let world = World::new("x:\n  script: 'true'\n");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    assert!(all(&world).is_empty());
    assert!(world.hms(&["environments"]).out.contains("no job with `environment`"));
    world.commit(&review(&world, ""), "two");
    assert_eq!(world.hms(&["validate"]).code, Some(0));
    deploy(&world, "0");
    let there = one(&world, "review/main");
    let slug = hms::pipeline::environment_slug("review/main");
    assert_eq!(
        (there["state"].as_str(), there["tier"].as_str(), there["url"].as_str()),
        (Some("available"), Some("development"), Some(format!("http://{slug}.test:8080").as_str())),
        "{there}"
    );
    assert_eq!((there["deployed"]["run"].as_u64(), there["deployed"]["job"].as_str()), (Some(2), Some("review")), "{there}");
    assert_eq!((&there["stops_at"], &there["stop_jobs"][0]["standing"]), (&serde_json::Value::Null, &"waiting".into()), "{there}");
    let listed = world.hms(&["environments"]).out;
    assert!(listed.contains("review/main  available  development  http://") && listed.contains("deployed by review of run 2"), "{listed}");
    // A slip of the keys changes nothing.
    let said = world.hms(&["environments", "stop", "review/mian"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("there are review/main"), "{said:?}");
    let said = world.hms(&["environments", "stop", "review/main", "--wait"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("down"), "review/main stop\n");
    assert_eq!(
        (one(&world, "review/main")["state"].as_str(), world.job("2", "stop_review")["status"].as_str()),
        (Some("stopped"), Some("success"))
    );
    let listed = world.hms(&["environments"]).out;
    assert!(!listed.contains("review/main") && listed.contains("1 stopped"), "{listed}");
    assert!(world.hms(&["environments", "--all"]).out.contains("review/main  stopped"));
    let again = world.hms(&["environments", "stop", "review/main"]);
    assert!(again.code == Some(0) && again.out.contains("stopped already"), "{again:?}");
    // A deployment that failed brings nothing back, and its own job can take away what it left.
    deploy(&world, "1");
    let failed = one(&world, "review/main");
    assert_eq!(
        (failed["state"].as_str(), failed["deployed"]["run"].as_u64(), failed["stop_jobs"][0]["run"].as_u64()),
        (Some("stopped"), Some(2), Some(3))
    );
    deploy(&world, "0");
    assert_eq!(one(&world, "review/main")["state"], "available");
    // A stop that fails leaves it, and can be asked for again: the job goes back to its gate.
    std::fs::write(world.path("broken"), "").unwrap();
    assert_eq!(world.hms(&["environments", "stop", "review/main", "--wait"]).code, Some(0), "its failure is allowed");
    let left = one(&world, "review/main");
    assert_eq!((left["state"].as_str(), left["stop_jobs"][0]["standing"].as_str()), (Some("available"), Some("ended")), "{left}");
    std::fs::remove_file(world.path("broken")).unwrap();
    assert_eq!(world.hms(&["environments", "stop", "review/main", "--wait"]).code, Some(0));
    assert_eq!(one(&world, "review/main")["state"], "stopped");
    assert_eq!(world.read("down").lines().count(), 3);
    let ledger = std::fs::read_to_string(world.state().join("ledger/entries")).unwrap();
    assert!(ledger.contains("stop_review"), "{ledger}");
}

#[test]
fn what_no_job_can_stop_is_called_stopped_only_when_that_is_said() {
    let world = World::new(concat!(
        "stages: [a, b]\n",
        "one: {stage: a, script: exit $CODE, environment: {name: review/one, on_stop: stop_one}}\n",
        "stop_one: {stage: b, when: manual, script: 'true', environment: {name: review/one, action: stop}}\n",
        "two: {stage: a, script: 'true', environment: {name: review/two}}\n",
        "three: {stage: a, script: 'true', rules: [{when: always}], environment: {name: review/three, on_stop: stop_three}}\n",
        "stop_three: {stage: a, script: 'true', rules: [{if: $STOPS, when: manual}], environment: {name: review/three, action: stop}}\n",
    ));
    let said = world.hms(&["run", "--headless", "--variable", "CODE=1"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let notices = world.hms(&["status", "1"]).out;
    assert!(
        notices.contains("nothing stops the environment of three: its `on_stop` names stop_three, which is not in this run"),
        "{notices}"
    );
    // Its stage was never reached.
    let said = world.hms(&["environments", "stop", "review/one"]);
    assert_eq!(said.code, Some(13), "{said:?}");
    assert!(said.err.contains("stop_one of run 1 cannot be started: it was skipped") && said.err.contains("--force"), "{said:?}");
    assert_eq!(world.hms(&["environments", "stop", "review/three"]).code, Some(13));
    assert_eq!(one(&world, "review/one")["state"], "available");
    for name in ["review/one", "review/two", "review/three"] {
        let force: &[&str] = if name == "review/two" { &[] } else { &["--force"] };
        let said = world.hms(&[&["environments", "stop", name], force].concat());
        assert_eq!((said.code, one(&world, name)["state"].as_str()), (Some(0), Some("stopped")), "{said:?}");
    }
    let said = world.hms(&["ledger", "log", "--output", "json"]).out;
    assert_eq!(said.matches("environment.stop").count(), 3, "{said}");
}

#[test]
fn a_job_stops_no_environment() {
    let world = World::new("a:\n  script: hms -C $REPO environments stop review/x || echo $? > $OUT\n  environment: review/x\n");
    assert_eq!(world.hms(&["run", "--headless", "--variable", "REPO=.", "--variable", "OUT=/dev/null"]).code, Some(0));
    let given = [
        format!("OUT={}", world.path("out").display()),
        format!("REPO={}", world.path("repo").display()),
        format!("HMS_STATE_HOME={}", world.state().display()),
    ];
    let variables: Vec<&str> = given.iter().flat_map(|text| ["--variable", text.as_str()]).collect();
    assert_eq!(world.hms(&[vec!["run", "--headless"], variables].concat()).code, Some(0));
    assert_eq!((world.read("out").as_str(), one(&world, "review/x")["state"].as_str()), ("13\n", Some("available")));
}

#[test]
fn an_environment_whose_time_is_over_is_stopped_by_the_next_run() {
    let world = World::new("x:\n  script: 'true'\n");
    world.commit(&review(&world, ", auto_stop_in: 1 sec"), "two");
    world.git(&["checkout", "-q", "-b", "topic"]);
    deploy(&world, "0");
    wait_for("its time", || (one(&world, "review/topic")["due"] == true).then_some(()));
    assert!(world.hms(&["environments"]).out.contains("the next run stops it"));
    // A run that deploys there sets its time anew, and stops nothing.
    deploy(&world, "0");
    assert!(!world.path("down").exists());
    wait_for("its time", || (one(&world, "review/topic")["due"] == true).then_some(()));
    world.git(&["checkout", "-q", "main"]);
    world.commit("x:\n  script: 'true'\n", "three");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    wait_for("the stop", || (one(&world, "review/topic")["state"] == "stopped").then_some(()));
    assert_eq!(world.read("down"), "review/topic stop\n");
    let notices = world.hms(&["status", "3"]).out;
    assert!(notices.contains("the time of an environment is over: review/topic: stop_review goes on in run 2"), "{notices}");
    assert_eq!(one(&world, "review/topic")["stops_at"], serde_json::Value::Null);
    // Nothing more is due.
    assert!(world.hms(&["environments", "stop", "--due"]).out.contains("no environment's time is over"));
}

#[test]
fn what_may_serve_users_is_stopped_by_a_person_alone() {
    let job = |name: &str, environment: &str, more: &str| {
        format!(
            "{name}: {{script: 'true', environment: {{name: {environment}, auto_stop_in: 1 sec, on_stop: stop_{name}}}}}\n\
             stop_{name}: {{script: echo {name} >> $OUT, when: manual, environment: {{name: {environment}, action: stop}}{more}}}\n"
        )
    };
    let world = World::new("x:\n  script: 'true'\n");
    let named = ".hms: {environments: {staging: {target: local}}}\n";
    let jobs = [
        job("live", "live-eu", ""),
        job("staging", "staging", ""),
        job("asks", "review/asks", ", manual_confirmation: Sure?"),
        job("holds", "review/holds", ", allow_failure: false"),
        job("goes", "review/goes", ""),
    ];
    world.commit(&format!("{named}{}", jobs.concat()), "two");
    let out = format!("OUT={}", world.path("out").display());
    let said = world.hms(&["run", "--headless", "--variable", &out]);
    assert_eq!(said.code, Some(10), "{said:?}");
    wait_for("their time", || all(&world).iter().all(|found| found["due"] == true).then_some(()));
    let said = world.hms(&["environments", "stop", "--due"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for (name, why) in [
        ("live-eu", "its tier is production"),
        ("staging", "hms delivers there"),
        ("review/asks", "asks to be confirmed"),
        ("review/holds", "holds back other jobs"),
    ] {
        let line = said.out.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {said:?}"));
        assert!(line.contains(why) && line.contains(&format!("hms environments stop {name}")), "{line}");
        assert_eq!(one(&world, name)["state"], "available");
    }
    wait_for("the stop", || (one(&world, "review/goes")["state"] == "stopped").then_some(()));
    assert_eq!(world.read("out"), "goes\n");
    // Kept, its time is over no more; a person stops it all the same.
    assert_eq!(world.hms(&["environments", "keep", "live-eu"]).code, Some(0));
    assert_eq!((one(&world, "live-eu")["due"].as_bool(), one(&world, "live-eu")["state"].as_str()), (Some(false), Some("available")));
    assert_eq!(world.hms(&["environments", "stop", "live-eu"]).code, Some(0));
    wait_for("the stop", || (one(&world, "live-eu")["state"] == "stopped").then_some(()));
    assert_eq!(world.read("out"), "goes\nlive\n");
}
