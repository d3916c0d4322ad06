//! Variables by name: what is let in, given or masked, and which names are refused.

use std::os::unix::fs::PermissionsExt;

use super::{Said, World};

#[test]
fn what_a_job_is_told_by_hms_is_not_let_in_from_outside() {
    let world = World::new("a:\n  script: echo \"<$LEVEL|$OTHER>\"\n");
    let run = |arguments: &[&str]| {
        let mut command = world.command(&[&["run", "--headless"], arguments].concat());
        let command = command.env("CI_COMMIT_SHA", "1").env("HMS_X", "1").env("LEVEL", "outside").env("OTHER", "let-in");
        Said::of(&command.output().unwrap())
    };
    for name in ["PATH", "HOME", "CI", "CI_COMMIT_SHA", "HMS_X", "HMS_ATTEMPT_TOKEN", "", "A=B", "1A", "NOTTHERE"] {
        let said = run(&["--pass-env", name]);
        assert_eq!(said.code, Some(2), "{name}: {said:?}");
        assert!(said.err.contains(&format!("`--pass-env {name}`: ")), "{name}: {said:?}");
    }
    // What was given for this run is more than what happens to be set here.
    let said = run(&["--pass-env", "LEVEL", "--pass-env", "OTHER", "--variable", "LEVEL=given"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(world.hms(&["logs", "a"]).out.contains("<given|let-in>"));
    assert_eq!(world.status("1")["number"], 1);
    assert_eq!(world.hms(&["status", "2"]).code, Some(2), "what was refused made no run");
}

#[test]
fn names_that_no_shell_can_export_are_refused_where_they_are_given() {
    let world = World::new("a:\n  script: echo a\n");
    for given in ["1A=x", "A B=c", "UID=1", "=x", "A"] {
        let said = world.hms(&["run", "--headless", "--variable", given]);
        assert!(said.code == Some(2) && said.err.contains(&format!("`--variable {given}`")), "{given}: {said:?}");
    }
    let file = world.path("variables");
    let lines: [(&[u8], &str); 4] = [
        (b"# first\nA=good-value-1\n1X=bad-value-1\n", ":3: no shell can export a variable `1X`"),
        (b"UID=bad-value-1\n", ":1: no shell can export a variable `UID`"),
        (b"A=good-value-1\n\nB=\xff\xfe\n", ":3: not UTF-8"),
        (b"A\n", ":1: not KEY=VALUE"),
    ];
    for (text, why) in lines {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let said = world.hms(&["run", "--headless", "--variable-file", file.to_str().unwrap()]);
        assert!(said.code == Some(2) && said.err.contains(&format!("{}{why}", file.display())), "{why}: {said:?}");
    }
}
