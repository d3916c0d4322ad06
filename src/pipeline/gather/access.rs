//! `inputs.list[0].name`: the way to a value (GitLab `lib/gitlab/ci/config/interpolation/access.rb`).

use crate::document::Node;

/// GitLab's limits.
const SEGMENT_LIMIT: usize = 5;
const INDEX_LIMIT: usize = 5;
const LENGTH_LIMIT_BYTES: usize = 1024;

/// A way that leads nowhere.
pub(super) struct NoAccess {
    pub(super) message: String,
    /// The name that is not there, for what may have been meant.
    pub(super) name: String,
}

/// The value that a path names.
pub(super) fn find<'n>(contexts: &'n Node, path: &str) -> Result<&'n Node, NoAccess> {
    let bad = |message: &str| Err(NoAccess { message: message.to_owned(), name: String::new() });
    if path.len() > LENGTH_LIMIT_BYTES {
        return bad("the path is too long");
    }
    let segments: Vec<&str> = path.splitn(SEGMENT_LIMIT, '.').collect();
    if segments.len() < 2 {
        return bad("it is not of `inputs`; write `$[[ inputs.NAME ]]`");
    }
    segments.into_iter().try_fold(contexts, |node, segment| self::segment(node, segment))
}

fn segment<'n>(node: &'n Node, segment: &str) -> Result<&'n Node, NoAccess> {
    let Some((key, indices)) = segment.split_once('[') else { return value_of(node, segment) };
    let bad = |message: String| Err(NoAccess { message, name: String::new() });
    let Some(indices) = indices.strip_suffix(']') else { return bad(format!("`{segment}` does not end in `]`")) };
    if key.is_empty() || !key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return bad(format!("`{segment}` has no key of letters, digits and `_` before its index"));
    }
    let indices: Vec<&str> = indices.split("][").collect();
    if indices.len() > INDEX_LIMIT {
        return bad(format!("`{segment}` has more than {INDEX_LIMIT} indices"));
    }
    let mut found = value_of(node, key)?;
    for text in indices {
        let Some(index) = text.parse::<usize>().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit())) else {
            return bad(format!("`{text}` is no index of a list"));
        };
        let Some(items) = found.items() else { return bad(format!("`{key}` is {} and has no item {index}", found.kind())) };
        let Some(item) = items.get(index) else { return bad(format!("`{key}` has no item {index}; it has {}", items.len())) };
        found = item;
    }
    Ok(found)
}

fn value_of<'n>(node: &'n Node, key: &str) -> Result<&'n Node, NoAccess> {
    node.get(key).ok_or_else(|| NoAccess { message: format!("there is no `{key}`"), name: key.to_owned() })
}
