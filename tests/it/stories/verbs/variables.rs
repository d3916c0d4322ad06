//! `docs/variables.md` is made from the code's own table, and the table is what jobs get.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hms::pipeline::predefined_table::{NOT_SET, Phase, SET};

use super::World;

/// What a script sees, by its names; the same after it.
const FILE: &str = "
workflow: {name: release}
stages: [a, b]
.show:
  script: env -0 | cut -z -d= -f1 | tr '\\0' '\\n' >> $OUT
  after_script: [env -0 | cut -z -d= -f1 | tr '\\0' '\\n' >> $OUT]
two: {extends: .show, stage: a, parallel: 2}
place: {extends: .show, stage: a, environment: {name: review/a, url: 'http://a.test'}}
gate: {extends: .show, stage: b, when: manual, allow_failure: false}
";

fn predefined(out: &str) -> BTreeSet<&str> {
    out.lines().filter(|name| ["CI", "GITLAB_", "CHAT_", "TRIGGER_"].iter().any(|start| name.starts_with(start))).collect()
}

/// Neither more nor less: a variable that is in the table and in no job, or in a job and not in the table, is a mistake here.
#[test]
fn jobs_get_the_variables_of_the_table_and_no_others() {
    let world = World::new(FILE);
    world.git(&["remote", "add", "origin", "https://gitlab.example.org/irs/tax/irs-api.git"]);
    world.git(&["tag", "-a", "v1", "-m", "the first"]);
    let out = format!("OUT={}", world.path("out").display());
    for (number, reference) in [("1", "main"), ("2", "v1")] {
        assert_eq!(world.hms(&["run", "--headless", "--ref", reference, "--variable", &out]).code, Some(10));
        assert_eq!(world.hms(&["approve", number, "gate", "--wait"]).code, Some(0));
    }
    let text = world.read("out");
    let table: BTreeSet<&str> = SET.iter().map(|(name, ..)| *name).collect();
    assert_eq!(predefined(&text), table);
    assert!(table.len() == SET.len() && SET.is_sorted_by_key(|(name, ..)| *name), "each once, in their order");
    for name in NOT_SET.iter().flat_map(|(names, _)| *names) {
        assert!(!table.contains(name), "{name}");
    }
}

/// What the table says conditions see is what they see.
#[test]
fn conditions_see_those_of_the_pipeline_alone() {
    let jobs: String = SET.iter().fold(String::new(), |mut jobs, (name, ..)| {
        writeln!(jobs, "{name}: {{script: 'true', parallel: 2, environment: {{name: p, url: u}}, rules: [{{if: '${name} != null'}}]}}")
            .unwrap();
        jobs
    });
    let world = World::new(&format!("workflow: {{name: release}}\nalways: {{script: 'true'}}\n{jobs}"));
    world.git(&["remote", "add", "origin", "https://gitlab.example.org/irs/tax/irs-api.git"]);
    world.git(&["tag", "-a", "v1", "-m", "the first"]);
    let seen: BTreeSet<String> = ["main", "v1"]
        .iter()
        .flat_map(|reference| {
            let said = world.hms(&["list", "--ref", reference]);
            assert_eq!(said.code, Some(0), "{said:?}");
            let names = said.out.split_whitespace().filter(|word| word.starts_with("CI")).map(str::to_owned);
            names.collect::<Vec<_>>()
        })
        .collect();
    let wanted = SET.iter().filter(|(_, phase, _)| *phase == Phase::Pipeline).map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(seen, wanted);
}

/// Linux starts no program that is given a string over 128 KiB.
#[test]
fn jobs_of_a_commit_with_a_long_message_run() {
    let shown = "${#CI_COMMIT_MESSAGE} ${#CI_COMMIT_DESCRIPTION} $CI_COMMIT_MESSAGE_IS_TRUNCATED";
    let world = World::new(&format!("a:\n  script: /bin/echo \"{shown}\"\n"));
    let message = world.path("message");
    std::fs::write(&message, format!("title\n\n{}\n", "word ".repeat(30_000))).unwrap();
    world.git(&["commit", "-q", "--allow-empty", "-F", message.to_str().unwrap()]);
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let log = world.hms(&["logs", "a"]).out;
    assert!(log.contains("100000 100000 true"), "{log}");
}

fn page() -> String {
    let mut page = "# Predefined variables\n\n\
        Made from the program's own table (`src/pipeline/predefined_table.rs`); a test compares it with what a job gets. To write it anew:\n\
        `HMS_WRITE_DOCS=1 cargo test --test it variables`.\n\n\
        The names are GitLab's; each has its true value or is not there. *rules*: conditions see it too. *job*: the script alone. Times are\n\
        RFC 3339.\n\n| variable | from | what it is |\n|---|---|---|\n"
        .to_owned();
    for (name, phase, what) in SET {
        let from = match phase {
            Phase::Pipeline => "rules",
            Phase::Job => "job",
        };
        writeln!(page, "| `{name}` | {from} | {what} |").unwrap();
    }
    page.push_str("\n## Not set\n\nA condition on one of them is a condition on nothing.\n\n| variables | why |\n|---|---|\n");
    for (names, why) in NOT_SET {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "| {} | {why} |", names.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_of_variables_is_what_the_program_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/variables.md");
    if std::env::var_os("HMS_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/variables.md is stale: HMS_WRITE_DOCS=1 cargo test --test it variables");
}
