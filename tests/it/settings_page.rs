//! `docs/settings.md` against the readers: every key is there, every example is read and does something, every default is the one in force.

use std::collections::BTreeSet;

use hms::document;
use hms::policy::{MAPPINGS, Operator, Policy, Settings};

const PAGE: &str = include_str!("../../docs/settings.md");

/// Other pages that show settings.
const OTHERS: [&str; 3] = [include_str!("../../README.md"), include_str!("../../docs/judge.md"), include_str!("../../docs/hms-ci.md")];

/// A line of one of the page's tables.
#[derive(Debug)]
struct Row<'a> {
    /// The heading above it: the mapping's path.
    path: &'a str,
    key: &'a str,
    /// The column `policy`, where there is one.
    policy: Option<&'a str>,
    default: &'a str,
    example: &'a str,
}

/// What a text says.
#[derive(Debug, PartialEq)]
enum Read {
    Commit(Box<Settings>),
    Operator(Box<Operator>),
}

fn rows() -> Vec<Row<'static>> {
    let mut path = "";
    let mut all = Vec::new();
    for line in PAGE.lines() {
        if line.starts_with('#') {
            path = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')).unwrap_or_default();
        }
        let Some(line) = line.strip_prefix("| `").filter(|_| !path.is_empty()) else { continue };
        let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
        let (policy, default, example) = match cells[..] {
            [_, policy, _, _, default, example] => (Some(policy), default, example),
            [_, _, _, default, example] => (None, default, example),
            _ => panic!("not the columns that are looked for: {line}"),
        };
        all.push(Row { path, key: cells[0].trim_end_matches('`'), policy, default: default.trim(), example: code(example).expect(line) });
    }
    all
}

/// The text of a cell that is one piece of code and nothing else.
fn code(cell: &str) -> Option<&str> {
    cell.trim().strip_prefix('`')?.strip_suffix('`').filter(|text| !text.contains('`'))
}

/// A file that has these keys in the mapping of that path.
fn file(path: &str, name: &str, keys: &str) -> String {
    let (root, rest) = match path.strip_prefix(".hms") {
        Some(rest) => (".hms", rest),
        None => ("", path.strip_prefix("config").expect("a path of one of the two files")),
    };
    let mut text = format!("{{{keys}}}");
    for part in rest.rsplit('.').filter(|part| !part.is_empty()) {
        text = match part.strip_suffix("[]") {
            // Metrics of one's own but statuses are read from a source that is named.
            None if part == "own" => format!("{{scrape: 'http://a/metrics', own: {text}}}"),
            // Only an environment on a cluster has a router, or more workloads than one.
            None if part == "traffic" && rest.contains("environments") => {
                format!("{{target: kubernetes, context: c, namespace: n, traffic: {text}}}")
            }
            None if part == "migrate" => format!("{{target: kubernetes, context: c, namespace: n, migrate: {text}}}"),
            Some("together") => {
                let traffic = "{httproute: a, stable: a, canary: b}";
                format!("{{target: kubernetes, context: c, namespace: n, traffic: {traffic}, together: [{text}]}}")
            }
            Some(list) => format!("{{{list}: [{text}]}}"),
            None => format!("{{{}: {text}}}", if part == "NAME" { name } else { part }),
        };
    }
    if root.is_empty() { text } else { format!("{root}: {text}") }
}

fn read(text: &str) -> Read {
    let tree = document::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {}", error.message));
    match tree.get(".hms") {
        Some(node) => Read::Commit(Box::new(Settings::read(node).unwrap_or_else(|problem| panic!("{text}: {problem}")))),
        None => Read::Operator(Box::new(Operator::read(&tree).unwrap_or_else(|problem| panic!("{text}: {problem}")))),
    }
}

/// The name of an environment in which a key may stand.
fn environment_for(key: &str) -> &'static str {
    if key == "of" { "canary" } else { "staging" }
}

