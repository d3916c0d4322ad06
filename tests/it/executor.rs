//! The keeper, as the engine sees it: the real program, started with a specification, judged by what it leaves.

mod artifacts;
mod cancel;
mod output;
mod script;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hms::event::{AttemptId, AttemptResult, FailureReason, ProcessName};
use hms::executor::{ArtifactSpec, ExitRecord, KeeperSpec, KeeperState, StartedKeeper, keeper_state, log_path, start_keeper};
use hms::store::{self, Signal};

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An attempt's folders, and what it is to do.
struct Bench {
    folder: tempfile::TempDir,
    spec: KeeperSpec,
}

impl Bench {
    fn new(script: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["attempt", "checkout", "home"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let id = format!("{}.{}.1", ulid::Ulid::generate(), "job");
        let spec = KeeperSpec {
            attempt: id.parse::<AttemptId>().unwrap(),
            attempt_folder: root.join("attempt"),
            checkout: root.join("checkout"),
            script: script.iter().map(|entry| (*entry).to_owned()).collect(),
            after_script: Vec::new(),
            variables: Vec::new(),
            base_environment: vec![
                ("PATH".to_owned(), std::env::var("PATH").unwrap()),
                ("HOME".to_owned(), root.join("home").to_str().unwrap().to_owned()),
            ],
            variable_files: Vec::new(),
            masks: Vec::new(),
            socket: None,
            token: None,
            timeout_ms: 60_000,
            cancel_grace_ms: 5_000,
            after_script_timeout_ms: 60_000,
            log_limit_bytes: None,
            caches: Vec::new(),
            inputs: Vec::new(),
            artifacts: ArtifactSpec::default(),
            artifacts_folder: root.join("artifacts"),
            coverage: None,
            resource: None,
        };
        Self { folder, spec }
    }

    fn with(mut self, change: impl FnOnce(&mut KeeperSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(below)
    }

    fn checkout(&self, below: &str) -> PathBuf {
        self.spec.checkout.join(below)
    }

    fn start(&self) -> Running<'_> {
        let program = Path::new(env!("CARGO_BIN_EXE_hms"));
        let started = start_keeper(program, &self.spec, std::path::Path::new("/"), &self.path("stderr")).unwrap();
        Running { bench: self, started }
    }

    /// Runs it to its end.
    fn run(&self) -> Ended {
        self.start().end()
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(log_path(&self.spec.attempt_folder)).unwrap_or_default()).into_owned()
    }

    fn state(&self) -> KeeperState {
        keeper_state(&self.spec.attempt_folder).unwrap()
    }

    fn marked(&self) -> Vec<ProcessName> {
        store::with_mark(&self.spec.attempt.mark())
    }
}

/// A keeper at work.
struct Running<'a> {
    bench: &'a Bench,
    started: StartedKeeper,
}

impl Running<'_> {
    fn end(mut self) -> Ended {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.started.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() >= end {
                let _ = self.started.child.kill();
                panic!("the keeper did not end; the log says: {}", self.bench.log());
            }
            pause();
        };
        assert_eq!(status.code(), Some(0), "{}", std::fs::read_to_string(self.bench.path("stderr")).unwrap());
        let KeeperState::Ended(record) = self.bench.state() else { panic!("no exit record: {:?}", self.bench.state()) };
        assert_eq!(record.attempt, self.bench.spec.attempt);
        assert_eq!(self.bench.marked(), [], "something of the attempt is left");
        Ended { record: *record, log: self.bench.log() }
    }

    /// Waits until the log has this text.
    fn shows(&self, text: &str) -> &Self {
        wait_for(text, || self.bench.log().contains(text));
        self
    }

    fn cancel(&self) -> &Self {
        store::send_signal(&self.started.process, Signal::Term).unwrap();
        self
    }
}

/// What an attempt left.
struct Ended {
    record: ExitRecord,
    log: String,
}

impl Ended {
    /// The job's own output: without echoes of the script and lines of hms's own.
    fn output(&self) -> String {
        let own = |line: &&str| !line.starts_with("\u{1b}[32;1m$ ") && !line.starts_with("\u{1b}[36mhms:");
        self.log.split_inclusive('\n').filter(own).collect()
    }

    #[track_caller]
    fn is(&self, result: AttemptResult, exit_code: Option<i32>, reason: Option<FailureReason>) -> &Self {
        let record = &self.record;
        assert_eq!((record.result, record.exit_code, record.failure_reason), (result, exit_code, reason), "{record:?}\n{}", self.log);
        self
    }

    #[track_caller]
    fn succeeded(&self) -> &Self {
        self.is(AttemptResult::Success, Some(0), None)
    }
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        pause();
    }
}

/// Between two looks at a condition.
fn pause() {
    std::thread::sleep(Duration::from_millis(3));
}
