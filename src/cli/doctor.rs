//! `hms doctor`: what hms finds on this machine, and what is missing. It changes nothing and waits for nobody.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::deploy::AnyTarget;
use crate::event::{AppName, EnvironmentName};
use crate::ledger::{LedgerPlaces, entries, head, unresolved};
use crate::policy::{Placed, resolve_environment};
use crate::rollout::wired::cluster_set;
use crate::store::{Places, holder_of, now};
use crate::text::plain;

use super::arguments::Output;
use super::environment::{Environment, operator, operator_paths, variable};
use super::failure::{Exit, Failure};
use super::ledger_verb::local_apps;
use super::pipeline_file::read_file;
use super::place::targets;
use super::policy_verb::Commits;
use super::run_new::Clone;

/// The longest path that a socket can be bound to, in bytes (`sun_path` without its end).
const SOCKET_PATH_MOST: usize = 107;
/// Below this much free space a run may fail: 512 MiB.
const FREE_BYTES: u64 = 512 << 20;
/// How long a cluster may take to say what may be done there.
const CLUSTER: Duration = Duration::from_secs(10);
/// Before this second no hms was built: 2025-01-01.
const EARLIEST: i64 = 1_735_689_600;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// As it should be.
    Good,
    /// Something will not work, or not as well.
    Warned,
    /// Nothing works without it.
    Missing,
}

