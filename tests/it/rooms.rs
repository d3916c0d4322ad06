//! Who may name whom, and what no file may hold. The scanner that says so is tried on made-up bad lines first.

mod words;

use std::path::{Path, PathBuf};

use words::{Token, code_of, paths_out, test_files, without_tests};

/// Which rooms a room may name, beside itself; a name with a path is that part of the room and no other.
const MAY_NAME: [(&str, &[&str]); 18] = [
    ("event", &[]),
    ("text", &["event"]),
    ("document", &[]),
    ("store", &["event"]),
    ("pipeline", &["event", "document", "text"]),
    ("repo", &["event", "store"]),
    ("policy", &["event", "document", "store"]),
    ("executor", &["event", "store"]),
    ("deploy", &["event", "store"]),
    ("canary", &["event"]),
    ("ledger", &["event", "store"]),
    ("scan", &["event", "store", "text"]),
    ("notify", &["event", "policy"]),
    ("rollout", &["event", "store", "deploy", "canary", "ledger", "policy"]),
    (
        "run",
        &["event", "store", "text", "pipeline", "repo", "policy", "executor", "deploy", "canary", "scan", "ledger", "rollout", "notify"],
    ),
    ("report", &["event", "text", "run::reader", "run::control", "rollout::reader"]),
    ("console", &["event", "text", "store", "run::reader", "run::control", "run::RunFolder", "run::RepositoryFolder", "rollout::reader"]),
    (
        "cli",
        &[
            "event", "store", "document", "text", "pipeline", "repo", "policy", "executor", "deploy", "canary", "ledger", "scan",
            "rollout", "run", "report", "console", "notify",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below these folders of the project whose name ends so.
fn files(folders: &[&str], endings: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in walkdir::WalkDir::new(root().join(folder)).sort_by_file_name() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy();
            if entry.file_type().is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                found.push((entry.path().strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {folders:?}");
    found
}

/// The source files that are not for tests alone.
fn shipped() -> Vec<(PathBuf, String)> {
    let all = files(&["src"], &[".rs"]);
    let for_tests: Vec<PathBuf> = all
        .iter()
        .flat_map(|(file, text)| {
            let is_folder = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name));
            let folder = if is_folder { file.parent().unwrap().to_owned() } else { file.with_extension("") };
            test_files(&code_of(text)).into_iter().map(move |name| folder.join(name))
        })
        .collect();
    let tested = |file: &Path| for_tests.iter().any(|module| file.with_extension("") == *module || file.starts_with(module));
    all.into_iter().filter(|(file, _)| !tested(file)).collect()
}

fn rooms() -> Vec<String> {
    let folders = std::fs::read_dir(root().join("src")).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "bin").collect();
    names.sort();
    names
}

/// The module that a file is, as a path from the crate's root: `src/a/b/mod.rs` is `a::b`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file.with_extension("").iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// What a file names that its room may not, as `line: path`.
fn trespasses(file: &Path, text: &str) -> Vec<String> {
    let module = module_of(file);
    let room = module.first().unwrap();
    let (_, allowed) = MAY_NAME.iter().find(|(name, _)| name == room).unwrap_or_else(|| panic!("no rule for {room}"));
    let may = |path: &str| {
        allowed.iter().any(|allowed| path == *allowed || path.strip_prefix(allowed).is_some_and(|rest| rest.starts_with("::")))
    };
    paths_out(&code_of(text), module.len())
        .into_iter()
        .filter(|(_, path)| path.first() != Some(room) && MAY_NAME.iter().any(|(name, _)| path.first().is_some_and(|first| first == name)))
        .filter(|(_, path)| !may(&path.join("::")))
        .map(|(line, path)| format!("{}:{line}: {room} names {}", file.display(), path.join("::")))
        .collect()
}

/// Calls of methods with these names, outside tests.
fn calls(file: &Path, text: &str, methods: &[&str]) -> Vec<String> {
    let tokens = without_tests(&code_of(text));
    let is_call = |three: &&[(usize, Token)]| {
        three[0].1 == Token::Mark('.')
            && three[2].1 == Token::Mark('(')
            && matches!(&three[1].1, Token::Word(word) if methods.contains(&word.as_str()))
    };
    tokens.windows(3).filter(is_call).map(|three| format!("{}:{}", file.display(), three[1].0)).collect()
}

/// Uses of `Type::function`, outside tests.
fn uses(text: &str, kind: &str, function: &str) -> usize {
    let tokens = without_tests(&code_of(text));
    let word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word == wanted);
    tokens.windows(3).filter(|three| word(&three[0].1, kind) && three[1].1 == Token::Into && word(&three[2].1, function)).count()
}

#[test]
fn a_bad_line_is_found_and_a_good_one_is_not() {
    let found = |file: &str, text: &str| trespasses(Path::new(file), text).len();
    let bad = [
        ("src/event/run.rs", "use crate::store::Journal;"),
        ("src/canary/judge.rs", "fn f() { crate::store::now(); }"),
        ("src/deploy/local/proxy.rs", "use super::super::super::canary::Judge;"),
        ("src/deploy/mod.rs", "use super::run;"),
        ("src/console/ui.rs", "use crate::run::Engine;"),
        ("src/console/ui.rs", "use crate::{event::RunId, run::{reader::Reader, Engine}};"),
        ("src/console/ui.rs", "use crate::run;"),
        ("src/report/mod.rs", "let x = crate :: deploy :: Target;"),
        ("src/ledger/x.rs", "pub use crate::rollout as r;"),
        ("src/ledger/x.rs", "/* a */ use crate::rollout::*; // b"),
        ("src/ledger/x.rs", "fn f<'a>(x: &'a crate::rollout::X<'a>) {}"),
        ("src/ledger/x.rs", r"let a = ['\u{9b}', '\'', '\x1b']; use crate::run;"),
    ];
    for (file, line) in bad {
        assert_eq!(found(file, line), 1, "{file}: {line}");
    }
    let good = [
        ("src/event/run.rs", "// use crate::store::Journal;\n/// [`crate::run`]\n/* crate::cli /* nested */ crate::cli */"),
        (
            "src/event/run.rs",
            r##"const A: &str = "crate::store"; const B: &str = r#"a " crate::run"#; const C: char = '"'; use super::ids;"##,
        ),
        ("src/deploy/local/proxy.rs", "use super::super::contract; use crate::deploy::Target; use crate::{event::*, store::Lock};"),
        ("src/console/ui.rs", "use crate::{event::RunId, run::{RunFolder, reader::Reader}};"),
        ("src/event/run.rs", "fn f<'a>(x: &'a str) -> &'a str { x }"),
    ];
    for (file, line) in good {
        assert_eq!(trespasses(Path::new(file), line), Vec::<String>::new(), "{line}");
    }

    let file = Path::new("src/x.rs");
    let methods = ["unwrap", "expect"];
    assert_eq!(calls(file, "a.unwrap();\nb\n .expect(\"x\");", &methods), ["src/x.rs:1", "src/x.rs:3"]);
    let good = "#[expect(lint, reason = \"r\")]\na.unwrap_or(1); // .unwrap()\n#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } }\n";
    assert_eq!(calls(file, good, &methods), Vec::<String>::new());
    assert_eq!(calls(file, &format!("{good} a.unwrap();"), &methods).len(), 1, "code after tests counts again");
    let excused = "#[expect(clippy::expect_used, reason = \"r\")]\nfn f() { a.expect(\"x\") }\nfn g() { a.expect(\"x\") }";
    assert_eq!(calls(file, excused, &methods), ["src/x.rs:3"]);
    assert_eq!(test_files(&code_of("mod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(test)]\nmod c { }\nmod d;")), ["b"]);
    assert_eq!(uses("let a = chrono::Utc::now(); // Utc::now()", "Utc", "now"), 1);
    assert_eq!(strange("resolved: https://index.crates", 0), None);
    assert!(strange(concat!("https://registry.npm", "js.org/x"), 0).is_some());
    assert!(strange(concat!("see /ho", "me/amy/x"), 0).is_some());
    assert!(strange(concat!("/wo", "rk/main"), 0).is_some());
    assert_eq!(strange("runs/1/work/build/1 {run}/home/x <dir>/root/y", 0), None);
}

#[test]
fn a_room_names_only_whom_it_may() {
    let found: Vec<String> = files(&["src"], &[".rs"])
        .iter()
        .filter(|(file, _)| module_of(file).len() > 1 || file.ends_with("mod.rs"))
        .filter(|(file, _)| !file.starts_with("src/bin"))
        .flat_map(|(file, text)| trespasses(file, text))
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_room_is_on_the_map_and_has_its_rule() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms = rooms();
    assert!(rooms.len() > 10, "{rooms:?}");
    for room in &rooms {
        assert!(map.contains(&format!("//! | [`{room}`] |")), "{room} is not on the map in lib.rs");
        assert!(map.contains(&format!("\npub mod {room};\n")), "{room} is not a module");
    }
    let mut ruled: Vec<&str> = MAY_NAME.iter().map(|(name, _)| *name).collect();
    ruled.sort_unstable();
    assert_eq!(ruled, rooms);
}

#[test]
fn doors_name_the_command_line_and_nothing_else() {
    for (file, text) in files(&["src"], &[".rs"]).iter().filter(|(file, _)| file.starts_with("src/bin") || file.ends_with("main.rs")) {
        let tokens = code_of(text);
        for three in tokens.windows(3) {
            if three[0].1 == Token::Word("hms".to_owned()) && three[1].1 == Token::Into {
                assert_eq!(three[2].1, Token::Word("cli".to_owned()), "{}:{}", file.display(), three[0].0);
            }
        }
    }
}

#[test]
fn nothing_unwraps_outside_tests() {
    let found: Vec<String> = shipped().iter().flat_map(|(file, text)| calls(file, text, &["unwrap", "expect"])).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn one_file_reads_the_clock() {
    let found: Vec<PathBuf> = shipped()
        .into_iter()
        .filter(|(_, text)| [("Utc", "now"), ("Local", "now"), ("SystemTime", "now")].iter().any(|(kind, name)| uses(text, kind, name) > 0))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(found, [PathBuf::from("src/store/clock.rs")]);
}

/// What a line holds that no file may: a package registry's host, or a path of somebody's machine.
fn strange(line: &str, number: usize) -> Option<String> {
    // Spelt in two parts, so that this file does not hold them either. A home with a name of one letter is a placeholder.
    let hosts = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("//crates", ".io"),
        concat!("registry.npm", "js.org"),
        concat!("registry.yarn", "pkg.com"),
        concat!("files.python", "hosted.org"),
        concat!("//py", "pi.org"),
        concat!("proxy.go", "lang.org"),
        concat!("//ruby", "gems.org"),
        concat!("repo1.ma", "ven.org"),
    ];
    let at_home = r"(^|[^A-Za-z0-9_.~>}*/-])/(home/[A-Za-z0-9_.-]{2,}|work/|root/)";
    let path = regex::Regex::new(at_home).unwrap();
    let host = hosts.iter().find(|host| line.contains(*host)).map(|host| (*host).to_owned());
    host.or_else(|| path.find(line).map(|found| found.as_str().to_owned())).map(|what| format!("{number}: {what}"))
}

#[test]
fn no_file_names_a_registry_or_a_path_of_somebodys_machine() {
    let endings = [".rs", ".md", ".json", ".yml", ".yaml", ".toml", ".snap", ".txt", ".js", ".sh", ".html"];
    let mut found = Vec::new();
    for (file, text) in files(&["src", "tests", "docs", "assets", "scripts", ".ci"], &[""]) {
        if endings.iter().any(|ending| file.to_string_lossy().ends_with(ending)) || file.extension().is_none() {
            let lines = text.lines().enumerate().filter_map(|(index, line)| strange(line, index + 1));
            found.extend(lines.map(|what| format!("{}:{what}", file.display())));
        }
    }
    for name in ["Cargo.toml", "CHANGELOG.md", "deny.toml", "clippy.toml", "README.md", ".hms-ci.yml"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        found.extend(text.lines().enumerate().filter_map(|(index, line)| strange(line, index + 1)).map(|what| format!("{name}:{what}")));
    }
    assert_eq!(found, Vec::<String>::new());
}
