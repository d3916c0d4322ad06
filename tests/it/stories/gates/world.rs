//! A home, a repository, a service and its users; and the end of everything that was started for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hms::event::ProcessName;
use hms::store::{Signal, holder_of, is_alive, name_of, send_signal};
use serde_json::Value;

pub(super) const HMS: &str = env!("CARGO_BIN_EXE_hms");
/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most requests that a test's users send.
const MOST_REQUESTS: u64 = 100_000;

/// A pipeline that goes from a file to production. Tests change it by naming the text that they replace.
const PIPELINE: &str = r"stages: [build, scan, canary, prod]
.hms:
  app: shop
  start: START
  local: {listen: '127.0.0.1:0'}
  scan: {advisories: required}
  environments: {prod: {approvals: 0}}
  canary: {bake: 300ms, interval: 200ms, on_hold: 1m, unwatched: keep, slo: {error_rate: 1%, p95: 1s}}
build:
  script: mkdir -p dist && cp service.json dist/
  artifacts: dist/
scan:
  script: scan dist/ --fail-on high
canary:
  needs: [scan]
  script: hms-deploy --env canary --traffic 50% $MORE
prod:
  when: manual
  needs: [canary]
  script: hms-deploy --env prod --tag $CI_COMMIT_SHA $MORE
";

/// The pipeline with some of its text replaced.
pub(super) fn pipeline(changes: &[(&str, &str)]) -> String {
    let start = format!("exec {HMS} demo-service service.json");
    let mut text = PIPELINE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the pipeline has no `{from}`");
        text = text.replace(from, to);
    }
    text.replace("START", &start)
}

pub(super) struct World {
    folder: tempfile::TempDir,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl World {
    /// A repository with one commit of this pipeline and a service without errors.
    pub(super) fn new(pipeline: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["home", "runtime", "repo"] {
            std::fs::create_dir(world.path(name)).unwrap();
        }
        std::fs::set_permissions(world.path("runtime"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world.write("service.json", r#"{"version":"1"}"#);
        world.write(".hms-ci.yml", pipeline);
        world.commit("one");
        world
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(below)
    }

    /// Writes a file of the repository.
    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("repo").join(name), text).unwrap();
    }

    pub(super) fn commit(&self, title: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", title]);
    }

    /// Commits another version of the service.
    pub(super) fn commit_service(&self, version: &str, error_rate: f64) {
        self.write("service.json", &format!(r#"{{"version":"{version}","error_rate":{error_rate}}}"#));
        self.commit(version);
    }

    pub(super) fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        self.environment(&mut command);
        assert!(command.args(arguments).current_dir(self.path("repo")).status().unwrap().success(), "git {arguments:?}");
    }

    fn environment(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.path("home")).env("TZ", "UTC");
        command.env("XDG_RUNTIME_DIR", self.path("runtime")).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "n@example.org");
        }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(HMS, arguments)
    }

