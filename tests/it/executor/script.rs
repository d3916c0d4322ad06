//! How scripts run: GitLab Runner's semantics, measured.

use hms::event::{AttemptResult, FailureReason};
use hms::executor::KeeperState;

use super::{Bench, wait_for};

const FAILED: AttemptResult = AttemptResult::Failed;
const SCRIPT: Option<FailureReason> = Some(FailureReason::ScriptFailure);

#[test]
fn exit_codes_are_those_of_the_failing_command() {
    let table: [(&[&str], i32); 12] = [
        (&["true"], 0),
        (&["false | true", "echo not reached"], 1),
        (&["x=$(false)", "echo not reached"], 1),
        (&["echo \"[$UNDEFINED]\""], 0),
        (&["exit 7", "echo not reached"], 7),
        (&["if false; then echo no; fi", "false || true"], 0),
        (&["no-such-command-at-all"], 127),
        (&["bash -c 'exit 3'"], 3),
        (&["kill -9 $BASHPID"], 137),
        (&["echo a > over", "echo b > over"], 0),
        (&["(exit 0)", "exit 0", "false"], 0),
        (&["f() {\n  return 9\n}\nf"], 9),
    ];
    for (script, code) in table {
        let ended = Bench::new(script).run();
        if code == 0 {
            ended.succeeded();
        } else {
            ended.is(FAILED, Some(code), SCRIPT);
        }
        assert!(!ended.output().contains("not reached"), "{script:?}");
    }
}

#[test]
fn a_shell_killed_by_a_signal_failed() {
    let ended = Bench::new(&["kill -9 $$; sleep 20"]).run();
    ended.is(FAILED, None, SCRIPT);
    assert_eq!(ended.record.signal, Some(9));
    assert!(ended.record.message.as_deref().unwrap().starts_with("killed by signal 9 (exit code 137): line 1 of 1"), "{:?}", ended.record);
}

#[test]
fn the_message_names_the_line_that_failed() {
    let ended = Bench::new(&["echo a", "  ", "if true; then\n  sh -c 'exit 4'\nfi", "echo b"]).run();
    let expected = "failed with exit code 4: line 3 of 4, `if true; then # collapsed multi-line command`";
    assert_eq!(ended.record.message.as_deref(), Some(expected));
    assert!(ended.log.ends_with(&format!("\u{1b}[36mhms:\u{1b}[0m {expected}\n")));
}

#[test]
fn one_shell_runs_all_lines() {
    let bench = Bench::new(&["cd sub", "export A=1; b=2; f() { echo \"in f\"; }", "pwd; echo $A$b; f", "cat", "echo end"]);
    std::fs::create_dir(bench.checkout("sub")).unwrap();
    let ended = bench.run();
    ended.succeeded();
    assert_eq!(ended.output(), format!("{}\n12\nin f\nend\n", bench.checkout("sub").display()));
}

#[test]
fn lines_are_echoed_before_they_run_and_the_streams_keep_their_order() {
    let ended = Bench::new(&["for i in 1 2 3; do echo out$i; echo err$i >&2; done", "echo it\\'s\n"]).run();
    assert_eq!(
        ended.log,
        "\u{1b}[32;1m$ for i in 1 2 3; do echo out$i; echo err$i >&2; done\u{1b}[0;m\n\
         out1\nerr1\nout2\nerr2\nout3\nerr3\n\
         \u{1b}[32;1m$ echo it\\'s\u{1b}[0;m\nit's\n"
    );
}

#[test]
fn a_profile_cannot_change_a_variable_and_the_environment_is_cleared() {
    let script = ["echo \"$CI_JOB_NAME|$FROM_PROFILE|$PATH\"", "env | cut -d= -f1 | sort | tr '\\n' ' '", "echo \"$ODD\""];
    let bench = Bench::new(&script).with(|spec| {
        spec.variables = vec![
            ("CI_JOB_NAME".to_owned(), "right".to_owned()),
            ("ODD".to_owned(), "it's $HOME `id`\n\\n \"\u{e9}\"".to_owned()),
            ("NOT-A-NAME".to_owned(), "x".to_owned()),
        ];
        spec.socket = Some("/run/x.sock".into());
        spec.token = Some("token-of-this-attempt".to_owned());
    });
    std::fs::write(bench.path("home/.bash_profile"), "export CI_JOB_NAME=wrong FROM_PROFILE=yes PATH=/usr/bin:/bin CI=no\n").unwrap();
    let ended = bench.run();
    ended.succeeded();
    let path = std::env::var("PATH").unwrap();
    assert!(ended.log.contains(&format!("right|yes|{path}\n")), "{}", ended.log);
    assert!(ended.log.contains("it's $HOME `id`\n\\n \"\u{e9}\"\n"), "{}", ended.log);
    assert!(!ended.log.contains("CARGO"), "{}", ended.log);
    let mark = bench.spec.attempt.mark();
    for name in ["HMS_ATTEMPT_SOCKET", "HMS_ATTEMPT_TOKEN", "HOME", mark.as_str()] {
        assert!(ended.log.contains(&format!(" {name} ")), "{name}: {}", ended.log);
    }
    assert_eq!(ended.record.warnings.len(), 1);
    assert!(ended.record.warnings[0].contains("NOT-A-NAME"));
}

#[test]
fn a_shell_that_ends_before_the_script_begins_has_done_nothing() {
    let bench = Bench::new(&["echo SHOULD-RUN; exit 1"]);
    std::fs::write(bench.path("home/.bash_profile"), "exit 0\n").unwrap();
    let ended = bench.run();
    ended.is(FAILED, Some(0), SCRIPT);
    assert!(ended.record.message.as_deref().unwrap().starts_with("the shell ended before the script began"), "{:?}", ended.record);
}

