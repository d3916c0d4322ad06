//! The console as a person has it: the real program on a terminal of its own, looked at and typed into.

mod back;
mod confirm;
mod errors;
mod hostile;
mod leaving;
mod runs;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use terminal::Terminal;

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// One job that ends at once.
const SHORT: &str = "build:\n  script: echo built\n";

/// One job that ends when `go` is there, or after a minute.
const LONG: &str =
    "build:\n  script:\n    - echo begun\n    - for i in $(seq 1200); do [ -e \"$GO\" ] && break; sleep 0.05; done\n    - echo finished\n";

/// A home, a runtime folder and a repository; nothing of this machine's user is seen.
struct World {
    folder: tempfile::TempDir,
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
        world.commit(&pipeline.replace("$GO", world.path("go").to_str().unwrap()), "one");
        world
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(below)
    }

    fn environment(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.path("home")).env("TZ", "UTC");
        command.env("XDG_RUNTIME_DIR", self.path("runtime")).env("GIT_CONFIG_NOSYSTEM", "1").env("TERM", "xterm-256color");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "n@example.org");
        }
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        self.environment(&mut command);
        let done = command.current_dir(self.path("repo")).args(arguments).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn commit(&self, pipeline: &str, title: &str) {
        std::fs::write(self.path("repo/.hms-ci.yml"), pipeline).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", title]);
    }

    /// `hms` without a terminal.
    fn hms(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hms"));
        self.environment(&mut command);
        command.current_dir(self.path("repo")).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// `hms` on a terminal of its own.
    fn console(&self, arguments: &[&str]) -> Terminal {
        self.console_in(&self.path("repo"), arguments, &[])
    }

    fn console_in(&self, folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Terminal {
        Terminal::start(folder, arguments, |command| {
            self.environment(command);
            command.envs(variables.iter().copied());
        })
    }

    /// The repository's runs, as JSON.
    fn runs(&self) -> Vec<serde_json::Value> {
        let said = self.hms(&["runs", "--output", "json"]);
        let value: serde_json::Value = serde_json::from_slice(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)));
        value["runs"].as_array().unwrap_or_else(|| panic!("{value}")).clone()
    }

    /// Waits until the newest run has this outcome.
    fn wait_for_outcome(&self, outcome: &str) {
        let begun = Instant::now();
        while self.runs().iter().all(|run| run["outcome"] != outcome) {
            assert!(begun.elapsed() < PATIENCE, "no run is {outcome}: {:?}", self.runs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
