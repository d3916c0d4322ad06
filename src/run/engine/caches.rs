//! A job's caches, ready for its keeper: keys worked out, variables put in (GitLab `pipeline/seed/build/cache.rb`, `app/models/ci/build.rb`).

use std::collections::BTreeMap;
use std::path::Path;

use crate::event::{Digest, Revision, When};
use crate::executor::{CachePolicy, CacheSpec};
use crate::pipeline::{ArtifactsWhen, Cache, CacheKey, KeyOf, expand_for_runner};
use crate::policy::is_like;
use crate::repo::Repository;

/// How much of a key stands in its folder's name; its digest makes that one of its own.
const SHOWN_CHARACTERS: usize = 60;

/// Whose caches they are.
pub(super) struct Cached<'a> {
    pub(super) repository: &'a Repository,
    pub(super) revision: &'a Revision,
    /// The variables of the job.
    pub(super) variables: &'a BTreeMap<String, String>,
    /// Whether its ref is protected: what others push is not put in place there.
    pub(super) protected: bool,
    /// The folder of all caches.
    pub(super) folder: &'a Path,
    /// Values that nothing on the disk may hold.
    pub(super) masks: &'a [String],
}

impl Cached<'_> {
    /// The caches of a job.
    pub(super) fn specify(&self, caches: &[Cache]) -> Vec<CacheSpec> {
        caches.iter().map(|cache| self.cache(cache)).collect()
    }

    fn cache(&self, cache: &Cache) -> CacheSpec {
        let full = |text: &String| expand_for_runner(text, self.variables);
        let suffix = if self.protected && !cache.unprotect { "protected" } else { "non_protected" };
        let key = match &cache.key {
            CacheKey::Text(text) => full(text),
            CacheKey::Files { files, prefix, of } => {
                let digest = self.digest(files, *of).unwrap_or_else(|| "default".to_owned());
                let prefix = prefix.as_ref().map(full).filter(|prefix| !prefix.is_empty());
                prefix.map_or(digest.clone(), |prefix| format!("{prefix}-{digest}"))
            }
        };
        // What the runner takes when a key comes out empty.
        let named = |name: &str| self.variables.get(name).cloned().unwrap_or_default();
        let key = if key.is_empty() { format!("{}/{}", named("CI_JOB_NAME"), named("CI_COMMIT_REF_NAME")) } else { key };
        let mut fallbacks: Vec<String> = cache.fallback_keys.iter().map(full).map(|key| format!("{key}-{suffix}")).collect();
        // It may not reach for what only protected refs have pushed.
        fallbacks.extend(Some(named("CACHE_FALLBACK_KEY")).filter(|key| !key.is_empty() && !key.ends_with("-protected")));
        let key = format!("{key}-{suffix}");
        CacheSpec {
            folder: self.folder_of(&key),
            fallbacks: fallbacks.into_iter().map(|key| (key.clone(), self.folder_of(&key))).collect(),
            key,
            paths: cache.paths.iter().map(full).collect(),
            untracked: cache.untracked,
            policy: match cache.policy.as_ref().map(full).as_deref() {
                Some("pull") => CachePolicy::Pull,
                Some("push") => CachePolicy::Push,
                Some(_) | None => CachePolicy::PullPush,
            },
            when: match cache.when {
                ArtifactsWhen::OnSuccess => When::OnSuccess,
                ArtifactsWhen::OnFailure => When::OnFailure,
                ArtifactsWhen::Always => When::Always,
            },
        }
    }

    /// What the files, or the last commits that changed them, come to; none where none of them is there. What cannot be read is not there:
    /// a cache decides nothing.
    fn digest(&self, files: &[String], of: KeyOf) -> Option<String> {
        let mut found = Vec::new();
        for file in files.iter().map(|file| expand_for_runner(file, self.variables)) {
            match of {
                KeyOf::Contents => {
                    let read = |path: &String| self.repository.read_file_at(self.revision, Path::new(path)).ok().flatten();
                    found.extend(self.paths(&file).iter().filter_map(read).map(|bytes| Digest::of(&bytes).to_string()));
                }
                KeyOf::Commits => {
                    let changed = self.repository.last_change_of(self.revision, Path::new(&file)).ok().flatten();
                    found.extend(changed.map(|revision| revision.as_str().to_owned()));
                }
            }
        }
        found.sort();
        found.dedup();
        let all = Digest::of(found.join("-").as_bytes());
        (!found.is_empty()).then(|| all.as_str().trim_start_matches("sha256:").chars().take(40).collect())
    }

    /// A path, or what a `*` in it stands for: any characters, `/` among them (`search_files_by_wildcard_path`).
    fn paths(&self, file: &str) -> Vec<String> {
        if !file.contains('*') {
            return vec![file.to_owned()];
        }
        let all = self.repository.paths_at(self.revision).unwrap_or_default();
        all.into_iter().filter(|path| is_like(file, path)).collect()
    }

    fn folder_of(&self, key: &str) -> std::path::PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        // A folder's name is on the disk, where no masked value is.
        let is_secret = self.masks.iter().any(|secret| key.contains(secret.as_str()));
        let shown = if is_secret { "masked".to_owned() } else { key.chars().take(SHOWN_CHARACTERS).map(plain).collect() };
        let digest = Digest::of(key.as_bytes());
        let digest: String = digest.as_str().trim_start_matches("sha256:").chars().take(16).collect();
        self.folder.join(format!("{shown}-{digest}"))
    }
}
