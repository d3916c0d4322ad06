//! A repository, a HOME and a STATE of their own for a measurement, in a folder that goes away.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Answer;

/// The program that is measured.
pub(crate) const HMS: &str = env!("CARGO_BIN_EXE_hms");

/// A repository with one commit.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// With this pipeline in its only commit.
    ///
    /// # Errors
    /// When git is not there, or the disk says no.
    pub(crate) fn new(pipeline: &str) -> Answer<Self> {
        let world = Self { folder: tempfile::tempdir()? };
        for folder in ["home", "runtime", "repository"] {
            hms::store::make_private_folder(&world.at(folder))?;
        }
        std::fs::write(world.repository().join(".hms-ci.yml"), pipeline)?;
        for arguments in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "a pipeline"]] {
            succeed(world.command("git").args(arguments))?;
        }
        Ok(world)
    }

    /// A path in the world's folder.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The working tree.
    pub(crate) fn repository(&self) -> PathBuf {
        self.at("repository")
    }

    /// A program with this world's environment and nothing else, in the repository, with no terminal.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.at("home")).env("XDG_RUNTIME_DIR", self.at("runtime"));
        command.env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for (name, value) in [("NAME", "A Person"), ("EMAIL", "person@example.gov")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        command.current_dir(self.repository()).stdin(Stdio::null());
        command
    }

    /// `hms` with these arguments.
    pub(crate) fn hms(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(HMS);
        command.args(arguments);
        command
    }

    /// The log of a job's first attempt, in the run of this number.
    ///
    /// # Errors
    /// When there is no such run.
    pub(crate) fn log(&self, run: usize, job: &str) -> Answer<PathBuf> {
        let runs = self.repository().join(".git/hms/runs");
        let begins = format!("{run}-");
        let of_run = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins));
        let found = std::fs::read_dir(&runs)?.flatten().map(|entry| entry.path()).find(|path| of_run(path));
        Ok(found.ok_or_else(|| format!("run {run} is not there"))?.join("jobs").join(job).join("1/log"))
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it fails; with what it printed.
pub(crate) fn succeed(command: &mut Command) -> Answer<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(format!("{command:?} ended with {}: {}", output.status, said.trim()).into())
}
