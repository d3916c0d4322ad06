//! Output: masked, whole, bounded, at once.

use super::{Bench, wait_for};

const SECRET: &str = "s3cr3t-value-of-the-job";

#[test]
fn a_secret_printed_byte_by_byte_is_never_on_disk() {
    let script = [
        "for ((i=0; i<${#TOKEN}; i++)); do printf %s \"${TOKEN:i:1}\"; sleep 0.004; done; echo",
        "echo \"a $TOKEN b\" >&2; printf %s \"$TOKEN\" | head -c 9; echo",
        "echo \"$KEY\"; sh -c 'exit 3' \"$TOKEN\" # s3cr3t-value-of-the-job",
    ];
    let bench = Bench::new(&script).with(|spec| {
        spec.variables = vec![("TOKEN".to_owned(), SECRET.to_owned()), ("KEY".to_owned(), "line-one-of-key\nline-two-of-key".to_owned())];
        spec.masks = vec![SECRET.to_owned(), "line-one-of-key\nline-two-of-key".to_owned()];
        spec.artifacts.paths = vec![format!("missing-{SECRET}")];
        spec.artifacts.when = hms::event::When::Always;
    });
    let running = bench.start();
    let mut seen = String::new();
    while running.bench.marked().len() + usize::from(seen.is_empty()) > 0 {
        seen = bench.log();
        assert!(!seen.contains("s3cr3t-value\n") && !seen.contains("s3cr3t-value-"), "{seen}");
    }
    let ended = running.end();
    assert_eq!(ended.record.exit_code, Some(3));
    assert_eq!(ended.output(), "[MASKED]\na [MASKED] b\ns3cr3t-va\n[MASKED]\n");
    let everything = walkdir::WalkDir::new(bench.spec.attempt_folder.parent().unwrap());
    for entry in everything.into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        assert!(!text.contains(SECRET) && !text.contains("line-two-of-key"), "{}: {text}", entry.path().display());
    }
    assert!(ended.record.message.unwrap().contains("[MASKED]"));
    assert!(ended.record.warnings[0].contains("missing-[MASKED]"), "{:?}", ended.record.warnings);
}

#[test]
fn a_secret_with_quotes_in_it_is_masked_in_what_shells_show() {
    let secret = "it's-a-\"sec\"ret$x";
    let show =
        "printf '%q\\n' \"$TOKEN\"; export -p; sh -c 'export -p'; set | grep TOKEN; (set -x; : \"$TOKEN\"); (set -x; eval ': \"$TOKEN\"')";
    let bench = Bench::new(&[show, "kill -9 $BASHPID"]).with(|spec| {
        spec.variables = vec![("TOKEN".to_owned(), secret.to_owned())];
        spec.masks = vec![secret.to_owned()];
    });
    let ended = bench.run();
    assert_eq!(ended.record.exit_code, Some(137));
    for part in ["sec\\", "sec\"", "ret$x", "ret\\$x"] {
        assert!(!ended.log.contains(part), "{part}: {}", ended.log);
    }
    assert!(ended.log.matches("[MASKED]").count() >= 6, "{}", ended.log);
    // What bash says of a killed command is hms's line around the job, not the job's whole environment.
    let killed = ended.log.lines().find(|line| line.contains("Killed")).unwrap();
    assert!(!killed.contains("export") && !ended.output().contains("cd -- "), "{}", ended.log);
}

#[test]
fn a_partial_line_is_shown_before_its_newline() {
    let bench = Bench::new(&["printf 'name? '; while ! [ -e go ]; do sleep 0.01; done; echo done"])
        .with(|spec| spec.masks = vec![SECRET.to_owned()]);
    let running = bench.start();
    running.shows("\nname? ");
    std::fs::write(bench.checkout("go"), "").unwrap();
    assert_eq!(running.end().output(), "name? done\n");
}

#[test]
fn two_megabytes_without_a_newline_and_every_byte_there_is_come_through() {
    let script = ["head -c 2000000 /dev/zero | tr '\\0' x", "for ((i=0; i<256; i++)); do printf \"\\\\x$(printf %x $i)\"; done"];
    let bench = Bench::new(&script).with(|spec| spec.masks = vec![SECRET.to_owned()]);
    bench.run().succeeded();
    let log = std::fs::read(hms::executor::log_path(&bench.spec.attempt_folder)).unwrap();
    let longest = log.split(|byte| *byte != b'x').map(<[u8]>::len).max();
    assert_eq!(longest, Some(2_000_000));
    assert!(log.ends_with(&(0..=255).collect::<Vec<u8>>()));
}

#[test]
fn a_log_has_an_end_and_the_job_does_not_notice() {
    let bench = Bench::new(&["seq 1 200000; echo last > done"]).with(|spec| spec.log_limit_bytes = Some(10_000));
    let ended = bench.run();
    ended.succeeded();
    assert!(bench.checkout("done").exists());
    assert!(ended.log.len() < 10_200, "{}", ended.log.len());
    assert!(ended.log.ends_with("the log has reached 10000 bytes; the rest of the job's output is left out\n"));
}

#[test]
fn a_log_that_cannot_be_opened_fails_the_job_and_runs_nothing() {
    let bench = Bench::new(&["touch ran"]);
    std::fs::create_dir(bench.spec.attempt_folder.join("log")).unwrap();
    bench.run().is(hms::event::AttemptResult::Failed, None, Some(hms::event::FailureReason::RunnerSystemFailure));
    assert!(!bench.checkout("ran").exists());
}

#[test]
fn tests_are_counted_from_the_output_of_node() {
    let have_node = std::process::Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    if !have_node {
        println!("skipped: no program `node`");
        return;
    }
    let test = "const test = require('node:test'); test('a', () => {}); test('b', () => {}); test.skip('c'); test('d', () => { throw 1 })";
    let bench = Bench::new(&["node --test --test-reporter=spec || true", "FORCE_COLOR=1 node --test --test-reporter=tap"]);
    std::fs::write(bench.checkout("a.test.js"), test).unwrap();
    let ended = bench.run();
    assert_eq!(ended.record.exit_code, Some(1));
    let tests = ended.record.tests.unwrap();
    assert_eq!((tests.passed, tests.failed, tests.skipped), (4, 2, 2), "{}", ended.log);
    wait_for("nothing is left", || bench.marked().is_empty());
}

#[test]
fn room_for_the_exit_record_is_kept_while_the_job_runs() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new(&["echo ready; while ! [ -e go ]; do sleep 0.01; done"]);
    let running = bench.start();
    running.shows("\nready\n");
    let reserve = bench.spec.attempt_folder.join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().blocks() * 512, 64 << 10);
    std::fs::write(bench.checkout("go"), "").unwrap();
    running.end().succeeded();
    assert!(!reserve.exists());
}

#[test]
fn a_keeper_that_could_not_write_its_record_says_so() {
    let bench = Bench::new(&["true"]);
    // In place of the record there is something that no file replaces.
    std::fs::create_dir_all(bench.spec.attempt_folder.join("exit.json/in-the-way")).unwrap();
    let mut running = bench.start();
    wait_for("the keeper's end", || running.started.child.try_wait().unwrap().is_some());
    std::fs::copy(bench.path("stderr"), bench.spec.attempt_folder.join("keeper.log")).unwrap();
    let words = hms::executor::last_words(&bench.spec.attempt_folder).unwrap();
    assert!(words.starts_with("the exit record cannot be written: "), "{words}");
}