#[test]
fn the_page_has_the_keys_that_are_read_and_no_others() {
    let known: BTreeSet<(&str, &str)> =
        MAPPINGS.iter().flat_map(|mapping| mapping.paths.iter().flat_map(|path| mapping.keys.iter().map(|key| (*path, *key)))).collect();
    let shown: Vec<(&str, &str)> = rows().iter().map(|row| (row.path, row.key)).collect();
    let once: BTreeSet<(&str, &str)> = shown.iter().copied().collect();
    assert_eq!(once.len(), shown.len(), "a key stands twice");
    assert_eq!(known.difference(&once).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "not in docs/settings.md");
    assert_eq!(once.difference(&known).collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "in docs/settings.md, and read nowhere");
}

#[test]
fn each_example_is_read_and_changes_what_its_row_says() {
    for row in rows() {
        assert!(row.example.contains(&format!("{}:", row.key)), "{row:?}");
        match read(&file(row.path, environment_for(row.key), row.example)) {
            Read::Operator(operator) => assert_ne!(*operator, Operator::default(), "{row:?}"),
            // There is one format, so no example can differ from the default.
            Read::Commit(_) if row.key == "policy_format" => {}
            Read::Commit(settings) => {
                let is_policy = settings.policy.hash() != Policy::default().hash();
                let top = row.path.strip_prefix(".hms.").map_or(row.key, |rest| rest.split(['.', '[']).next().unwrap_or(rest));
                let said = rows().into_iter().find(|one| one.path == ".hms" && one.key == top).and_then(|one| one.policy);
                assert_eq!(said, Some(if is_policy { "yes" } else { "no" }), "{row:?}");
                assert_ne!(*settings, Settings::default(), "{row:?}");
                assert_eq!(settings.policy.metrics.own.len(), usize::from(row.path.contains(".own.") || row.key == "own"), "{row:?}");
            }
        }
    }
}

#[test]
fn each_section_says_whether_it_is_policy() {
    let tops: Vec<(&str, bool)> = rows().iter().filter_map(|row| Some((row.key, row.policy? == "yes"))).collect();
    assert!(tops.contains(&("watch", false)) && tops.contains(&("canary", true)));
    for (heading, text) in PAGE.split("\n### `.hms.").skip(1).filter_map(|section| section.split_once("`\n\n")) {
        let top = heading.split(['.', '[']).next().unwrap_or(heading);
        let word = if tops.contains(&(top, true)) { "Policy." } else { "Not policy." };
        assert!(text.starts_with(word), "{heading}");
    }
}

#[test]
fn each_default_is_the_one_in_force() {
    let mut checked = 0;
    for row in rows() {
        let Some(default) = code(row.default) else { continue };
        let base = match row.path {
            ".hms.registry" => "image: r.example.gov/shop, ",
            ".hms.watch" => "branches: [main], ",
            ".hms.image" => "base: node:22, ",
            ".hms.freeze[]" | "config.floors.freeze[]" => "from: Fri 16:00, to: Mon 08:00, ",
            "config.variables.NAME" => "command: [vault], repositories: [/srv/irs], ",
            _ => "",
        };
        let name = environment_for(row.key);
        let given = read(&file(row.path, name, &format!("{base}{}: {default}", row.key)));
        assert_eq!(given, read(&file(row.path, name, base)), "{row:?}");
        checked += 1;
    }
    assert!(checked >= 30, "only {checked} defaults were found: are they still written as `code`?");
}

#[test]
fn every_block_of_settings_in_the_documents_is_read() {
    let blocks = |page: &'static str| page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let own: Vec<Read> = blocks(PAGE).map(read).collect();
    assert!(matches!(own[..], [Read::Commit(_), Read::Operator(_)]), "{own:#?}");
    let others: Vec<&str> =
        OTHERS.into_iter().flat_map(blocks).filter(|block| block.starts_with(".hms:") || block.starts_with("metrics:")).collect();
    assert!(others.len() >= 3, "{others:#?}");
    for block in others {
        read(block);
    }
}
