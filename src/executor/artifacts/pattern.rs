//! GitLab's artifact patterns: doublestar globs relative to the checkout; a folder means all that is in it.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet};

/// A pattern that is ready to be matched against paths relative to the checkout.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// As it was written.
    pub(super) text: String,
    /// The folder or file above which nothing can match: the part before the first glob character.
    pub(super) base: PathBuf,
    /// How deep a path can be that matches, in components; none when there is no end.
    pub(super) depth: Option<usize>,
    /// A set of one: it refuses what `Glob::compile_matcher` panics over, alternatives in each other beyond what a regex may nest.
    matcher: GlobSet,
}

impl Pattern {
    /// Reads a pattern. An absolute one may name a place in the checkout.
    ///
    /// # Errors
    /// In words: when it leads outside, or is no glob.
    pub(super) fn read(text: &str, checkout: &Path) -> Result<Self, String> {
        let inner = match Path::new(text).strip_prefix(checkout) {
            Ok(inner) => inner.to_string_lossy().into_owned(),
            Err(_) => text.to_owned(),
        };
        let mut parts: Vec<&str> = Vec::new();
        for component in Path::new(&inner).components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
                Component::CurDir => {}
                Component::ParentDir => return Err("it has `..` in it".to_owned()),
                Component::RootDir | Component::Prefix(_) => return Err("it is outside the job's folder".to_owned()),
            }
        }
        let base: PathBuf = parts.iter().take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect();
        let open_ended = parts.iter().any(|part| part.contains("**") || part.contains('{'));
        let glob = GlobBuilder::new(&parts.join("/"))
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        let matcher = GlobSet::new([glob]).map_err(|_| "it has too many alternatives in each other".to_owned())?;
        let depth = (!open_ended).then_some(parts.len());
        Ok(Self { text: text.to_owned(), base, depth, matcher })
    }

    /// Whether this very path matches. The pattern that names the checkout itself matches the empty path.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.matcher.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_gitlab() {
        let table = [
            ("dist/", "dist", true),
            ("./dist", "dist", true),
            ("dist", "dist/a", false),
            ("*.log", "a.log", true),
            ("*.log", ".a.log", true),
            ("*.log", "sub/a.log", false),
            ("**/*.log", "a.log", true),
            ("**/*.log", "x/y/a.log", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("dir/**", "dir/a/b", true),
            ("dir/*", "dir/a/b", false),
            ("a?c", "a/c", false),
            ("{a,b}.txt", "b.txt", true),
            ("[!a].txt", "b.txt", true),
            ("[!a].txt", "a.txt", false),
            ("a b/\u{e9}*", "a b/\u{e9}t\u{e9}", true),
            ("/build/out", "out", true),
            ("\\*", "*", true),
            (".", "", true),
        ];
        for (text, path, expected) in table {
            let pattern = Pattern::read(text, Path::new("/build")).unwrap();
            assert_eq!(pattern.matches(Path::new(path)), expected, "{text} {path}");
        }
    }

    #[test]
    fn patterns_that_lead_outside_are_refused() {
        for text in ["../x", "a/../../x", "/etc/passwd", "/", "/buildx/a", "a[", "dist/.."] {
            assert!(Pattern::read(text, Path::new("/build")).is_err(), "{text}");
        }
    }

    #[test]
    fn alternatives_that_nest_too_deep_are_refused_and_no_panic() {
        let nested = |depth: usize| format!("{}b{}", "a{".repeat(depth), "}".repeat(depth));
        assert!(Pattern::read(&nested(50), Path::new("/build")).is_ok());
        assert_eq!(Pattern::read(&nested(500), Path::new("/build")).unwrap_err(), "it has too many alternatives in each other");
    }

    #[test]
    fn the_base_is_what_comes_before_the_first_star() {
        let base = |text| Pattern::read(text, Path::new("/build")).unwrap().base;
        assert_eq!(base("a/b/*.c"), Path::new("a/b"));
        assert_eq!(base("a/b"), Path::new("a/b"));
        assert_eq!(base("**/x"), Path::new(""));
    }
}
