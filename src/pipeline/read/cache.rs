//! `cache`: one, or up to four.

use super::artifacts::WHEN;
use super::fields::{Context, shorten};
use crate::document::{Node, Place};
use crate::pipeline::kept::{Cache, CacheKey, KeyOf};
use crate::pipeline::keyword;

/// GitLab's limits (`lib/gitlab/ci/config/entry/{caches,key,files}.rb`).
const CACHE_LIMIT: usize = 4;
const FILE_LIMIT: usize = 10;
const COMMIT_FILE_LIMIT: usize = 2;
const FALLBACK_LIMIT: usize = 5;

const POLICIES: [&str; 3] = ["pull-push", "push", "pull"];

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<Cache> {
    let single = std::slice::from_ref(node);
    let items = node.items().unwrap_or(single);
    if items.len() > CACHE_LIMIT {
        context.problems.error(node.place, "cache", format!("{subject} has more than {CACHE_LIMIT} caches"));
    }
    items.iter().take(CACHE_LIMIT).map(|item| cache(context, subject, item, place)).collect()
}

fn cache(context: &mut Context, subject: &str, node: &Node, place: Place) -> Cache {
    let mut cache = Cache::default();
    let Some(entries) = context.entries(subject, node, place) else { return cache };
    for entry in context.keywords(subject, keyword::CACHE, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "key" => cache.key = key(context, &of, &entry.value, entry.place).unwrap_or_default(),
            "paths" => cache.paths = context.texts(&of, &entry.value, entry.place),
            "untracked" => cache.untracked = context.truth(&of, &entry.value, entry.place).unwrap_or_default(),
            "when" => cache.when = context.word(&of, WHEN, &entry.value, entry.place).unwrap_or_default(),
            "fallback_keys" => {
                cache.fallback_keys = context.texts(&of, &entry.value, entry.place);
                if cache.fallback_keys.len() > FALLBACK_LIMIT {
                    context.problems.error(entry.value.place, "cache", format!("{of} has more than {FALLBACK_LIMIT} keys"));
                }
            }
            "policy" => {
                cache.policy = context.text(&of, &entry.value, entry.place);
                // A variable may say it when the job starts.
                if let Some(policy) = cache.policy.as_deref().filter(|text| !text.contains('$') && !POLICIES.contains(text)) {
                    let message = format!("{of} is `{}`, which is none of {}", shorten(policy), POLICIES.join(", "));
                    context.problems.error(entry.value.place, "unknown-value", message).suggest(policy, POLICIES, None);
                }
            }
            "unprotect" => {
                cache.unprotect = context.truth(&of, &entry.value, entry.place).unwrap_or_default();
            }
            _ => {}
        }
    }
    cache
}

fn key(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<CacheKey> {
    let Some(entries) = node.entries() else {
        let text = context.text(subject, node, place)?;
        // A key becomes the name of a folder (`validators.rb`, `validate_key`).
        if text.contains('/') || text.to_ascii_lowercase().contains("%2f") || text == "." || text == ".." {
            let message = format!("{subject} is `{}`: it must not contain `/`, nor be `.` or `..`", shorten(&text));
            context.problems.error(node.place, "cache", message);
        }
        return Some(CacheKey::Text(text));
    };
    let (mut files, mut prefix, mut of_what) = (Vec::new(), None, KeyOf::Contents);
    for entry in context.keywords(subject, keyword::CACHE_KEY, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "files" | "files_commits" => {
                let limit;
                (of_what, limit) = if entry.key == "files" { (KeyOf::Contents, FILE_LIMIT) } else { (KeyOf::Commits, COMMIT_FILE_LIMIT) };
                files = context.texts(&of, &entry.value, entry.place);
                if files.is_empty() || files.len() > limit {
                    context.problems.error(entry.value.place, "cache", format!("{of} has {} files; it can have 1 to {limit}", files.len()));
                }
                // The top of the repository is where they are anyway (`entry/files.rb`, `value`).
                for file in &mut files {
                    *file = file.trim_start_matches('/').to_owned();
                }
            }
            "prefix" => prefix = context.text(&of, &entry.value, entry.place),
            _ => {}
        }
    }
    if ["files", "files_commits"].iter().all(|key| node.get(key).is_some()) {
        context.problems.error(node.place, "cache", format!("{subject} has `files` and `files_commits`; one of them must go"));
    }
    if files.is_empty() && !entries.iter().any(|entry| entry.key.starts_with("files")) {
        context.problems.error(node.place, "cache", format!("{subject} has no `files`"));
    }
    Some(CacheKey::Files { files, prefix, of: of_what })
}
