//! A folder with git repositories in it, and git with a fixed environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hms::event::Revision;
use hms::repo::Repository;

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
}

impl World {
    /// A repository at `repo` with no commit.
    pub(super) fn empty() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("repo")).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    /// A repository with one commit that holds `readme`.
    pub(super) fn with_commit() -> Self {
        let world = Self::empty();
        world.commit("readme", "hello\n", "feat: begin");
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn repo(&self) -> Repository {
        Repository::discover(&self.path("repo")).unwrap()
    }

    /// Writes a file, commits everything, and says which commit that is.
    pub(super) fn commit(&self, file: &str, text: &str, message: &str) -> Revision {
        let path = self.path("repo").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Runs git in `repo` and gives its first output without the line's end.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.path("repo"), arguments)
    }
}

/// Runs git in `folder`; it must succeed.
pub(super) fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = git(folder, arguments);
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Runs git in `folder`.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("TZ", "UTC"), ("LC_ALL", "C")])
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org"), ("GIT_AUTHOR_DATE", "2026-11-24T16:00:00+0100")])
        .envs([("GIT_COMMITTER_NAME", "Bo"), ("GIT_COMMITTER_EMAIL", "bo@example.org"), ("GIT_COMMITTER_DATE", "2026-11-24T16:02:11+0100")])
        .output()
        .unwrap()
}
