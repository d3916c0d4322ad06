//! Pipeline files that are wrong, and what a person reads of them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::World;

const GOOD: &str = "build:\n  script: make\n";

/// How long a wrong file may take; the debug build on a busy machine is slow.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_wrong_file_is_refused_at_once_with_its_place() {
    let world = World::new(GOOD);
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(bomb, "a{level}: &a{level} [{below}]").unwrap();
    }
    let table: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("unknown key", b"a:\n  script: x\n  scrpt: y\n".to_vec(), ":3:3: error:", "scrpt"),
        ("unknown need", b"a:\n  script: x\n  needs: [bb]\n".to_vec(), ":3:11: error:", "bb"),
        ("cycle", b"a:\n  script: x\n  needs: [b]\nb:\n  script: x\n  needs: [a]\n".to_vec(), ":3:11: error:", "a → b → a"),
        ("bad duration", b"a:\n  script: x\n  timeout: 3 parsecs\n".to_vec(), ":3:12: error:", "3 parsecs"),
        ("bad setting", b".hms:\n  canary: {bake: soon}\na:\n  script: x\n".to_vec(), ":2:18: error:", "soon"),
        ("duplicate key", b"a:\n  script: x\n  script: y\n".to_vec(), ":3:3: error:", "twice"),
        ("tab", b"a:\n\tscript: x\n".to_vec(), ":2:1: error:", "tab"),
        ("alias bomb", bomb.into_bytes(), ":6:18: error:", "aliases"),
        ("brackets", vec![b'['; 1 << 20], ":1:256: error:", "deep"),
        ("no jobs", b"stages: [a]\n".to_vec(), ":1:1: error:", "no jobs"),
        ("empty", Vec::new(), ":1:1: error:", "no jobs"),
        ("not UTF-8", b"a:\n  script: \"\xff\xfe\"\n".to_vec(), ":2:12: error:", "UTF-8"),
    ];
    for (name, bytes, place, what) in table {
        let path = world.path("wrong.yml");
        std::fs::write(&path, &bytes).unwrap();
        let started = Instant::now();
        let said = world.hms(&["validate", "--file", path.to_str().unwrap()]);
        assert!(started.elapsed() < SOON, "{name} took {:?}", started.elapsed());
        assert_eq!(said.code, Some(2), "{name}: {said:?}");
        let line = said.out.lines().next().unwrap();
        assert!(line.starts_with(&format!("{}{place}", path.display())) && line.contains(what), "{name}: {line}");
        assert!(said.out.lines().last().unwrap().contains("not valid: 1 error"), "{name}: {said:?}");
        // The same file in a commit starts no run.
        if bytes.len() < 4096 {
            std::fs::write(world.path("repo/.hms-ci.yml"), &bytes).unwrap();
            world.git(&["commit", "-q", "-a", "-m", name]);
            let said = world.hms(&["run", "--headless"]);
            assert_eq!(said.code, Some(2), "{name}: {said:?}");
            assert!(said.err.contains(place), "{name}: {said:?}");
        }
    }
    assert_eq!(world.hms(&["runs"]).out, "no runs yet: hms run\n");
}

#[test]
fn all_problems_are_told_at_once() {
    let world = World::new(GOOD);
    std::fs::write(world.path("repo/.hms-ci.yml"), "a:\n  scrpt: x\nb:\n  script: x\n  needs: [c]\n  pages: true\n").unwrap();
    let said = world.hms(&["validate"]);
    assert_eq!(said.code, Some(2));
    for told in [".hms-ci.yml:2:3: error:", ".hms-ci.yml:5:11: error:", ".hms-ci.yml:6:3: warning:"] {
        assert!(said.out.contains(told), "{told}: {said:?}");
    }
    assert_eq!(world.hms(&["validate", "--ref", "main"]).code, Some(0), "the commit is still good");
}

const DELIVERY: &str = "stages: [build, canary, prod]
build:
  script: make
  artifacts: dist/
canary:
  needs: [build]
  script: hms-deploy --env canary --traffic 1%
prod:
  when: manual
  needs: [canary]
  script: hms-deploy --env prod --tag $CI_COMMIT_SHA
";

#[test]
fn validate_says_which_jobs_deploy_and_what_the_canary_is() {
    let world = World::new(GOOD);
    let path = world.path("elsewhere.yml");
    std::fs::write(&path, DELIVERY).unwrap();
    // Outside any repository.
    let mut command = world.command(&["validate", "--output", "json", "--file", path.to_str().unwrap()]);
    let said = super::Said::of(&command.current_dir(world.path("home")).output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(found["valid"], true);
    assert_eq!(found["canary"]["of"], "prod");
    let job = |name: &str| found["jobs"].as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone();
    assert_eq!(job("canary")["environments"][0]["environment"], "prod");
    assert_eq!(job("canary")["environments"][0]["arm"], "canary");
    assert_eq!(job("prod")["environments"][0]["protected"], true);
    assert_eq!(job("prod")["gate"], "blocking");
    assert_eq!(job("build")["environments"].as_array().unwrap().len(), 0);
    let codes: Vec<&str> = found["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    for deviation in ["deviation-stage", "deviation-artifacts", "deviation-gate"] {
        assert!(codes.contains(&deviation), "{codes:?}");
    }
    let strict = world.hms(&["validate", "--gitlab-strict", "--file", path.to_str().unwrap()]);
    assert_eq!(strict.code, Some(2));
    assert!(strict.out.contains("elsewhere.yml:4:14: error:"), "{strict:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::new(GOOD);
    for verb in [&["doctor"][..], &["validate"], &["completions", "bash"], &["runs", "--output", "json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.command(verb);
        let said =
            super::Said::of(&command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (Some(141), ""), "{verb:?}");
    }
}
