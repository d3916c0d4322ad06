//! `docs/keywords.md` is made from the code's own tables, and compared with them here.

use std::fmt::Write as _;

use hms::pipeline::keyword::{self, Standing};

fn page() -> String {
    let tables = [
        ("At the top of the file", keyword::GLOBAL),
        ("`workflow`", keyword::WORKFLOW),
        ("`default`", keyword::DEFAULT),
        ("A job", keyword::JOB),
        ("`artifacts`", keyword::ARTIFACTS),
        ("`artifacts: reports`", keyword::REPORTS),
        ("`environment`", keyword::ENVIRONMENT),
        ("An entry of `needs`", keyword::NEED),
        ("A rule", keyword::RULE),
        ("A variable", keyword::VARIABLE),
        ("`image`", keyword::IMAGE),
    ];
    let mut page = "# Keywords of GitLab CI, and what becomes of them\n\n\
        Made from the program's own tables (`src/pipeline/keyword.rs`); a test compares the two. To write it anew:\n\
        `HMS_WRITE_DOCS=1 cargo test --test it keywords`.\n\n\
        *done*: it means what it means to GitLab. *warned*: the file runs, and a warning says what is not done. *refused*: the file\n\
        is an error, because without the keyword other jobs would run, or other things in them.\n"
        .to_owned();
    for (title, table) in tables {
        writeln!(page, "\n## {title}\n\n| keyword | | |\n|---|---|---|").unwrap();
        for (name, standing) in table {
            let (word, why) = match standing {
                Standing::Done => ("done", String::new()),
                Standing::Warned(why) => ("warned", format!("{why} ")),
                Standing::Refused(why) => ("refused", format!("{why} ")),
            };
            writeln!(page, "| `{name}` | {word} | {why}|").unwrap();
        }
    }
    page
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