#[test]
fn the_after_script_has_a_shell_of_its_own_and_changes_no_result() {
    let after = ["echo \"after:$CI_JOB_STATUS:$A:$B:$(basename $PWD)\"".to_owned(), "exit 3".to_owned()];
    for (script, status, code) in [("cd /; A=1; true", "success", 0), ("cd /; A=1; exit 5", "failed", 5)] {
        let ended = Bench::new(&[script])
            .with(|spec| {
                spec.after_script = after.to_vec();
                spec.variables = vec![("B".to_owned(), "b".to_owned())];
            })
            .run();
        assert!(ended.output().contains(&format!("after:{status}::b:checkout\n")), "{}", ended.log);
        assert_eq!(ended.record.exit_code, Some(code));
        assert_eq!(ended.record.warnings, ["after_script failed with exit code 3; the job's result stays"]);
    }
}

#[test]
fn an_after_script_that_takes_too_long_is_ended() {
    let ended = Bench::new(&["true"])
        .with(|spec| {
            spec.after_script = vec!["sleep 60".to_owned()];
            spec.after_script_timeout_ms = 100;
        })
        .run();
    ended.succeeded();
    assert_eq!(ended.record.warnings, ["after_script took longer than 100 ms; the job's result stays"]);
}

#[test]
fn a_timeout_ends_everything_and_names_what_ran() {
    let script = ["echo begun", "(trap '' TERM; sleep 71) & sleep 72"];
    let ended = Bench::new(&script)
        .with(|spec| {
            spec.timeout_ms = 700;
            spec.after_script = vec!["echo never".to_owned()];
            spec.artifacts.paths = vec!["kept".to_owned()];
            spec.artifacts.when = hms::event::When::Always;
        })
        .run();
    assert_eq!((ended.record.result, ended.record.failure_reason), (FAILED, Some(FailureReason::JobExecutionTimeout)));
    let message = ended.record.message.unwrap();
    assert!(message.starts_with("took longer than 700 ms and was ended while `sleep 7"), "{message}");
    assert!(message.contains("line 2 of 2"), "{message}");
    assert!(!ended.log.contains("never") && !ended.log.contains("artifacts"), "{}", ended.log);
}

#[test]
fn a_long_line_is_named_once_and_shortly() {
    let long = format!("sleep 73 {}", "0 ".repeat(100));
    let ended = Bench::new(&[long.trim()]).with(|spec| spec.timeout_ms = 300).run();
    let short: String = long.chars().take(60).collect();
    assert_eq!(ended.record.message, Some(format!("took longer than 300 ms and was ended in line 1 of 1, `{short}…`")));
}

#[test]
fn what_cannot_be_carried_out_is_the_systems_failure() {
    let bench = Bench::new(&["true"]);
    std::fs::remove_dir(&bench.spec.checkout).unwrap();
    bench.run().is(FAILED, None, Some(FailureReason::RunnerSystemFailure));
    Bench::new(&[]).run().is(FAILED, None, Some(FailureReason::RunnerSystemFailure));
    let bench = Bench::new(&["true"]).with(|spec| spec.inputs = vec!["/nowhere/at/all".into()]);
    bench.run().is(FAILED, None, Some(FailureReason::RunnerSystemFailure));
}

#[test]
fn an_attempt_never_runs_twice() {
    let bench = Bench::new(&["echo once >> count"]);
    assert_eq!(bench.state(), KeeperState::Gone);
    bench.run().succeeded();
    let again = hms::executor::start_keeper(
        std::path::Path::new(env!("CARGO_BIN_EXE_hms")),
        &bench.spec,
        std::path::Path::new("/"),
        &bench.path("stderr"),
    );
    assert!(again.unwrap_err().to_string().contains("did not get ready"));
    assert_eq!(std::fs::read_to_string(bench.checkout("count")).unwrap(), "once\n");
    assert!(std::fs::read_to_string(bench.path("stderr")).unwrap().contains("was started before"));
}

#[test]
fn a_living_keeper_is_known_by_its_lock() {
    let bench = Bench::new(&["while ! [ -e go ]; do sleep 0.01; done"]);
    let running = bench.start();
    let KeeperState::Alive(holder) = bench.state() else { panic!("{:?}", bench.state()) };
    assert_eq!((&holder.process, holder.role.as_str()), (&running.started.process, "keeper"));
    // A session of its own: a closed terminal does not reach it.
    let pid = rustix::process::Pid::from_raw(i32::try_from(holder.process.pid).unwrap()).unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
    for signal in [rustix::process::Signal::HUP, rustix::process::Signal::INT] {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    std::fs::write(bench.checkout("go"), "").unwrap();
    running.end().succeeded();
}

#[test]
fn a_job_does_not_inherit_ignored_signals() {
    let ended = Bench::new(&["grep SigIgn /proc/self/status | cut -f2"]).run();
    let ignored = u64::from_str_radix(ended.output().trim(), 16).unwrap();
    for signal in [1, 2, 3, 13, 15, 17] {
        assert_eq!(ignored >> (signal - 1) & 1, 0, "signal {signal} is ignored: {ignored:x}");
    }
}

#[test]
fn a_background_process_that_holds_the_pipe_does_not_hang_the_attempt() {
    let bench = Bench::new(&["sleep 80 &", "setsid nohup sh -c 'trap \"\" TERM; sleep 81' & echo started", "true"]);
    let ended = bench.run();
    ended.succeeded();
    assert!(ended.record.duration_ms < 5_000, "{:?}", ended.record);
    wait_for("nothing is left", || bench.marked().is_empty());
}
