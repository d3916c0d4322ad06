//! From two commits to production, and back without the clone: `hms-deploy` alone, `hms rollback`, yeses outside a run.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hms::deploy::local::LocalTarget;
use hms::ledger::{Entry, LedgerPlaces, entries, verify};
use hms::store::Places;
use serde_json::Value;

/// How long any one command may take.
const PATIENCE: Duration = Duration::from_secs(30);
const HMS: &str = env!("CARGO_BIN_EXE_hms");
const HMS_DEPLOY: &str = env!("CARGO_BIN_EXE_hms-deploy");

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    notices: String,
    took: Duration,
}

impl Said {
    #[track_caller]
    fn code(self, wanted: i32) -> Self {
        assert_eq!(self.code, Some(wanted), "{}\n{}", self.out, self.notices);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A home, a repository in it, and somewhere else.
struct World {
    folder: tempfile::TempDir,
    places: Places,
    traffic: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "run", "irs", "elsewhere"] {
            fs::create_dir(at(name)).unwrap();
        }
        let places = Places { state: at("home/.local/state/hms"), runtime: at("run/hms"), data: at("home/.local/share/hms") };
        let world = Self { folder, places, traffic: None };
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        world.write(".hms-ci.yml", &pipeline("\"mkdir -p dist && echo hi > dist/index.html\"", port));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("irs").join(name), text).unwrap();
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = self.command("git", arguments, &self.path("irs"));
        command.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")]);
        command.envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")]);
        command.envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, program: &str, arguments: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path("home"));
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    /// Runs a program to its end; one that takes too long is killed, and the test with it.
    #[track_caller]
    fn run_in(&self, folder: &str, program: &str, arguments: &[&str]) -> Said {
        let (out, notices) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let mut command = self.command(program, arguments, &self.path(folder));
        command.stdout(out.reopen().unwrap()).stderr(notices.reopen().unwrap());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                let told = |path: &Path| fs::read_to_string(path).unwrap_or_default();
                panic!("{program} {arguments:?} takes too long:\n{}\n{}", told(out.path()), told(notices.path()));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = began.elapsed();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        Said { code, out: read(out.path()), notices: read(notices.path()), took }
    }

    #[track_caller]
    fn hms(&self, arguments: &[&str]) -> Said {
        self.run_in("irs", HMS, arguments)
    }

    /// `hms-deploy`, far from the clone.
    #[track_caller]
    fn far(&self, arguments: &[&str]) -> Said {
        self.run_in("elsewhere", HMS_DEPLOY, arguments)
    }

    fn status(&self) -> Value {
        self.far(&["status", "--app", "irs", "--env", "prod", "--output", "json"]).code(0).json()["environments"][0].clone()
    }

    /// What users get at this moment.
    fn answer(&self) -> Option<String> {
        get(self.status()["address"].as_str()?)
    }

    fn ledger(&self) -> Vec<Entry> {
        entries(&LedgerPlaces::of(&self.places)).unwrap()
    }

    /// Sends requests to the proxy, as soon as it is there, until the world ends.
    fn send_traffic(&mut self) {
        let over = Arc::new(AtomicBool::new(false));
        let mut ask = self.command(HMS_DEPLOY, &["status", "--app", "irs", "--output", "json"], &self.path("elsewhere"));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut address: Option<String> = None;
            while !stop.load(Ordering::Relaxed) {
                if let Some(address) = &address {
                    let _ = get(address);
                } else {
                    let told = ask.output().ok().and_then(|told| serde_json::from_slice::<Value>(&told.stdout).ok());
                    address = told.and_then(|told| told["environments"][0]["address"].as_str().map(str::to_owned));
                }
                std::thread::sleep(Duration::from_millis(4));
            }
        });
        self.traffic = Some((over, thread));
    }

    /// Runs the pipeline of HEAD to its gate, and says yes there.
    #[track_caller]
    fn release(&self, number: &str) {
        let run = self.hms(&["run", "--headless"]).code(10);
        assert!(run.out.contains(&format!("hms approve {number} prod")), "{}", run.out);
        self.hms(&["approve", number, "prod", "--wait"]).code(0);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.traffic.take() {
            over.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let target = LocalTarget::open(&self.places, &"irs".parse().unwrap(), Path::new(HMS));
        let stopped = runtime.block_on(target.stop(&|_| ()));
        if !std::thread::panicking() {
            stopped.unwrap();
        }
    }
}

