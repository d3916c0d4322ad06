//! `docs/keywords.md` is made from the code's own tables, and compared with them here.

use std::fmt::Write as _;

use hms::pipeline::keyword::{self, Family, Standing};

fn page() -> String {
    let mut page = "# Keywords of GitLab CI, and what becomes of them\n\n\
        Made from the program's own tables (`src/pipeline/keyword.rs`); a test compares the two. To write it anew:\n\
        `HMS_WRITE_DOCS=1 cargo test --test it keywords`.\n\n\
        *done*: it means what it means to GitLab. *warned*: the file runs, and a warning says what is not done. *refused*: the file\n\
        is an error, because without the keyword other jobs would run, or other things in them.\n"
        .to_owned();
    for Family { title, table, test, .. } in keyword::FAMILIES {
        writeln!(page, "\n## {title}\n\nTested in `tests/it/pipeline/{test}.rs`.\n\n| keyword | | |\n|---|---|---|").unwrap();
        for (name, standing) in *table {
            let (word, why) = match standing {
                Standing::Done => ("done", String::new()),
                Standing::Warned(why) => ("warned", format!("{why} ")),
                Standing::Planned(why) => ("refused", format!("{why} (read and planned: `hms plan` shows it) ")),
                Standing::Refused(why) => ("refused", format!("{why} ")),
            };
            writeln!(page, "| `{name}` | {word} | {why}|").unwrap();
        }
    }
    page
}

/// A keyword that is said to be done is in the file of tests that the page names.
#[test]
fn every_keyword_that_is_done_has_its_test() {
    for Family { title, table, test, .. } in keyword::FAMILIES {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/pipeline/{test}.rs"));
        let text = std::fs::read_to_string(&path).unwrap();
        for (name, _) in table.iter().filter(|(_, standing)| matches!(standing, Standing::Done | Standing::Planned(_))) {
            assert!(text.contains(&format!("{name}:")), "{title}: `{name}` is not tested in {}", path.display());
        }
    }
}

/// The schema for editors is the one that the code makes, takes the files of these pages, and knows a wrong key.
#[test]
fn the_schema_is_what_the_program_takes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/hms-ci.schema.json");
    let made = hms::pipeline::schema();
    let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
    if std::env::var_os("HMS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "assets/hms-ci.schema.json is stale: HMS_WRITE_DOCS=1 cargo test --test it keywords"
    );
    let validator = jsonschema::validator_for(&made).unwrap();
    let good = serde_json::json!({
        "stages": ["a"], "include": "x.yml", ".hidden": 3, "default": {"image": "i", "retry": 1},
        "build": {"stage": "a", "script": ["x", ["y"]], "rules": [{"if": "$A", "changes": ["x"]}], "parallel": {"matrix": [{"A": "b"}]},
            "needs": ["x", {"job": "y", "optional": true}], "artifacts": "dist/", "extends": ".hidden"},
        "old": {"script": "x", "only": ["main"]},
    });
    assert!(validator.is_valid(&good), "{:?}", validator.iter_errors(&good).map(|error| error.to_string()).collect::<Vec<_>>());
    for bad in [
        serde_json::json!({"build": {"scirpt": "x"}}),
        serde_json::json!({"build": {"script": "x", "retry": 3}}),
        serde_json::json!({"build": {"script": "x", "trigger": "y"}}),
        serde_json::json!({"build": {"script": "x", "rules": [{"iff": "$A"}]}}),
        serde_json::json!({"build": {"script": 3}}),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
    }
}

#[test]
fn the_page_of_keywords_is_what_the_program_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keywords.md");
    if std::env::var_os("HMS_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/keywords.md is stale: HMS_WRITE_DOCS=1 cargo test --test it keywords");
}
