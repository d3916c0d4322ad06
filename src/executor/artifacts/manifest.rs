//! `artifacts.json`, format 1: what an attempt handed on, and what a download of it is called. A cache has the same beside its tree.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::executor::error::ExecutorError;
use crate::executor::record::ArtifactCounts;
use crate::store::read_if_there;

/// What is in a tree of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub format: u32,
    /// What `artifacts: name` calls it, variables put in and secrets masked; none when the job says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In numbers.
    pub counts: ArtifactCounts,
    /// Files and links, in the order of their paths.
    pub entries: Vec<Entry>,
}

/// A file or a link of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below the checkout; bytes that are no UTF-8 are replaced and secrets masked, the tree has the real name.
    pub path: String,
    /// A link's text; none for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Of a file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Manifest {
    /// The name of a file that holds all of it, without its ending: the last part of `artifacts: name`, as GitLab Runner takes it
    /// (`commands/helpers/artifacts_uploader.go`), else `artifacts`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or_default().trim_end_matches('/');
        let last = name.rsplit('/').next().unwrap_or_default();
        if ["", ".", ".."].contains(&last) { "artifacts" } else { last }
    }
}

/// What an attempt handed on, by its folder; none when it handed on nothing.
///
/// # Errors
/// When the manifest is there and cannot be read.
pub fn kept_artifacts(attempt_folder: &Path) -> Result<Option<Manifest>, ExecutorError> {
    let path = attempt_folder.join("artifacts.json");
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| ExecutorError::BadRecord { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_called_by_the_last_part_of_its_name() {
        let called = |name: Option<&str>| {
            let manifest = Manifest { format: 1, name: name.map(str::to_owned), counts: ArtifactCounts::default(), entries: Vec::new() };
            manifest.file_name().to_owned()
        };
        let table = [
            (None, "artifacts"),
            (Some("a-b"), "a-b"),
            (Some("feature/one"), "one"),
            (Some("a/"), "a"),
            (Some("/"), "artifacts"),
            (Some(".."), "artifacts"),
            (Some(""), "artifacts"),
        ];
        for (name, expected) in table {
            assert_eq!(called(name), expected, "{name:?}");
        }
    }
}
