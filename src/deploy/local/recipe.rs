//! How a release is started: its record's `start`, else `package.json`'s, else a static server for `dist/`.

use std::path::{Path, PathBuf};

use crate::deploy::ReleaseRecord;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipe {
    /// A line for `sh -c`, and what npm would set beside it.
    Shell { line: String, variables: Vec<(&'static str, String)> },
    /// Files to serve, below the release's tree.
    Static { folder: PathBuf },
}

/// Finds out how to start a release.
///
/// # Errors
/// One plain sentence when nothing says how.
pub(super) fn recipe_of(record: &ReleaseRecord, tree: &Path) -> Result<Recipe, String> {
    if let Some(line) = &record.start {
        return Ok(Recipe::Shell { line: line.clone(), variables: Vec::new() });
    }
    if let Some(recipe) = of_package(&tree.join("package.json"))? {
        return Ok(recipe);
    }
    if tree.join("dist").is_dir() {
        return Ok(Recipe::Static { folder: PathBuf::from("dist") });
    }
    Err("nothing says how to start it: there is no `start:` under `.hms`, no `scripts.start` in package.json, and no dist/ to serve"
        .to_owned())
}

/// As `npm start` (<https://docs.npmjs.com/cli/using-npm/scripts>): `prestart`, then `start`, with the variables that scripts read.
fn of_package(path: &Path) -> Result<Option<Recipe>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("package.json cannot be read: {error}")),
    };
    let package: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| format!("package.json is no JSON: {error}"))?;
    let script = |name: &str| package.get("scripts").and_then(|scripts| scripts.get(name)).and_then(serde_json::Value::as_str);
    let Some(start) = script("start").filter(|line| !line.trim().is_empty()) else { return Ok(None) };
    let line = script("prestart").map_or_else(|| start.to_owned(), |before| format!("{{ {before}\n}} && {{ {start}\n}}"));
    let mut variables = vec![("npm_lifecycle_event", "start".to_owned())];
    for (variable, field) in [("npm_package_name", "name"), ("npm_package_version", "version")] {
        variables.extend(package.get(field).and_then(serde_json::Value::as_str).map(|value| (variable, value.to_owned())));
    }
    Ok(Some(Recipe::Shell { line, variables }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Digest, ReleaseRef};

    fn record(start: Option<&str>) -> ReleaseRecord {
        ReleaseRecord {
            must_be_scanned: std::collections::BTreeMap::new(),
            images: Vec::new(),
            format: 1,
            release: ReleaseRef { digest: Digest::of(b""), revision: None, tag: "v1".to_owned(), tag_object: None, run: None },
            app: "shop".parse().unwrap(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            files: 0,
            bytes: 0,
            start: start.map(str::to_owned),
            scan: None,
        }
    }

    #[test]
    fn the_record_then_the_package_then_dist() {
        let tree = tempfile::tempdir().unwrap();
        assert!(recipe_of(&record(None), tree.path()).unwrap_err().contains("nothing says how"));
        std::fs::create_dir(tree.path().join("dist")).unwrap();
        assert_eq!(recipe_of(&record(None), tree.path()), Ok(Recipe::Static { folder: "dist".into() }));
        std::fs::write(tree.path().join("package.json"), r#"{"scripts":{"build":"x"}}"#).unwrap();
        assert_eq!(recipe_of(&record(None), tree.path()), Ok(Recipe::Static { folder: "dist".into() }));
        std::fs::write(tree.path().join("package.json"), r#"{"name":"shop","scripts":{"start":"node ."}}"#).unwrap();
        let variables = vec![("npm_lifecycle_event", "start".to_owned()), ("npm_package_name", "shop".to_owned())];
        assert_eq!(recipe_of(&record(None), tree.path()), Ok(Recipe::Shell { line: "node .".to_owned(), variables }));
        let given = recipe_of(&record(Some("./serve")), tree.path());
        assert_eq!(given, Ok(Recipe::Shell { line: "./serve".to_owned(), variables: Vec::new() }));
    }
}