impl Standing {
    fn sign(self) -> char {
        match self {
            Self::Good => '✔',
            Self::Warned => '⚠',
            Self::Missing => '✘',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warned => "warning",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
struct Found {
    name: String,
    standing: Standing,
    what: String,
    hint: Option<String>,
}

fn found(name: &str, standing: Standing, what: impl Into<String>) -> Found {
    Found { name: name.to_owned(), standing, what: what.into(), hint: None }
}

impl Found {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Looks at everything and tells it: 3 when something that nothing works without is missing.
pub(crate) fn doctor(at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let mut all = programs();
    all.extend(path_entries());
    match Environment::find() {
        Err(failure) => all.push(told("places", Standing::Missing, &failure)),
        Ok(environment) => {
            all.extend(places(&environment.places));
            all.push(ledger(&environment.places));
            all.extend(local_targets(&environment.places));
            all.extend(clusters(at, &environment));
        }
    }
    all.push(operators_file());
    all.extend(repository(at));
    all.push(terminal());
    all.push(clock());
    print(&all, output)
}

fn print(all: &[Found], output: Output) -> Result<u8, Failure> {
    let usable = all.iter().all(|one| one.standing != Standing::Missing);
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => {
            let rows: Vec<_> = all
                .iter()
                .map(|one| json!({"name": one.name, "standing": one.standing.word(), "what": one.what, "hint": one.hint}))
                .collect();
            writeln!(out, "{}", json!({"format": 1, "usable": usable, "program": env!("CARGO_PKG_VERSION"), "found": rows}))?;
        }
        Output::Text => {
            for one in all {
                writeln!(out, "{} {}: {}", one.standing.sign(), plain(&one.name), plain(&one.what))?;
                if let Some(hint) = &one.hint {
                    writeln!(out, "    hint: {}", plain(hint))?;
                }
            }
        }
    }
    Ok(if usable { 0 } else { Exit::NotCarriedOut.code() })
}

fn told(name: &str, standing: Standing, failure: &Failure) -> Found {
    let mut text = Vec::new();
    failure.report(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines().map(|line| line.trim_start_matches("Error: ").to_owned());
    let what = lines.next().unwrap_or_default();
    let (hints, causes): (Vec<String>, Vec<String>) = lines.partition(|line| line.starts_with("Hint: "));
    let what = causes.iter().fold(what, |what, cause| format!("{what}: {}", cause.trim_start_matches("Caused by: ")));
    let hint = hints.first().map(|hint| hint.trim_start_matches("Hint: ").to_owned());
    Found { name: name.to_owned(), standing, what, hint }
}

/// The programs that hms or jobs call. git itself is not called: hms reads repositories without it; a person needs it.
fn programs() -> Vec<Found> {
    let one = |program: &str, missing: Standing, without: &str| match in_path(program) {
        Some(path) => found(program, Standing::Good, path.display().to_string()),
        None => found(program, missing, format!("not on the PATH: {without}")),
    };
    let engine = ["docker", "podman", "nerdctl"].into_iter().find_map(in_path);
    vec![
        one("git", Standing::Warned, "hms reads repositories without it, but nobody can commit").hint_if_bad("install git"),
        one("bash", Standing::Missing, "jobs run in it").hint_if_bad("install bash"),
        one("node", Standing::Good, "only pipelines that call it need it"),
        match engine {
            Some(path) => {
                found("container engine", Standing::Good, format!("{} (not used yet: jobs run in this host's shell)", path.display()))
            }
            None => found("container engine", Standing::Good, "none found, and none is used yet: jobs run in this host's shell"),
        },
    ]
}

impl Found {
    fn hint_if_bad(self, hint: &str) -> Self {
        if self.standing == Standing::Good { self } else { self.hint(hint) }
    }
}

/// The PATH's folders, in its order.
fn path_folders() -> Vec<PathBuf> {
    variable("PATH").map(|path| std::env::split_paths(OsStr::new(&path)).collect()).unwrap_or_default()
}

fn in_path(program: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    path_folders().into_iter().map(|folder| folder.join(program)).find(runs)
}

/// Folders of the PATH into which others can put programs that jobs would run.
fn path_entries() -> Vec<Found> {
    let mut bad = Vec::new();
    for folder in path_folders() {
        if !folder.is_absolute() {
            let what = format!("`{}` is relative: it means another folder in each checkout", folder.display());
            bad.push(found("PATH", Standing::Warned, what).hint("take it out of PATH"));
        } else if let Ok(entry) = std::fs::metadata(&folder).map(|found| found.mode())
            && entry & 0o002 != 0
        {
            let sticky = if entry & 0o1000 == 0 { "" } else { ", if sticky" };
            let what = format!("others can write into {} (mode {:o}{sticky})", folder.display(), entry & 0o7777);
            bad.push(found("PATH", Standing::Warned, what).hint(format!("chmod o-w {}, or take it out of PATH", folder.display())));
        }
    }
    if bad.is_empty() {
        bad.push(found("PATH", Standing::Good, "no folder of it can be written to by others"));
    }
    bad
}

fn places(places: &Places) -> Vec<Found> {
    let folders = [("state", &places.state), ("runtime", &places.runtime), ("data", &places.data)];
    let mut all: Vec<Found> = folders.into_iter().map(|(name, folder)| place(name, folder)).collect();
    let length = places.socket(Path::new("/")).as_os_str().len();
    let what = format!("{length} of {SOCKET_PATH_MOST} bytes");
    all.push(if length <= SOCKET_PATH_MOST {
        found("socket path", Standing::Good, what)
    } else {
        found("socket path", Standing::Missing, format!("{what}: no socket can be bound there"))
            .hint("set XDG_RUNTIME_DIR to a shorter path")
    });
    all
}

fn place(name: &str, folder: &Path) -> Found {
    let mode = match std::fs::metadata(folder) {
        Ok(found) => found.mode() & 0o7777,
        Err(error) => return found(name, Standing::Missing, format!("{}: {error}", folder.display())),
    };
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err() {
        let what = format!("{} cannot be written to (mode {mode:o})", folder.display());
        return found(name, Standing::Missing, what).hint("set XDG_STATE_HOME, XDG_DATA_HOME and XDG_RUNTIME_DIR to folders of your own");
    }
    let free = rustix::fs::statvfs(folder).map(|space| space.f_bavail.saturating_mul(space.f_frsize));
    match free {
        Ok(free) if free < FREE_BYTES => {
            let what = format!("{} (mode {mode:o}), only {} MiB free", folder.display(), free >> 20);
            // A full disk holds back deploys, whose ledger entry comes first; rollbacks go on unrecorded.
            found(name, Standing::Warned, what).hint("make room: deploys need a ledger entry, and runs need checkouts")
        }
        Ok(free) => found(name, Standing::Good, format!("{} (mode {mode:o}), {:.1} GiB free", folder.display(), gib(free))),
        Err(error) => found(name, Standing::Warned, format!("{} (mode {mode:o}), free space unknown: {error}", folder.display())),
    }
}

fn gib(bytes: u64) -> f64 {
    let tenths = u32::try_from(bytes.saturating_mul(10) >> 30).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}

/// A quick look: the tree is `hms ledger verify`'s to check.
fn ledger(places: &Places) -> Found {
    let places = LedgerPlaces::of(places);
    match (head(&places), entries(&places)) {
        (Err(error), _) | (_, Err(error)) => {
            found("ledger", Standing::Missing, error.to_string()).hint("no ledger, no deploy: hms ledger verify")
        }
        (Ok(None), Ok(all)) if all.is_empty() => found("ledger", Standing::Good, "none yet: the first control action begins it"),
        (Ok(None), Ok(_)) => found("ledger", Standing::Warned, "its head is gone").hint("hms ledger verify"),
        (Ok(Some(head)), Ok(all)) => {
            let open = unresolved(&all).len();
            let here = u64::try_from(all.len()).unwrap_or(u64::MAX);
            if here < head.size {
                let what = format!("its head was written over {} entries, and {here} are here", head.size);
                found("ledger", Standing::Warned, what).hint("hms ledger verify")
            } else if open > 0 {
                let what = format!("{here} entries, {open} of them begun and not ended");
                found("ledger", Standing::Warned, what).hint("hms ledger log shows them as UNRESOLVED")
            } else {
                found("ledger", Standing::Good, format!("{here} entries"))
            }
        }
    }
}

/// The clusters that the repository's commit names, and what may be done there with this kubeconfig.
fn clusters(at: Option<&Path>, environment: &Environment) -> Vec<Found> {
    let Ok(commits) = Clone::find(at).and_then(|clone| Commits::find(&clone, "HEAD")) else { return Vec::new() };
    let names = commits.policy.environments.keys().cloned().chain([EnvironmentName::prod()]);
    let own: BTreeSet<EnvironmentName> = names.map(|name| resolve_environment(&commits.policy, &name).environment).collect();
    let on_cluster = |name: &EnvironmentName| {
        let placed = resolve_environment(&commits.policy, name);
        cluster_set(&commits.app, &commits.policy, &placed.settings).map(|_| placed)
    };
    own.iter().filter_map(on_cluster).map(|placed| cluster(environment, &commits, &placed)).collect()
}

fn cluster(environment: &Environment, commits: &Commits, placed: &Placed) -> Found {
    let name = format!("cluster of {}", placed.environment);
    let looked = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::from).and_then(|runtime| {
        let asked = async {
            let target = targets(environment, &commits.app).of(&commits.policy, placed).await?;
            let AnyTarget::Kubernetes(target) = target else { return Ok(None) };
            Ok::<_, Failure>(Some(target.rights().await?))
        };
        let late = |_| Failure::new(Exit::NotCarriedOut, format!("no answer within {} s", CLUSTER.as_secs()));
        runtime.block_on(async { tokio::time::timeout(CLUSTER, asked).await.map_err(late)? })
    });
    let rights = match looked {
        Ok(Some(answer)) => answer,
        Ok(None) => return found(&name, Standing::Good, "none"),
        Err(failure) => return told(&name, Standing::Warned, &failure),
    };
    let apply = "hms doctor --rbac USER | kubectl apply -f - gives exactly what is needed";
    if !rights.missing.is_empty() {
        return found(&name, Standing::Warned, format!("{}: this credential may not {}", rights.place, rights.missing.join(", ")))
            .hint(apply);
    }
    if !rights.beyond.is_empty() {
        let what = format!("{}: this credential may more than hms ever needs: {}", rights.place, rights.beyond.join(", "));
        return found(&name, Standing::Warned, what).hint(format!("deploy with a user of hms's own: {apply}"));
    }
    found(&name, Standing::Good, format!("{}, with the rights that a deploy needs and none beyond", rights.place))
}

fn local_targets(places: &Places) -> Vec<Found> {
    let apps = match local_apps(places) {
        Ok(apps) => apps,
        Err(error) => return vec![found("local target", Standing::Warned, error.to_string())],
    };
    if apps.is_empty() {
        return vec![found("local target", Standing::Good, "nothing was deployed to this machine yet")];
    }
    let one = |(app, folder): (String, PathBuf)| {
        let name = format!("local target {app}");
        if app.parse::<AppName>().is_err() {
            return found(&name, Standing::Warned, format!("{} is no app's folder", folder.display()));
        }
        match holder_of(&folder.join("lock")) {
            Ok(Some(holder)) => found(&name, Standing::Good, format!("its supervisor lives (pid {})", holder.process.pid))
                .hint(format!("a canary without users learns nothing: hms local load --app {app} sends synthetic requests")),
            Ok(None) => found(&name, Standing::Warned, "its supervisor does not run: nothing serves users")
                .hint(format!("hms-deploy status --app {app} says why, and what brings it back")),
            Err(error) => found(&name, Standing::Warned, error.to_string()),
        }
    };
    apps.into_iter().map(one).collect()
}

fn operators_file() -> Found {
    let there: Vec<String> = operator_paths().into_iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
    match super::environment::operator() {
        Err(failure) => told("operator's file", Standing::Missing, &failure),
        Ok(_) if there.is_empty() => found("operator's file", Standing::Good, "none: no floors"),
        Ok(_) => found("operator's file", Standing::Good, there.join(", ")),
    }
}

/// The repository here, where there is one; none is no fault of the machine.
fn repository(at: Option<&Path>) -> Vec<Found> {
    let clone = match Clone::find(at) {
        Ok(clone) => clone,
        Err(failure) => return vec![told("repository", Standing::Warned, &failure)],
    };
    let here = clone.repository.work_dir().unwrap_or_else(|| clone.repository.common_dir());
    let mut all = vec![match clone.repository.head() {
        Ok(Some(revision)) => found("repository", Standing::Good, format!("{} at {}", here.display(), revision.short())),
        Ok(None) => found("repository", Standing::Warned, format!("{} has no commit yet", here.display())).hint("git add -A && git commit"),
        Err(error) => told("repository", Standing::Warned, &error.into()),
    }];
    // Checkouts and logs lie there, on a disk that may be another than STATE's.
    let kept = clone.repository.common_dir();
    let runs = place("runs", &kept);
    if runs.standing != Standing::Good {
        all.push(runs);
    }
    let expired = crate::run::expired(&clone.folder, now());
    if !expired.is_empty() {
        let named: Vec<String> = expired.iter().map(|gone| format!("{} of run {}", gone.job, gone.number)).collect();
        all.push(found("artifacts", Standing::Good, format!("expired, and the next run does away with them: {}", named.join(", "))));
    }
    let head = clone.repository.head().ok().flatten();
    let bytes = head.and_then(|revision| clone.repository.read_file_at(&revision, Path::new(".hms-ci.yml")).ok().flatten());
    let Some(bytes) = bytes else {
        all.push(found(".hms-ci.yml", Standing::Warned, "the commit has none: there is nothing to run").hint("write one, and commit it"));
        return all;
    };
    match whole_file(&clone, &bytes) {
        Err(failure) => {
            let mut one = told(".hms-ci.yml", Standing::Warned, &failure);
            one.hint = Some("hms validate --ref HEAD says what is wrong".to_owned());
            all.push(one);
        }
        Ok(file) => {
            all.push(found(".hms-ci.yml", Standing::Good, "the commit's can be run"));
            all.push(match &file.settings.watch {
                None => found("watch", Standing::Good, "no `watch`: runs start by `hms run`, or the console's key `s`"),
                Some(watch) => found("watch", Standing::Good, format!("branches {}", watch.branches.join(", "))),
            });
        }
    }
    all
}

/// HEAD's pipeline, with what it includes.
fn whole_file(clone: &Clone, bytes: &[u8]) -> Result<super::pipeline_file::PipelineFile, Failure> {
    let repository = &clone.repository;
    let Some(head) = repository.head()? else { return Err(Failure::new(super::failure::Exit::Usage, "there is no commit")) };
    let branch = repository.head_branch()?;
    let predefined = super::look::variables(repository, &head, branch.map(crate::pipeline::Reference::Branch), ".hms-ci.yml");
    let inputs = crate::pipeline::PlanInputs { predefined, ..Default::default() };
    let includes = operator()?.includes;
    let files = super::commit_files::CommitFiles::of(repository, &head, &includes);
    let around = crate::pipeline::Surroundings { files: &files, inputs: &inputs, path: ".hms-ci.yml" };
    read_file(bytes, crate::pipeline::ReadOptions::default(), &around, &mut std::io::sink())
}

fn terminal() -> Found {
    let mut words = Vec::new();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let term = variable("TERM");
    words.push(format!("TERM={}", term.as_deref().unwrap_or("unset")));
    if let Some(colours) = variable("COLORTERM") {
        words.push(format!("COLORTERM={colours}"));
    }
    if variable("NO_COLOR").is_some() {
        words.push("NO_COLOR is set: no colour is used".to_owned());
    }
    if variable("SSH_CONNECTION").is_some() {
        words.push("over SSH".to_owned());
    }
    if variable("CI").is_some() {
        words.push("CI is set: nothing asks, and no canary is watched at a gate".to_owned());
    }
    if !is_terminal {
        words.push("standard input or output is no terminal".to_owned());
    }
    let what = words.join(", ");
    match term.as_deref() {
        None | Some("dumb") if is_terminal => found("terminal", Standing::Warned, what)
            .hint("the console needs a TERM such as xterm-256color; without a screen: hms run --headless"),
        _ => found("terminal", Standing::Good, what),
    }
}

fn clock() -> Found {
    let time = now();
    let what = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    if time.timestamp() < EARLIEST {
        let what = format!("{what} is before this program was made: times in the ledger would be wrong");
        return found("clock", Standing::Warned, what).hint("set the clock, or let NTP do it");
    }
    found("clock", Standing::Good, what)
}
