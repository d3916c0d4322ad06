//! A home, a repository, a user who sends requests all along; and the programs, started as a person would.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hms::deploy::local::{LocalStatus, LocalTarget};
use hms::event::RunState;
use hms::ledger::{Entry, LedgerPlaces, entries, unresolved, verify};
use hms::run::RepositoryFolder;
use hms::run::reader::{EngineLife, RunReader, engine_of, find};
use hms::store::{Holder, Places};
use serde_json::Value;

use super::traffic::{Traffic, share};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(40);
pub(super) const HMS: &str = env!("CARGO_BIN_EXE_hms");
const HMS_DEPLOY: &str = env!("CARGO_BIN_EXE_hms-deploy");

/// What a command said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) notices: String,
}

impl Said {
    #[track_caller]
    pub(super) fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, Some(wanted), "{}\n{}", self.out, self.notices);
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// What the pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A canary, a gate, protected production.
    Whole,
    /// The same, with a bake that leaves time to kill somebody in.
    Patient,
    /// The same, and a canary that nobody will watch is taken back.
    Leaving,
    /// Production is not protected, and gets each release at once.
    Direct,
}

pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) places: Places,
    pub(super) address: SocketAddr,
    traffic: Option<Traffic>,
}

impl World {
    pub(super) fn new(shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "run", "shop"] {
            fs::create_dir(at(name)).unwrap();
        }
        let places = Places { state: at("home/.local/state/hms"), runtime: at("run/hms"), data: at("home/.local/share/hms") };
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut world = Self { folder, places, address, traffic: None };
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        fs::write(world.path("shop/.hms-ci.yml"), world.pipeline(shape)).unwrap();
        world.traffic = Some(Traffic::start(address));
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pipeline(&self, shape: Shape) -> String {
        let (counts, address) = (self.path("counts").display().to_string(), self.address);
        let build = format!(
            "build: {{script: [\"echo $CI_PIPELINE_IID >> {counts}.build\", \"mkdir -p dist && echo hi > dist/index.html\"], artifacts: dist/}}
scan: {{script: scan dist/ --fail-on high}}"
        );
        let deploys = match shape {
            Shape::Whole | Shape::Patient | Shape::Leaving => format!(
                "canary: {{needs: [scan], script: [\"echo $CI_PIPELINE_IID >> {counts}.canary\", \"hms-deploy --env canary --traffic 10%\"]}}
prod: {{when: manual, needs: [canary], script: [\"echo $CI_PIPELINE_IID >> {counts}.prod\", \"hms-deploy --env prod --tag $CI_COMMIT_SHA\"]}}"
            ),
            Shape::Direct => format!("prod: {{script: [\"echo $CI_PIPELINE_IID >> {counts}.prod\", \"hms-deploy --env prod\"]}}"),
        };
        let more = match shape {
            Shape::Whole => "canary: {bake: 1s, interval: 1s, slo: {error_rate: 20%, p95: 1s}}",
            Shape::Leaving => "canary: {bake: 1s, interval: 1s, unwatched: rollback, slo: {error_rate: 20%, p95: 1s}}",
            Shape::Patient => "canary: {bake: 3s, interval: 1s, slo: {error_rate: 20%, p95: 1s}}",
            Shape::Direct => {
                "environments: {prod: {target: local, protected: false}}\n  registry: {image: registry.example.org/shop, keep: 1}"
            }
        };
        format!(
            "stages: [build, scan, canary, prod]
{build}
{deploys}
.hms:
  app: shop
  start: \"exec '{HMS}' demo-service service.json\"
  local: {{listen: \"{address}\"}}
  {more}
"
        )
    }

    pub(super) fn commit(&self, version: &str) {
        fs::write(self.path("shop/service.json"), format!("{{\"version\":\"{version}\"}}")).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", version]);
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = self.command("git", arguments);
        command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
        command.envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")]);
        command.envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(super) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path("shop")).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path("home"));
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    /// Runs a program to its end, with a point to die at for what it starts; one that takes too long is killed, and the test with it.
    #[track_caller]
    pub(super) fn hms_dying_at(&self, point: Option<&str>, arguments: &[&str]) -> Said {
        let (out, notices) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let (program, arguments) = match arguments {
            ["hms-deploy", rest @ ..] => (HMS_DEPLOY, rest),
            ["hms", rest @ ..] => (HMS, rest),
            all => (HMS, all),
        };
        let mut command = self.command(program, arguments);
        command.stdout(out.reopen().unwrap()).stderr(notices.reopen().unwrap());
        command.envs(point.map(|point| ("HMS_CRASH_AT", point)));
        let mut child = command.spawn().unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let mut code = None;
        let ended = wait_for(|| {
            code = child.try_wait().unwrap();
            code.is_some()
        });
        if !ended {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{program} {arguments:?} takes too long:\n{}\n{}", read(out.path()), read(notices.path()));
        }
        Said { code: code.and_then(|code| code.code()), out: read(out.path()), notices: read(notices.path()) }
    }

    #[track_caller]
    pub(super) fn hms(&self, arguments: &[&str]) -> Said {
        self.hms_dying_at(None, arguments)
    }

    /// Runs a command as the table writes it.
    #[track_caller]
    pub(super) fn say(&self, line: &str) -> Said {
        let line = line.replace("DIGEST", &self.candidate());
        self.hms(&line.split(' ').collect::<Vec<_>>())
    }

    /// The digest of the newest run's release.
    pub(super) fn candidate(&self) -> String {
        let status = self.hms(&["status", "--output", "json"]).code(0).json();
        status["release"]["digest"].as_str().unwrap_or_default().to_owned()
    }

    /// The pipeline of a new version, up to all its traffic.
    #[track_caller]
    pub(super) fn release(&self, number: &str, version: &str, shape: Shape) {
        self.commit(version);
        match shape {
            Shape::Whole | Shape::Patient | Shape::Leaving => {
                self.hms(&["run", "--headless"]).code(10);
                self.hms(&["approve", number, "prod", "--wait"]).code(0);
            }
            Shape::Direct => {
                self.hms(&["run", "--headless"]).code(0);
            }
        }
    }

    fn runs(&self) -> RepositoryFolder {
        RepositoryFolder::of(&self.path("shop/.git"))
    }

    /// The run as its journal has it, and how its engine is.
    pub(super) fn run(&self, number: &str) -> (RunState, EngineLife) {
        let listed = find(&self.runs(), Some(number)).unwrap();
        let mut reader = RunReader::new(&listed.folder);
        reader.poll().unwrap();
        (reader.state().clone(), reader.engine().unwrap())
    }

    /// The process that drives a run.
    pub(super) fn engine(&self, number: &str) -> Holder {
        let listed = find(&self.runs(), Some(number)).unwrap();
        engine_of(&listed.folder).unwrap().expect("an engine lives")
    }

    #[track_caller]
    pub(super) fn until_dead(&self, number: &str) {
        assert!(
            wait_for(|| self.run(number).1 == EngineLife::Dead),
            "the engine lives on: {}{:?}",
            self.engine_log(number),
            self.run(number).0.jobs
        );
    }

    pub(super) fn engine_log(&self, number: &str) -> String {
        let listed = find(&self.runs(), Some(number)).unwrap();
        fs::read_to_string(listed.folder.engine_log()).unwrap_or_default()
    }

    pub(super) fn status(&self, number: &str) -> Value {
        self.hms(&["status", number, "--output", "json"]).code(0).json()
    }

    /// What the target says of production.
    pub(super) fn standing(&self) -> Value {
        self.hms(&["hms-deploy", "status", "--app", "shop", "--env", "prod", "--output", "json"]).code(0).json()["environments"][0].clone()
    }

    pub(super) fn share(&self, version: &str) -> Option<f64> {
        share(self.address, version)
    }

    /// How often a job's script began in a run.
    pub(super) fn count(&self, job: &str, number: &str) -> usize {
        let text = fs::read_to_string(self.path(&format!("counts.{job}"))).unwrap_or_default();
        text.lines().filter(|line| *line == number).count()
    }

    pub(super) fn ledger(&self) -> Vec<Entry> {
        entries(&LedgerPlaces::of(&self.places)).unwrap()
    }

    /// Kinds of the intents that nobody closed.
    pub(super) fn open_intents(&self) -> Vec<String> {
        unresolved(&self.ledger()).into_iter().map(|entry| entry.kind.clone()).collect()
    }

    #[track_caller]
    pub(super) fn ledger_verifies(&self) {
        let verified = verify(&LedgerPlaces::of(&self.places), &[]).unwrap();
        assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    }

    pub(super) fn target(&self) -> LocalTarget {
        LocalTarget::open(&self.places, &"shop".parse().unwrap(), Path::new(HMS))
    }

    pub(super) fn local_status(&self) -> LocalStatus {
        runtime().block_on(self.target().status()).unwrap()
    }

    /// A job whose engine was killed for good would wait for the next one for ever.
    fn end_keepers(&self, number: &str) {
        let Ok(listed) = find(&self.runs(), Some(number)) else { return };
        let mut reader = RunReader::new(&listed.folder);
        let _ = reader.poll();
        let keepers = reader.state().jobs.iter().flat_map(|job| &job.attempts).filter_map(|attempt| attempt.keeper.clone());
        for keeper in keepers {
            let _ = hms::store::send_signal(&keeper, hms::store::Signal::Term);
            wait_for(|| !hms::store::is_alive(&keeper));
        }
    }

    /// No user saw anything of it.
    #[track_caller]
    pub(super) fn nobody_noticed(&mut self) {
        let seen = self.traffic.take().unwrap().stop();
        assert!(seen.answered > 0, "nobody was ever answered");
        assert!(seen.failed.is_empty(), "{} of {} requests failed: {:?}", seen.failed.len(), seen.answered, &seen.failed[..1]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            let _ = traffic.stop();
        }
        for number in 1..9 {
            if let Ok(listed) = find(&self.runs(), Some(&number.to_string()))
                && let Ok(Some(engine)) = engine_of(&listed.folder)
            {
                // An engine that watches a canary would go on for as long as it has weight.
                let _ = hms::store::send_signal(&engine.process, hms::store::Signal::Kill);
            }
            self.end_keepers(&number.to_string());
        }
        let stopped = runtime().block_on(self.target().stop(&|_| ()));
        if !std::thread::panicking() {
            stopped.unwrap();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Waits for a condition; false when it does not come true.
pub(super) fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
