//! Watching refs: a run for each commit that a watched branch moves to. Two watches start one run (the registry sees to it).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::event::Revision;
use crate::policy::WatchOn;
use crate::repo::{RefKind, Repository, Resolved};
use crate::store::Changes;

use super::arguments::RunArguments;
use super::environment::Environment;
use super::failure::Failure;
use super::pipeline_file::read_settings;
use super::run_new::{Cause, Clone, Waking, make_run, wake};

/// A ref is written in steps; its last step is looked at.
const SETTLE: Duration = Duration::from_millis(50);

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    branches: Vec<String>,
    kind: RefKind,
    fetch: Option<Duration>,
}

impl Watch {
    /// In words.
    pub(crate) fn describe(&self) -> String {
        let which = match self.kind {
            RefKind::Local => "commits on",
            RefKind::Tracking => "pushes to",
        };
        format!("{which} {}", self.branches.join(", "))
    }

    /// The refs' names for people.
    pub(crate) fn refs(&self) -> String {
        let remote = match self.kind {
            RefKind::Local => "",
            RefKind::Tracking => "origin/",
        };
        self.branches.iter().map(|branch| format!("{remote}{branch}")).collect::<Vec<_>>().join(", ")
    }
}

/// What `.hms` of HEAD wants watched; the current branch when it wants nothing and a person asked.
pub(crate) fn plan(clone: &Clone, asked: bool) -> Result<Option<Watch>, Failure> {
    let file = clone.repository.head()?.and_then(|head| clone.repository.read_file_at(&head, Path::new(".hms-ci.yml")).ok().flatten());
    let settings = file.and_then(|bytes| read_settings(".hms-ci.yml", &bytes, &mut std::io::sink()).ok());
    if let Some(watch) = settings.and_then(|settings| settings.watch) {
        let kind = match watch.on {
            WatchOn::Commit => RefKind::Local,
            WatchOn::Push => RefKind::Tracking,
        };
        return Ok(Some(Watch { branches: watch.branches, kind, fetch: watch.fetch.map(crate::policy::Period::duration) }));
    }
    let branch = if asked { clone.repository.head_branch()? } else { None };
    Ok(branch.map(|branch| Watch { branches: vec![branch], kind: RefKind::Local, fetch: None }))
}

/// Watches until `tell` says that nobody listens. It gets a line for each run that was started, or why there is none.
pub(crate) fn run(
    environment: &Environment,
    clone: &Clone,
    watch: &Watch,
    tell: &mut dyn FnMut(Result<String, String>) -> bool,
) -> Result<(), Failure> {
    let changes = Changes::new()?;
    let mut known = clone.repository.refs(watch.kind, &watch.branches)?;
    loop {
        // Folders first, then what is in them: a ref that moves in between is seen now, one that moves later wakes the wait.
        for folder in folders(&clone.repository, watch.kind) {
            let _ = changes.watch(&folder);
        }
        let found = clone.repository.refs(watch.kind, &watch.branches)?;
        for (name, revision) in &found {
            let before = known.iter().find(|(known, _)| known == name).map(|(_, revision)| revision);
            if before != Some(revision) && !tell(start(environment, clone, name, revision, before)) {
                return Ok(());
            }
        }
        known = found;
        if !changes.wait(watch.fetch)
            && let Err(why) = fetch(&clone.repository)
            && !tell(Err(why))
        {
            return Ok(());
        }
        std::thread::sleep(SETTLE);
        changes.drain();
    }
}

/// Looks for pushes, as `git fetch` does for the person whose repository it is; it never asks anybody anything.
fn fetch(repository: &Repository) -> Result<(), String> {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(repository.common_dir()).args(["fetch", "--quiet", "origin"]);
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true").env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20");
    let done = git.stdin(Stdio::null()).output().map_err(|error| format!("git cannot be started: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let last = String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or("it said nothing").to_owned();
    Err(format!("git fetch failed: {last}"))
}

/// What a commit's message says when no pipeline is wanted for it, in any case (GitLab's `lib/gitlab/ci/pipeline/chain/skip.rb`).
const SKIPS: [&str; 6] = ["[ci skip]", "[ci_skip]", "[ci-skip]", "[skip ci]", "[skip_ci]", "[skip-ci]"];

/// The words by which a commit wants no pipeline, if it does.
fn skipped_by(message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    SKIPS.into_iter().find(|words| message.contains(words))
}

fn start(environment: &Environment, clone: &Clone, name: &str, revision: &Revision, before: Option<&Revision>) -> Result<String, String> {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/remotes/origin/")).unwrap_or(name);
    if let Some(words) = clone.repository.commit_facts(revision).ok().and_then(|facts| skipped_by(&facts.message)) {
        return Ok(format!("{short} {}: no run: its message says {words}; hms run --ref {0} runs it all the same", revision.short()));
    }
    let resolved = Resolved { revision: revision.clone(), ref_name: Some(short.to_owned()), full_ref: Some(name.to_owned()) };
    let arguments = RunArguments { file: ".hms-ci.yml".to_owned(), ..RunArguments::default() };
    let mut said = Vec::new();
    let made = make_run(environment, clone, &arguments, &resolved, &Cause::Watched { name, before }, &mut said);
    let done = made.and_then(|run| wake(environment, &run.folder, &Waking { linger: Some(true), ..Waking::default() }).map(|_| run));
    match done {
        Ok(run) if run.already => {
            Ok(format!("{short} {}: run {} is of this commit already; hms run starts another", revision.short(), run.number))
        }
        Ok(run) => Ok(format!("{short} {}: run {}", revision.short(), run.number)),
        Err(failure) => Err(format!("{short} {}: no run: {}", revision.short(), failure.with_first_of(&said).in_one_line())),
    }
}

/// The folders in which a watched ref can move: the loose refs, and the file of packed ones.
fn folders(repository: &Repository, kind: RefKind) -> Vec<PathBuf> {
    let common = repository.common_dir();
    let root = match kind {
        RefKind::Local => common.join("refs/heads"),
        RefKind::Tracking => common.join("refs/remotes/origin"),
    };
    let below = walkdir::WalkDir::new(root).max_depth(8).into_iter().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = below.filter(|entry| entry.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect();
    found.push(common);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitLab's pattern is `/\[(ci[ _-]skip|skip[ _-]ci)\]/i`, anywhere in the message.
    #[test]
    fn a_message_says_that_no_pipeline_is_wanted() {
        for message in ["x [skip ci]", "[CI Skip] x", "title\n\nbody [ci-skip]", "[skip_ci]"] {
            assert!(skipped_by(message).is_some(), "{message}");
        }
        for message in ["skip ci", "[skip  ci]", "[no ci]", "[skipci]", ""] {
            assert_eq!(skipped_by(message), None, "{message}");
        }
    }
}
