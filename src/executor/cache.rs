//! `cache`: files kept beside the repository from one job for later ones, of other runs as well (GitLab Runner `shells/abstract.go`,
//! `commands/helpers/cache_archiver.go`). It makes jobs faster and decides nothing: whatever goes wrong here is a warning.
//!
//! ```text
//! cache/<key>/lock      held while the tree is read or replaced
//! cache/<key>/tree/     what was kept last
//! cache/<key>/files     what is in it, as artifacts.json
//! ```

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::artifacts::{self, ArtifactError, GoOn};
use super::mask::Secrets;
use super::spec::ArtifactSpec;
use crate::event::{AttemptId, When};
use crate::store::{Holder, Lock, chain, make_private_folder};

/// How long a cache that another job reads or writes is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cache of a job, variables already put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSpec {
    /// Its key, for people.
    pub key: String,
    /// The folder of its key.
    pub folder: PathBuf,
    /// The keys that are looked for when this one has nothing, with their folders.
    #[serde(default)]
    pub fallbacks: Vec<(String, PathBuf)>,
    /// Globs below the checkout.
    pub paths: Vec<String>,
    /// Whether everything that the commit did not bring is kept as well.
    #[serde(default)]
    pub untracked: bool,
    /// What the job does with it.
    pub policy: CachePolicy,
    /// After which end it is kept: `on_success`, `on_failure` or `always`.
    pub when: When,
}

/// GitLab's `cache:policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CachePolicy {
    /// It is put in place, and kept afterwards.
    PullPush,
    /// It is put in place.
    Pull,
    /// It is kept afterwards.
    Push,
}

/// Puts a cache into the checkout, under its key or the first of its other keys that has something. Says what came of it.
pub(super) fn restore(spec: &CacheSpec, holder: &Holder, checkout: &Path, go_on: GoOn<'_>) -> Result<String, ArtifactError> {
    let own = std::iter::once((&spec.key, &spec.folder));
    let others = spec.fallbacks.iter().map(|(key, folder)| (key, folder));
    for (key, folder) in own.chain(others) {
        if !folder.join("tree").is_dir() {
            continue;
        }
        let _held = hold(folder, holder)?;
        let count = artifacts::restore(&folder.join("tree"), checkout, &mut *go_on)?;
        return Ok(format!("cache: {count} files of `{key}` are in place"));
    }
    Ok(format!("cache: nothing is kept under `{}` yet", spec.key))
}

/// Keeps what the job left, in place of what was kept before. Nothing that matches: what was kept stays.
pub(super) fn keep(
    spec: &CacheSpec,
    attempt: (&AttemptId, &Holder),
    checkout: &Path,
    tracked: Option<&HashSet<PathBuf>>,
    secrets: &Secrets,
    go_on: GoOn<'_>,
) -> Result<(String, Vec<String>), ArtifactError> {
    let (attempt, holder) = attempt;
    let what = ArtifactSpec { paths: spec.paths.clone(), untracked: spec.untracked, ..ArtifactSpec::default() };
    let folder = &spec.folder;
    make_private_folder(folder).map_err(|error| broken("make the folder", folder, &error))?;
    let fresh = folder.join(format!("new-{attempt}"));
    let tracked = tracked.filter(|_| spec.untracked);
    let kept = artifacts::collect(&what, checkout, tracked, &fresh, &folder.join("files"), secrets, go_on);
    let kept = kept.inspect_err(|_| {
        let _ = fs::remove_dir_all(&fresh);
    })?;
    let warnings = kept.warnings.iter().map(|warning| warning.replacen("artifacts:", "cache:", 1)).collect();
    if kept.counts.files + kept.counts.links == 0 {
        let _ = fs::remove_dir_all(&fresh);
        return Ok((format!("cache: nothing to keep under `{}`", spec.key), warnings));
    }
    let _held = hold(folder, holder)?;
    let (tree, old) = (folder.join("tree"), folder.join(format!("old-{attempt}")));
    if tree.is_dir() {
        fs::rename(&tree, &old).map_err(ArtifactError::of("replace", &tree))?;
    }
    fs::rename(&fresh, &tree).map_err(ArtifactError::of("replace", &tree))?;
    let _ = fs::remove_dir_all(&old);
    Ok((format!("cache: {} files, {} bytes kept under `{}`", kept.counts.files, kept.counts.bytes, spec.key), warnings))
}

fn hold(folder: &Path, holder: &Holder) -> Result<Lock, ArtifactError> {
    let lock = folder.join("lock");
    Lock::take_within(&lock, holder, PATIENCE).map_err(|error| broken("take", &lock, &error))
}

fn broken(action: &'static str, path: &Path, error: &dyn std::error::Error) -> ArtifactError {
    ArtifactError::of(action, path)(std::io::Error::other(chain(error)))
}
