//! The verbs as a person types them: the real program, a home of its own, a repository of its own.

mod artifacts;
mod auto_cancel;
mod cache;
mod delayed;
mod dotenv;
mod elsewhere;
mod engine;
mod environments;
mod expiry;
mod files;
mod given;
mod groups;
mod honest;
mod json;
mod kept;
mod keywords;
mod ledger;
mod look;
mod masked;
mod metrics;
mod names;
mod partial;
mod policy;
mod remote;
mod reports;
mod retried;
mod supplied;
mod typed;
mod variables;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A home, a runtime folder and a repository; nothing of this machine's user is seen.
struct World {
    folder: tempfile::TempDir,
}

/// What a program said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl World {
    fn new(pipeline: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["home", "runtime", "repo"] {
            std::fs::create_dir(world.path(name)).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(world.path("runtime"), mode).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world.commit(pipeline, "one");
        world
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(below)
    }

    fn state(&self) -> PathBuf {
        self.path("home/.local/state/hms")
    }

    fn environment(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.path("home")).env("TZ", "UTC");
        command.env("XDG_RUNTIME_DIR", self.path("runtime")).env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "n@example.org");
        }
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        self.environment(&mut command);
        assert!(command.args(arguments).current_dir(self.path("repo")).status().unwrap().success(), "git {arguments:?}");
    }

    fn git_out(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("git");
        self.environment(&mut command);
        command.args(arguments).current_dir(self.path("repo")).output().unwrap().stdout
    }

    fn commit(&self, pipeline: &str, title: &str) {
        std::fs::write(self.path("repo/.hms-ci.yml"), pipeline).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", title]);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hms"));
        self.environment(&mut command);
        command.args(arguments).current_dir(self.path("repo")).stdin(Stdio::null());
        command
    }

    fn hms(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn status(&self, run: &str) -> serde_json::Value {
        let said = self.hms(&["status", run, "--output", "json"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    fn job(&self, run: &str, name: &str) -> serde_json::Value {
        let jobs = self.status(run)["jobs"].as_array().unwrap().clone();
        jobs.into_iter().find(|job| job["name"] == name).unwrap()
    }

    /// The folder of a run, by its number.
    fn run_folder(&self, number: u64) -> PathBuf {
        let runs = std::fs::read_dir(self.path("repo/.git/hms/runs")).unwrap().flatten().map(|found| found.path());
        let begins = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number}-"));
        runs.into_iter().find(begins).unwrap()
    }

    /// The process that holds a lock.
    fn holder(lock: &Path) -> Option<hms::event::ProcessName> {
        hms::store::holder_of(lock).unwrap().map(|holder| holder.process)
    }

    fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap_or_default()
    }
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Whatever a test leaves behind when it fails is ended with its world: only processes that name its folder.
impl Drop for World {
    fn drop(&mut self) {
        let place = self.path("").to_string_lossy().into_owned();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let told = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let text = [told("cmdline"), told("environ")].concat();
            if pid != std::process::id()
                && String::from_utf8_lossy(&text).contains(&place)
                && let Some(name) = hms::store::name_of(pid)
            {
                let _ = hms::store::send_signal(&name, hms::store::Signal::Kill);
            }
        }
    }
}

/// Waits until something is there.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(process: &hms::event::ProcessName) {
    hms::store::send_signal(process, hms::store::Signal::Kill).unwrap();
    wait_for("a killed process's end", || (!hms::store::is_alive(process)).then_some(()));
}