fn get(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address.strip_prefix("http://")?).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: irs\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn pipeline(build: &str, port: u16) -> String {
    format!(
        r#"
stages: [build, scan, canary, prod]
build: {{script: {build}, artifacts: dist/}}
scan: {{script: scan dist/ --fail-on high}}
canary: {{needs: [scan], script: "hms-deploy --env canary --traffic 50%"}}
prod: {{when: manual, needs: [canary], script: "hms-deploy --env prod --tag $CI_COMMIT_SHA"}}
.hms:
  app: irs
  start: "'{HMS}' demo-service service.json"
  local: {{listen: "127.0.0.1:{port}"}}
  version: {{bump: patch}}
  canary: {{bake: 1s, interval: 1s, slo: {{error_rate: 20%, p95: 1s}}}}
"#
    )
}

#[test]
fn released_twice_and_back_without_the_clone() {
    let mut world = World::new();
    world.write("service.json", r#"{"version":"one"}"#);
    let first = world.commit("feat: one");
    world.send_traffic();
    world.release("1");
    assert_eq!(world.git(&["tag", "--points-at", &first]), "v0.1.0");
    world.write("service.json", r#"{"version":"two"}"#);
    let second = world.commit("fix: two");
    world.git(&["tag", "v0.2.0"]);
    world.release("2");
    assert_eq!(world.git(&["tag", "--points-at", &second]), "v0.2.0");
    assert!(world.answer().unwrap().contains("two"));

    rolled_back(&world, &first);
    let digest = history(&world, &second);
    moved_tag(&world, &first, &second, &digest);
    canary_alone(&world, &first, &digest);
    told_again(&world, &digest);
    while_the_ledger_is_held(&world, &digest);
    told_again_by_override(&world, &digest);
    asker_dies(&world);
    told_again_by_override(&world, &digest);
    on_a_full_disk(&world);
    not_from_a_job(&world);
    let ledger = world.ledger();
    for wanted in ["deploy", "promote", "tag", "rollback", "approve", "override", "refuse"] {
        assert!(ledger.iter().any(|entry| entry.kind == wanted), "{wanted} is not in the ledger");
    }
    let verified = verify(&LedgerPlaces::of(&world.places), &[]).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}

/// From another folder, without the clone: back, and back again changes nothing.
fn rolled_back(world: &World, first: &str) {
    let back = world.far(&["rollback", "--env", "prod", "--app", "irs"]).code(0);
    let lines: Vec<&str> = back.out.lines().collect();
    assert_eq!(lines[0], format!("✔ Reverted to tag {}", &first[..8]));
    assert!(lines[1].contains("this machine") && lines[1].contains("asked for"), "{}", lines[1]);
    assert!(world.answer().unwrap().contains("one"));
    let again = world.far(&["rollback", "--env", "prod", "--app", "irs"]).code(0);
    assert!(again.out.starts_with(&format!("already reverted to {}", &first[..8])), "{}", again.out);
    let canary = world.far(&["rollback", "--env", "canary", "--app", "irs"]).code(0);
    assert!(canary.out.starts_with("nothing to revert"), "{}", canary.out);
    let nowhere = world.far(&["rollback", "--env", "prod", "--to", "v9.9.9", "--app", "irs"]).code(3);
    assert!(nowhere.notices.contains("v9.9.9"), "{}", nowhere.notices);
    let status = world.status();
    assert_eq!(status["current"]["revision"], *first);
    assert_eq!(status["weight"]["applied"], 0.0);
    // The tag that the promotion made is the release's name from then on, also far from the clone; in the clone any tag of its commit is.
    assert_eq!(status["current"]["tag"], "v0.1.0");
    world.git(&["tag", "known-good", first]);
    let here = format!("already reverted to {}", &first[..8]);
    for said in [
        world.far(&["rollback", "--env", "prod", "--to", "v0.1.0", "--app", "irs"]),
        world.hms(&["rollback", "--env", "prod", "--to", "v0.1.0"]),
        world.hms(&["rollback", "--env", "prod", "--to", "known-good"]),
    ] {
        assert!(said.out.starts_with(&here), "{said:?}");
    }
    world.far(&["rollback", "--env", "prod", "--to", "known-good", "--app", "irs"]).code(3);
}

/// What was released, newest first; gives the digest of the second commit's release.
fn history(world: &World, second: &str) -> String {
    let told = world.far(&["history", "--env", "prod", "--app", "irs", "--output", "json"]).code(0).json();
    let rows = told["history"].as_array().unwrap();
    let outcomes: Vec<&str> = rows.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["reverted to", "promoted", "promoted"]);
    assert_eq!(rows[1]["revision"], second);
    let tags: Vec<&str> = rows.iter().map(|row| row["tag"].as_str().unwrap()).collect();
    assert_eq!(tags, ["v0.1.0", "v0.2.0", "v0.1.0"]);
    rows[1]["digest"].as_str().unwrap().to_owned()
}

/// A tag that names something else than when the release was made is refused, by its name and by the release's digest.
fn moved_tag(world: &World, first: &str, second: &str, digest: &str) {
    world.git(&["tag", "--force", "v0.2.0", first]);
    let by_name = world.run_in("irs", HMS_DEPLOY, &["--env", "canary", "--tag", "v0.2.0"]).code(13);
    assert!(by_name.notices.contains("moved"), "{}", by_name.notices);
    let by_digest = world.run_in("irs", HMS_DEPLOY, &["--env", "prod", "--promote", digest]).code(13);
    assert!(by_digest.notices.contains("moved"), "{}", by_digest.notices);
    let back = world.hms(&["rollback", "--env", "prod", "--to", "v0.2.0"]).code(13);
    assert!(back.notices.contains("moved"), "{}", back.notices);
    world.git(&["tag", "--force", "v0.2.0", second]);
}

/// A canary alone runs until its verdict; then nobody watches it, which is said, and it is taken back from elsewhere.
fn canary_alone(world: &World, first: &str, digest: &str) {
    let arguments = ["--env", "canary", "--tag", "v0.2.0", "--traffic", "50%"];
    let done = world.run_in("irs", HMS_DEPLOY, &arguments).code(0);
    assert!(done.out.starts_with("✔ Deployed "), "{}", done.out);
    assert!(done.notices.contains("UNWATCHED"), "{}", done.notices);
    let status = world.status();
    assert_eq!((&status["canary"]["digest"], &status["watched"]), (&Value::from(digest), &Value::from(false)));
    assert_eq!(status["weight"]["applied"], 0.5);
    let slip = world.far(&["rollback", "--env", "canary", "--app", "irz"]).code(3);
    assert!(slip.notices.contains("what was deployed here: irs"), "{}", slip.notices);
    let back = world.far(&["rollback", "--env", "canary", "--app", "irs"]).code(0);
    assert!(back.out.starts_with(&format!("✔ Reverted to tag {}", &first[..8])), "{}", back.out);
    let told = world.far(&["history", "--env", "prod", "--app", "irs"]).code(0);
    let canaries: Vec<&str> = told.out.lines().filter(|line| !line.contains("promoted") && !line.contains("reverted to")).collect();
    assert!(canaries.len() == 1 && canaries[0].contains("taken back"), "{}", told.out);
    let status = world.status();
    assert_eq!((&status["canary"], &status["slot"]), (&Value::Null, &Value::Null));
    assert_eq!(status["weight"]["applied"], 0.0);
}

/// Alone: no terminal and no `--promote` is no yes; a release that was taken back has neither PASS nor yeses; an override is both.
fn told_again(world: &World, digest: &str) {
    let silent = world.far(&["--env", "prod", "--tag", digest, "--app", "irs", "--allow-outdated", "--reason", "again"]).code(13);
    assert!(silent.notices.contains(&format!("--promote {digest}")), "{}", silent.notices);
    let outdated = world.far(&["--env", "prod", "--promote", digest, "--app", "irs"]).code(13);
    assert!(outdated.notices.contains("--allow-outdated"), "{}", outdated.notices);
    let promote = ["--env", "prod", "--promote", digest, "--app", "irs", "--allow-outdated", "--reason", "again"];
    let unproven = world.far(&promote).code(13);
    assert!(unproven.notices.contains("hms override"), "{}", unproven.notices);
    world.hms(&["approve", "--env", "prod", "--release", digest, "--reason", "seen"]).code(0);
    world.far(&promote).code(13);
    assert!(world.answer().unwrap().contains("one"));
    told_again_by_override(world, digest);
}

fn told_again_by_override(world: &World, digest: &str) {
    world.hms(&["override", "--env", "prod", "--release", digest, "--reason", "checked by hand"]).code(0);
    let promote = ["--env", "prod", "--promote", digest, "--app", "irs", "--allow-outdated", "--reason", "again"];
    let done = world.far(&promote).code(0);
    assert!(done.out.starts_with("✔ Deployed "), "{}", done.out);
    assert!(world.answer().unwrap().contains("two"));
}

/// Whoever asked for a rollback may be killed: it goes on. The ledger is held so that it is certainly under way then.
fn asker_dies(world: &World) {
    let rollouts = world.places.state.join("rollouts/irs");
    let count = || fs::read_dir(&rollouts).unwrap().count();
    let before = count();
    let lock = fs::File::options().write(true).open(LedgerPlaces::of(&world.places).lock()).unwrap();
    lock.lock().unwrap();
    let mut asker = world.command(HMS, &["rollback", "--env", "prod", "--app", "irs"], &world.path("elsewhere"));
    let mut asker = asker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while count() == before {
        assert!(Instant::now() < end, "it was never begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    asker.kill().unwrap();
    asker.wait().unwrap();
    while !world.answer().is_some_and(|answer| answer.contains("one")) {
        assert!(Instant::now() < end, "it died with its asker");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(lock);
    while world.status()["unrecorded"] != 0 {
        assert!(Instant::now() < end, "still UNRECORDED");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A rollback waits for nobody: whoever has the ledger's lock and does not let go is as good as stopped.
fn while_the_ledger_is_held(world: &World, digest: &str) {
    let lock = fs::File::options().write(true).open(LedgerPlaces::of(&world.places).lock()).unwrap();
    lock.lock().unwrap();
    let back = world.far(&["rollback", "--env", "prod", "--app", "irs", "--reason", "slow pages"]).code(0);
    assert!(back.notices.contains("UNRECORDED"), "{}", back.notices);
    assert!(back.out.starts_with("✔ Reverted"), "{}", back.out);
    assert!(world.answer().unwrap().contains("one"));
    assert!(back.took < Duration::from_secs(1), "{:?}", back.took);
    assert_eq!(world.status()["unrecorded"], 1);
    let before = world.ledger().len();
    drop(lock);
    // It is taken in as soon as the ledger is free, once, and the target forgets that it waited.
    let end = Instant::now() + PATIENCE;
    while world.status()["unrecorded"] != 0 {
        assert!(Instant::now() < end, "still UNRECORDED");
        std::thread::sleep(Duration::from_millis(10));
    }
    world.hms(&["approve", "--env", "prod", "--release", digest, "--reason", "another one"]).code(0);
    let taken: Vec<Entry> = world.ledger().into_iter().skip(before).filter(|entry| entry.kind == "rollback").collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].reason.as_ref().unwrap().contains("UNRECORDED"), "{taken:?}");
    println!("a rollback beside a held ledger took {:?}", back.took);
}

/// A rollback that nothing could be written of is not forgotten: the target holds it in memory, says so, and writes it down when it can.
fn on_a_full_disk(world: &World) {
    let state = &world.places.state;
    let supervisor = hms::store::holder_of(&state.join("local/irs/lock")).unwrap().unwrap().process.pid;
    // What stands where something is to be written is a full disk, to root too.
    let store = state.join(format!("local/irs/store.json.{supervisor}.new"));
    fs::create_dir(&store).unwrap();
    fs::write(store.join("full"), "").unwrap();
    let aside = |name: &str| (state.join(name), state.join(name.replace('/', "-")));
    let full = [aside("ledger/unrecorded"), aside("rollouts/irs")];
    for (there, away) in &full {
        fs::rename(there, away).unwrap();
        fs::write(there, "").unwrap();
    }
    let known = world.ledger().len();
    let back = world.far(&["rollback", "--env", "prod", "--app", "irs"]).code(0);
    assert!(back.notices.contains("UNRECORDED"), "{}", back.notices);
    assert!(world.answer().unwrap().contains("one"));
    let status = world.status();
    assert_eq!((&status["unrecorded"], &status["slot"]), (&Value::from(1), &Value::Null), "{status}");
    let current = status["current"]["digest"].clone();
    assert_eq!((world.ledger().len(), &status["returned_to"]), (known, &current), "{status}");

    fs::remove_dir_all(store).unwrap();
    for (there, away) in &full {
        fs::remove_file(there).unwrap();
        fs::rename(away, there).unwrap();
    }
    let end = Instant::now() + PATIENCE;
    while world.status()["unrecorded"] != 0 {
        assert!(Instant::now() < end, "still UNRECORDED");
        std::thread::sleep(Duration::from_millis(10));
    }
    let taken: Vec<Entry> = world.ledger().into_iter().skip(known).collect();
    assert!(taken.iter().any(|entry| entry.kind == "rollback" && entry.outcome.as_deref() == Some("done")), "{taken:?}");
    let stored: Value = serde_json::from_slice(&fs::read(state.join("local/irs/store.json")).unwrap()).unwrap();
    assert_eq!(stored["environments"]["prod"]["record"]["current"]["digest"], current);
}

/// A job that nobody promoted changes nothing, with its socket or around it; each try is in the ledger.
fn not_from_a_job(world: &World) {
    let refused = || world.ledger().iter().filter(|entry| entry.kind == "refuse").count();
    let before = refused();
    let state = world.places.state.display();
    let around = format!("env -u HMS_ATTEMPT_SOCKET HMS_STATE_HOME={state} hms-deploy rollback --env prod --app irs");
    world.write(".hms-ci.yml", &pipeline(&format!("[\"{around} || test $? = 13\", \"hms-deploy --env prod\"]"), 1));
    world.commit("chore: sneak");
    let run = world.hms(&["run", "--headless"]);
    let log = world.hms(&["logs", "build"]);
    assert_eq!(run.code, Some(13), "{}\n{}\n{}", run.out, run.notices, log.out);
    assert!(refused() >= before + 2, "{} {before}", refused());
    assert!(world.answer().unwrap().contains("one"));
}
