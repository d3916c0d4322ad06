//! What stands under `.hms`: policy, and the two things that are none.

use super::table::Table;
use super::{Period, Policy, Problem, known, reading};
use crate::document::Node;
use crate::event::AppName;

/// The settings of a commit's `.hms`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// What starts a run by itself; none when nothing does.
    pub watch: Option<Watch>,
    /// The command that starts a release.
    pub start: Option<String>,
    /// What an image that hms makes of a release is made of; none when jobs push images.
    pub image: Option<Image>,
    /// All the rest: what this commit would like to be in force.
    pub policy: Policy,
}

/// An image that hms makes: the release's files as one layer on a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image below, by its name.
    pub base: String,
    /// What is run, with its arguments; empty to leave it to the base.
    pub entrypoint: Vec<String>,
    /// Where the files go, which is also where it is started.
    pub folder: String,
    /// Which of the base's images, as `OS/ARCHITECTURE`.
    pub platform: String,
}

/// Branches that start runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Their names, or patterns (`release/*`).
    pub branches: Vec<String>,
    /// Which of their refs.
    pub on: WatchOn,
    /// How often the remote is asked, when it is asked at all.
    pub fetch: Option<Period>,
}

/// Which ref of a branch is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchOn {
    /// The branch here moved.
    Commit,
    /// The remote-tracking ref moved.
    Push,
}

impl Settings {
    /// Reads the value of the key `.hms`. Without such a key [`Settings::default`] holds.
    ///
    /// # Errors
    /// At the first key that is not known and the first value that cannot be meant, with its place.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let table = Table::of(node, ".hms", &known::SETTINGS)?;
        table.must("policy_format", table.text("policy_format")?.is_none_or(|format| format == "1"), "this program knows format 1 only")?;
        Ok(Self { watch: watch(&table)?, start: command(&table, "start")?, image: image(&table)?, policy: reading::policy(&table)? })
    }

    /// The app's name, when it is given.
    #[must_use]
    pub fn app(&self) -> Option<&AppName> {
        self.policy.app.as_ref()
    }
}

fn image(table: &Table<'_>) -> Result<Option<Image>, Problem> {
    if table.node("image").is_none() {
        return Ok(None);
    }
    let image = table.table("image", &known::IMAGE)?;
    let base = image.text("base")?.unwrap_or_default();
    image.must("base", !base.is_empty() && !base.contains(char::is_whitespace) && !base.contains("://"), "is no image name")?;
    let entrypoint: Vec<String> = image.parsed_list("entrypoint")?;
    let is_line = matches!(entrypoint.as_slice(), [only] if only.contains(char::is_whitespace));
    image.must("entrypoint", !is_line, "is run without a shell: write a list, as [node, server.js]")?;
    image.must("entrypoint", entrypoint.first().is_none_or(|program| !program.is_empty()), "names no program")?;
    let folder = image.text("folder")?.unwrap_or_else(|| "/app".to_owned());
    image.must("folder", folder.starts_with('/') && !folder.split('/').any(|part| part == ".."), "write an absolute path")?;
    let platform = image.text("platform")?.unwrap_or_else(|| "linux/amd64".to_owned());
    image.must(
        "platform",
        platform.split_once('/').is_some_and(|(os, rest)| !os.is_empty() && !rest.is_empty()),
        "write OS/ARCHITECTURE",
    )?;
    Ok(Some(Image { base, entrypoint, folder, platform }))
}

fn command(table: &Table<'_>, key: &str) -> Result<Option<String>, Problem> {
    let text = table.text(key)?;
    table.must(key, text.as_ref().is_none_or(|text| !text.trim().is_empty()), "is empty")?;
    Ok(text)
}

fn watch(table: &Table<'_>) -> Result<Option<Watch>, Problem> {
    if table.node("watch").is_none() {
        return Ok(None);
    }
    let watch = table.table("watch", &known::WATCH)?;
    let branches: Vec<String> = watch.parsed_list("branches")?;
    watch.must("branches", !branches.is_empty(), "name at least one branch")?;
    watch.must("branches", branches.iter().all(|branch| is_branch(branch)), "has a name that no branch can have")?;
    let on = watch.choice("on", &[("commit", WatchOn::Commit), ("push", WatchOn::Push)])?.unwrap_or(WatchOn::Commit);
    let fetch: Option<Period> = watch.parsed("fetch")?;
    watch.must("fetch", fetch.is_none_or(|fetch| fetch >= Period::from_seconds(10)), "at least 10s, or the remote is flooded")?;
    watch.must("fetch", fetch.is_none() || on == WatchOn::Push, "only `on: push` looks at the remote")?;
    Ok(Some(Watch { branches, on, fetch }))
}

fn is_branch(name: &str) -> bool {
    let odd = |one: char| one.is_whitespace() || matches!(one, '~' | '^' | ':' | '\\');
    !name.is_empty() && !name.starts_with(['-', '/']) && !name.contains("..") && !name.contains(odd)
}