    /// Says it to `hms-deploy`.
    pub(super) fn deploy(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command_of(env!("CARGO_BIN_EXE_hms-deploy"), arguments).output().unwrap())
    }

    /// Begins to say it to `hms-deploy`.
    pub(super) fn start_deploy(&self, arguments: &[&str]) -> Child {
        let mut command = self.command_of(env!("CARGO_BIN_EXE_hms-deploy"), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.environment(&mut command);
        command.args(arguments).current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    pub(super) fn hms(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// Says it and asserts the exit code.
    #[track_caller]
    pub(super) fn hms_ends(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.hms(arguments);
        assert_eq!(said.code, Some(code), "hms {arguments:?}: {said:#?}");
        said
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// One release in production: canary with all traffic, PASS, a yes.
    #[track_caller]
    pub(super) fn first_release(&self) {
        self.hms_ends(10, &["run", "--headless"]);
        self.approve("1");
    }

    /// A yes to production that is carried out. On a slow machine a sample may come late, and the canary is on HOLD until the next: the
    /// yes is refused then, rightly, and is said again.
    #[track_caller]
    pub(super) fn approve(&self, run: &str) -> Said {
        wait_for(&format!("a yes to run {run}"), || {
            let said = self.hms(&["approve", run, "prod", "--wait"]);
            assert!(said.code == Some(0) || (said.code == Some(13) && said.err.contains("the canary has HOLD: ")), "{said:#?}");
            (said.code == Some(0)).then_some(said)
        })
    }

    #[track_caller]
    pub(super) fn status(&self, run: &str) -> Value {
        self.try_status(run).unwrap_or_else(|| panic!("there is no run {run}"))
    }

    /// How a run stands; none before it has begun.
    pub(super) fn try_status(&self, run: &str) -> Option<Value> {
        let said = self.hms(&["status", run, "--output", "json"]);
        serde_json::from_str(&said.out).ok().filter(|_| said.code == Some(0))
    }

    pub(super) fn job(&self, run: &str, name: &str) -> Value {
        let jobs = self.status(run)["jobs"].as_array().unwrap().clone();
        jobs.into_iter().find(|job| job["name"] == name).unwrap()
    }

    /// Waits until a job has that status.
    #[track_caller]
    pub(super) fn wait_status(&self, run: &str, name: &str, status: &str) -> Value {
        wait_for(&format!("{name} to be {status}"), || Some(self.job(run, name)).filter(|job| job["status"] == status))
    }

    /// Waits until a run's engine has let go.
    pub(super) fn wait_ended(&self, run: &str) {
        wait_for("the engine's end", || self.engine(run).is_none().then_some(()));
    }

    /// The first rollout of a run.
    pub(super) fn rollout(&self, run: &str) -> Value {
        self.status(run)["rollouts"][0].clone()
    }

    /// The notices of a run, in one text.
    pub(super) fn notices(&self, run: &str) -> String {
        let status = self.status(run);
        let notices = status["notices"].as_array().unwrap().iter().map(|notice| notice.as_str().unwrap());
        notices.collect::<Vec<_>>().join("\n")
    }

    /// The folder of a run, by its number.
    pub(super) fn run_folder(&self, number: &str) -> PathBuf {
        let runs = std::fs::read_dir(self.path("repo/.git/hms/runs")).unwrap().flatten().map(|found| found.path());
        let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number}-"));
        runs.into_iter().find(begins).unwrap()
    }

    pub(super) fn engine(&self, number: &str) -> Option<hms::store::Holder> {
        holder_of(&self.run_folder(number).join("lock")).unwrap()
    }

    pub(super) fn supervisor(&self) -> Option<hms::store::Holder> {
        holder_of(&self.path("home/.local/state/hms/local/shop/lock")).unwrap()
    }

    pub(super) fn log(&self, run: &str, job: &str) -> String {
        self.hms(&["logs", job, "--run", run]).out
    }

    /// The ledger's entries, oldest first.
    pub(super) fn ledger(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("home/.local/state/hms/ledger/entries")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The ledger's entries of one type.
    pub(super) fn entries(&self, kind: &str) -> Vec<Value> {
        self.ledger().into_iter().filter(|entry| entry["type"] == kind).collect()
    }

    /// What the local target has stored of the app.
    pub(super) fn store(&self) -> Value {
        let text = std::fs::read_to_string(self.path("home/.local/state/hms/local/shop/store.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Users that ask without a pause to speak of, until they are dropped.
    pub(super) fn users(&self) -> Users {
        let store = self.path("home/.local/state/hms/local/shop/store.json");
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&failed));
        let thread = std::thread::spawn(move || {
            let mut address: Option<String> = None;
            for _ in 0..MOST_REQUESTS {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                if address.is_none() {
                    let stored: Value =
                        std::fs::read(&store).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
                    let prod = &stored["environments"]["prod"];
                    let serves = prod["weight"].as_f64().is_some_and(|weight| weight > 0.0) || prod["stable"].is_object();
                    address = prod["address"].as_str().filter(|_| serves).map(str::to_owned);
                }
                match &address {
                    Some(address) if !answers(address) => {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    Some(_) => {}
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Users { stop, failed, thread: Some(thread) }
    }

    /// Living processes of this world whose first argument is this.
    pub(super) fn processes(&self, verb: &str) -> Vec<u32> {
        let named = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(verb.as_bytes())
        };
        self.pids().into_iter().filter(named).collect()
    }

    /// Processes that name this world's folder, this one apart.
    fn pids(&self) -> Vec<u32> {
        let place = self.path("").to_string_lossy().into_owned();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let names = |pid: &u32| {
            let told = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&[told("cmdline"), told("environ")].concat()).contains(&place)
        };
        pids.filter(|pid| *pid != std::process::id()).filter(names).collect()
    }
}

impl Said {
    pub(super) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub(super) fn wait(child: Child) -> Self {
        Self::of(&child.wait_with_output().unwrap())
    }
}

/// Whatever was started is ended with its world; what a supervisor starts meanwhile, too.
impl Drop for World {
    fn drop(&mut self) {
        for _ in 0..20 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for name in pids.into_iter().filter_map(name_of) {
                let _ = send_signal(&name, Signal::Kill);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A thread that asks the service again and again.
pub(super) struct Users {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Users {
    /// How many requests were not answered with 200.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn answers(address: &str) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}

/// Waits until something is there.
#[track_caller]
pub(super) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn wait_gone(process: &ProcessName) {
    wait_for("a process's end", || (!is_alive(process)).then_some(()));
}
