//! `cache` with the shell executor: files that one run leaves for the next.

use super::World;

fn run(world: &World, arguments: &[&str]) {
    let said = world.hms(&[&["run", "--headless"], arguments].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn log(world: &World, job: &str) -> String {
    world.hms(&["logs", job]).out
}

#[test]
fn what_a_job_leaves_is_there_for_the_next_run_under_the_same_key() {
    let world = World::new(concat!(
        "a:\n  cache: {key: deps-$WHICH, paths: [deps/, '*.tmp'], fallback_keys: [deps-main]}\n",
        "  script: ['cat deps/list || echo nothing there', mkdir -p deps, echo $WHICH >> deps/list, ln -sf list deps/link, touch x.tmp y.kept]\n",
    ));
    run(&world, &["--variable", "WHICH=main"]);
    let first = log(&world, "a");
    assert!(first.contains("nothing is kept under `deps-main-protected` yet") && first.contains("nothing there"), "{first}");
    run(&world, &["--variable", "WHICH=main"]);
    let second = log(&world, "a");
    assert!(second.contains("3 files of `deps-main-protected` are in place") && second.contains("\nmain\n"), "{second}");
    // Another key falls back to that one, and leaves it as it is.
    run(&world, &["--variable", "WHICH=topic"]);
    assert!(log(&world, "a").contains("files of `deps-main-protected` are in place"), "{}", log(&world, "a"));
    run(&world, &["--variable", "WHICH=topic"]);
    let fourth = log(&world, "a");
    assert!(fourth.contains("files of `deps-topic-protected`") && fourth.contains("main\nmain\ntopic"), "{fourth}");
    run(&world, &["--variable", "WHICH=main"]);
    assert!(log(&world, "a").contains("main\nmain\n") && !log(&world, "a").contains("topic"), "{}", log(&world, "a"));
}

#[test]
fn policy_and_when_say_what_is_done_with_it() {
    let world = World::new(concat!(
        "stages: [a, b]\ndefault: {cache: {key: k, paths: [f], policy: $POLICY, when: $WHEN_IS}}\n",
        "x:\n  stage: a\n  script: [cat f || true, echo new >> f, exit $CODE]\n",
    ));
    assert_eq!(world.hms(&["validate"]).code, Some(2), "`when` is a word");
    let file = |when: &str| {
        format!(
            "x:\n  cache: {{key: k, paths: [f], policy: $POLICY, when: {when}}}\n  script: [cat f || true, echo new >> f, exit $CODE]\n"
        )
    };
    let go = |policy: &str, code: &str| {
        let (policy, number) = (format!("POLICY={policy}"), format!("CODE={code}"));
        let said = world.hms(&["run", "--headless", "--variable", &policy, "--variable", &number]);
        assert_eq!(said.code, Some(code.parse().unwrap()), "{said:?}");
        // The log has the echoed line too.
        log(&world, "x").lines().filter(|line| *line == "new").count()
    };
    world.commit(&file("on_success"), "two");
    assert_eq!([go("pull", "0"), go("pull", "0")], [0, 0], "it is not kept");
    assert_eq!([go("pull-push", "1"), go("pull-push", "0"), go("pull-push", "0")], [0, 0, 1], "not after a failure");
    assert_eq!([go("push", "0"), go("pull", "0")], [0, 1], "it is kept without having been there");
    world.commit(&file("on_failure"), "three");
    assert_eq!([go("pull-push", "0"), go("pull-push", "1"), go("pull", "0")], [1, 1, 2]);
    world.commit(&file("always"), "four");
    assert_eq!([go("pull-push", "1"), go("pull", "0")], [2, 3]);
}

#[test]
fn a_key_of_files_follows_what_is_in_them_and_refs_that_are_not_protected_have_their_own() {
    let keyed =
        "a:\n  cache: {key: {files: [a.lock, '*/b.lock'], prefix: p}, paths: [f]}\n  script: [test ! -e f || echo was there, touch f]\n";
    let world = World::new(keyed);
    let was_there = || {
        run(&world, &[]);
        log(&world, "a").lines().any(|line| line == "was there")
    };
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(world.path("repo").join(path).parent().unwrap()).unwrap();
        std::fs::write(world.path("repo").join(path), text).unwrap();
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "lock"]);
    };
    assert_eq!([was_there(), was_there()], [false, true]);
    assert!(log(&world, "a").contains("`p-default-protected`"), "{}", log(&world, "a"));
    write("a.lock", "1");
    assert_eq!([was_there(), was_there()], [false, true]);
    write("sub/b.lock", "1");
    assert_eq!([was_there(), was_there()], [true, true], "the same contents are one, as GitLab has it");
    write("sub/b.lock", "2");
    assert_eq!([was_there(), was_there()], [false, true]);
    write("other", "x");
    assert!(was_there());
    world.git(&["checkout", "-q", "-b", "topic"]);
    assert_eq!([was_there(), was_there()], [false, true], "not what a protected ref uses");
    world
        .commit(&keyed.replace("files: [a.lock, '*/b.lock']", "files_commits: [a.lock]").replace("paths", "unprotect: true, paths"), "two");
    assert_eq!([was_there(), was_there()], [false, true]);
    write("other", "y");
    assert!(was_there());
    write("a.lock", "3");
    write("a.lock", "1");
    assert!(!was_there(), "it was changed, though it is as it was");
    world.git(&["checkout", "-q", "main"]);
    world.git(&["merge", "-q", "topic"]);
    assert!(was_there(), "`unprotect` is for all refs");
}

/// `doc/ci/yaml/_index.md#cacheuntracked`: what git does not track, ignored files among it, and nothing of the commit.
#[test]
fn untracked_files_are_kept_and_those_of_the_commit_are_not() {
    let world = World::new("x:\n  script: 'true'\n");
    std::fs::write(world.path("repo/tracked"), "as committed\n").unwrap();
    std::fs::write(world.path("repo/.gitignore"), "*.log\n").unwrap();
    let file = |more: &str| {
        format!(
            "a:\n  cache: {{key: u, untracked: true{more}}}\n  script:\n    - cat tracked new deep/er x.log || true\n    - mkdir -p deep\n    \
             - echo changed > tracked\n    - echo n > new\n    - echo d > deep/er\n    - echo l > x.log\n"
        )
    };
    world.commit(&file(""), "two");
    run(&world, &[]);
    assert!(log(&world, "a").contains("as committed"), "{}", log(&world, "a"));
    run(&world, &[]);
    assert!(log(&world, "a").contains("as committed\nn\nd\nl\n"), "{}", log(&world, "a"));
    // With paths beside it both are kept.
    world.commit(&file(", paths: [tracked]"), "three");
    run(&world, &[]);
    run(&world, &[]);
    assert!(log(&world, "a").contains("changed\nn\nd\nl\n"), "{}", log(&world, "a"));
}

/// What is masked in a log is no folder's name either, and the cache is found again all the same.
#[test]
fn a_masked_value_in_a_key_names_no_folder() {
    let world = World::new("a:\n  cache: {key: $TOKEN, paths: [f]}\n  script: [cat f || true, echo again >> f]\n");
    let variables = world.path("variables");
    std::fs::write(&variables, "TOKEN=topsecret-value-1\n").unwrap();
    std::fs::set_permissions(&variables, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        run(&world, &["--variable-file", variables.to_str().unwrap()]);
    }
    assert!(log(&world, "a").contains("\nagain\n"), "{}", log(&world, "a"));
    let names: Vec<String> = walkdir::WalkDir::new(world.path("repo/.git/hms"))
        .into_iter()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().any(|name| name.starts_with("masked-")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("topsecret")), "{names:?}");
}
