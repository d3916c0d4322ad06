//! Tests of scan: from a command line to an exit code, over real folders.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hms::scan::{self, Advisories, Report, ReportSink, Terms};

/// A critical secret, put together here so that no source holds one.
fn critical() -> String {
    ["dop", "_v1_", "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef0f1e2d3c4b5a6978"].concat()
}

/// A medium one.
fn medium() -> String {
    ["AI", "za", "SyD3kQ9fZ1xW7cRbL0vYpH2sTgN5mJ4uEaB"].concat()
}

/// What a scan answered.
struct Answer {
    code: u8,
    stdout: String,
    stderr: String,
}

#[expect(clippy::unwrap_used, reason = "what is printed is text, or the test has failed")]
fn scan_with(folder: &Path, arguments: &[&OsStr], sink: &mut dyn ReportSink) -> Answer {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let checkout: [&OsStr; 3] = [OsStr::new("hms-scan"), OsStr::new("--checkout"), folder.as_os_str()];
    let all = checkout.iter().chain(arguments).map(|argument| OsString::from(*argument));
    let code = scan::main_scan(all, &mut stdout, &mut stderr, sink);
    Answer { code, stdout: String::from_utf8(stdout).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
}

fn scan_below(folder: &Path, below: &str, flags: &[&str]) -> Answer {
    let path = folder.join(below);
    let flags = flags.iter().map(OsStr::new);
    scan_with(folder, &std::iter::once(path.as_os_str()).chain(flags).collect::<Vec<_>>(), &mut scan::NoRun)
}

#[expect(clippy::unwrap_used, reason = "without its folder a test cannot go on")]
fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Files, flags, the exit code and the summary.
type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [&'a str], u8, &'a str);

#[test]
fn exit_codes_and_the_summary_line() {
    let empty_lock = br#"{"lockfileVersion":3,"packages":{"":{}}}"#.as_slice();
    let full_lock =
        br#"{"lockfileVersion":3,"packages":{"":{},"node_modules/a":{"version":"1.0.0"},"node_modules/b":{"version":"1.0.0"}}}"#.as_slice();
    let broken_lock = b"{\"lockfileVersion\":3".as_slice();
    let (critical, medium) = (critical(), medium());
    let clean = ("dist/a.js", b"let a = 1;".as_slice());
    let table: [Case<'_>; 12] = [
        (&[clean], &[], 0, "✔ 0 critical 0 high 0 medium · 0 secrets · 1 file · no lockfile found"),
        (
            &[clean, ("package-lock.json", empty_lock)],
            &[],
            0,
            "✔ 0 critical 0 high 0 medium · 0 secrets · 1 file · no dependencies to check (package-lock.json has none)",
        ),
        (&[clean, ("package-lock.json", full_lock)], &[], 3, "✘ 0 critical 0 high 0 medium · 0 secrets · 1 file · 2 packages NOT CHECKED"),
        (
            &[clean, ("package-lock.json", full_lock)],
            &["--advisories", "optional"],
            0,
            "✔ 0 critical 0 high 0 medium · 0 secrets · 1 file · 2 packages NOT CHECKED",
        ),
        (
            &[clean, ("sub/yarn.lock", b"a@1:\n  version \"1.0.0\"\n")],
            &[],
            3,
            "✘ 0 critical 0 high 0 medium · 0 secrets · 1 file · 1 package NOT CHECKED",
        ),
        (&[clean, ("bun.lock", b"{}")], &[], 3, "✘ 0 critical 0 high 0 medium · 0 secrets · 1 file · packages NOT CHECKED"),
        (
            &[clean, ("node_modules/a/yarn.lock", b"a@1:\n  version \"1.0.0\"\n")],
            &[],
            0,
            "✔ 0 critical 0 high 0 medium · 0 secrets · 1 file · no lockfile found",
        ),
        (
            &[clean, ("package-lock.json", broken_lock)],
            &["--advisories", "optional"],
            3,
            "✘ 0 critical 0 high 0 medium · 0 secrets · 1 file · packages NOT CHECKED · 1 NOT READ",
        ),
        (
            &[("dist/a.js", medium.as_bytes())],
            &["--fail-on", "high"],
            0,
            "✔ 0 critical 0 high 1 medium · 1 secret · 1 file · no lockfile found",
        ),
        (
            &[("dist/a.js", medium.as_bytes())],
            &["--fail-on", "medium"],
            1,
            "✘ 0 critical 0 high 1 medium · 1 secret · 1 file · no lockfile found",
        ),
        (
            &[("dist/a.js", critical.as_bytes()), ("package-lock.json", full_lock)],
            &[],
            1,
            "✘ 1 critical 0 high 0 medium · 1 secret · 1 file · 2 packages NOT CHECKED",
        ),
        (&[("dist/sub/.keep", b"")], &[], 3, "✘ 0 critical 0 high 0 medium · 0 secrets · 1 file · no lockfile found · NOTHING SCANNED"),
    ];
    for (files, flags, code, summary) in table {
        let folder = folder_with(files);
        let answer = scan_below(folder.path(), "dist", flags);
        assert_eq!((answer.code, last_line(&answer.stdout)), (code, summary), "{}{}", answer.stdout, answer.stderr);
        assert!(!answer.stdout.contains("CVE") && !answer.stderr.contains("CVE"));
    }
}

#[test]
fn a_wrong_command_line_is_usage() {
    let folder = folder_with(&[("a", b"")]);
    for flags in [["--fail-on", "worst"], ["--output", "xml"], ["--advisories", "maybe"], ["--colour\u{1b}[31m", "x"]] {
        let answer = scan_below(folder.path(), "a", &flags);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
        assert!(answer.stderr.starts_with("error: ") && !answer.stderr.contains('\u{1b}'), "{:?}", answer.stderr);
    }
    assert_eq!(scan_with(folder.path(), &[], &mut scan::NoRun).code, 2);
    let help = scan_with(folder.path(), &[OsStr::new("--help")], &mut scan::NoRun);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Examples:") && help.stdout.contains("Exit codes:"));
}

#[test]
fn a_scan_of_nothing_is_never_green() {
    let folder = folder_with(&[]);
    fs::create_dir(folder.path().join("dist")).unwrap();
    symlink("/etc/hostname", folder.path().join("dist/link")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("empty/file"), "").unwrap();
    for below in ["dist", "dist/link", "absent", "empty"] {
        let answer = scan_below(folder.path(), below, &["--advisories", "optional"]);
        assert_eq!(answer.code, 3, "{below}");
        assert!(answer.stderr.contains("nothing was scanned"), "{}", answer.stderr);
        assert!(last_line(&answer.stdout).starts_with('✘') && answer.stdout.contains("NOTHING SCANNED"), "{}", answer.stdout);
    }
    let absent = scan_with(&folder.path().join("absent"), &[folder.path().as_os_str()], &mut scan::NoRun);
    assert_eq!(absent.code, 3);
    assert!(absent.stderr.starts_with("error: checkout "), "{}", absent.stderr);
}

#[test]
fn what_cannot_be_read_is_named_and_fails() {
    // Memory at address 0: a regular file that opens and does not read, for root too.
    let folder = folder_with(&[("dist/a.js", b"fine")]);
    let memory = format!("/proc/{}/mem", std::process::id());
    let answer = scan_with(folder.path(), &[folder.path().join("dist").as_os_str(), OsStr::new(&memory)], &mut scan::NoRun);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("error: {memory}: ")), "{}", answer.stderr);
    assert!(last_line(&answer.stdout).ends_with("1 file · no lockfile found · 1 NOT READ"), "{}", answer.stdout);
}

#[test]
fn pipes_are_not_opened_and_links_are_not_followed() {
    let outside = folder_with(&[("secret", critical().as_bytes())]);
    let folder = folder_with(&[("dist/a.js", b"fine"), ("dist/.gitignore", b"*"), (".gitignore", b"dist/")]);
    let dist = folder.path().join("dist");
    symlink(outside.path(), dist.join("out")).unwrap();
    symlink(outside.path().join("secret"), dist.join("one")).unwrap();
    symlink(".", dist.join("loop")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, dist.join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dist.join("socket")).unwrap();
    let answer = scan_below(folder.path(), "dist", &[]);
    drop(socket);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    for said in [
        "dist/out: symbolic link",
        "dist/one: symbolic link",
        "dist/loop: symbolic link",
        "dist/pipe: pipe, never",
        "dist/socket: socket, never",
    ] {
        assert!(answer.stderr.contains(&format!("skipped {said}")), "{said} in {}", answer.stderr);
    }
    assert!(last_line(&answer.stdout).contains("· 2 files ·"));
    symlink(outside.path(), folder.path().join("build")).unwrap();
    let answer = scan_below(folder.path(), "build", &[]);
    assert_eq!(answer.code, 3);
    assert!(answer.stderr.contains("leads out of the checkout"), "{}", answer.stderr);
}

#[test]
fn ignored_hidden_and_binary_files_are_scanned_and_values_are_masked() {
    let secret = critical();
    let binary = [b"\x7fELF\0\xff\xfe\n".as_slice(), b"\0\0", secret.as_bytes(), b"\0\xff"].concat();
    let text = format!("a\n  ä {secret}\n");
    let folder = folder_with(&[
        (".gitignore", b"dist"),
        ("dist/.env", text.as_bytes()),
        ("dist/node_modules/x/bin", &binary),
        ("dist/.git/config", secret.as_bytes()),
    ]);
    let answer = scan_below(folder.path(), "dist", &[]);
    assert_eq!(answer.code, 1);
    for place in ["dist/.env:2:5: critical", "dist/node_modules/x/bin:2:3: critical", "dist/.git/config:1:1: critical"] {
        assert!(answer.stdout.contains(place), "{place} in {}", answer.stdout);
    }
    assert!(answer.stdout.contains("dop_… (71 bytes, sha256 "));
    for output in ["text", "json", "sarif"] {
        let answer = scan_below(folder.path(), "dist", &["--output", output]);
        assert!(!answer.stdout.contains(&secret[8..]) && !answer.stderr.contains(&secret[8..]), "{output}");
    }
}

#[test]
fn hostile_names_reach_no_terminal() {
    let folder = folder_with(&[]);
    let names: [&[u8]; 5] = [b"\x1b]52;c;QQ==\x07", b"new\nline", "\u{202e}gpj.exe".as_bytes(), "\u{9b}31m".as_bytes(), b"not\xffutf8"];
    for name in names {
        let dir = folder.path().join("dist").join(OsStr::from_bytes(name));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(OsStr::from_bytes(name)), critical()).unwrap();
        symlink("x", dir.join("link")).unwrap();
        fs::write(dir.join("Cargo.lock"), "version = 3\n").unwrap();
        fs::write(dir.join("go.sum"), "broken").unwrap();
    }
    for output in ["text", "json", "sarif"] {
        let answer = scan_below(folder.path(), "dist", &["--output", output]);
        assert_eq!(answer.code, 1, "{}", answer.stderr);
        for character in answer.stdout.chars().chain(answer.stderr.chars()) {
            assert!(character == '\n' || !(character.is_control() || character == '\u{202e}'), "{character:?} in {output}");
        }
    }
    let report: Report = serde_json::from_str(&scan_below(folder.path(), "dist", &["--output", "json"]).stdout).unwrap();
    assert!(report.scanned.contains_key("dist/new\nline/new\nline"));
    assert!(report.scanned.contains_key("dist/not\\xffutf8/not\\xffutf8"));
    assert_eq!(report.findings.len(), names.len());
}

/// Keeps what it is handed and answers as told.
struct Run {
    checkout: PathBuf,
    answer: Result<Option<Terms>, String>,
    handed: Vec<Report>,
}

impl ReportSink for Run {
    fn checkout(&self) -> Option<PathBuf> {
        Some(self.checkout.clone())
    }

    fn hand_in(&mut self, report: &Report) -> Result<Option<Terms>, String> {
        self.handed.push(report.clone());
        self.answer.clone()
    }
}

#[test]
fn inside_a_run_the_stricter_rule_holds() {
    type Answered = Result<Option<Terms>, String>;
    let lock = b"version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"x\"\n".as_slice();
    let (required, optional) = (Terms { advisories: Advisories::Required }, Terms { advisories: Advisories::Optional });
    let table: [(Answered, &[&str], u8); 7] = [
        (Ok(None), &[], 3),
        (Ok(Some(optional)), &[], 0),
        (Ok(Some(required)), &[], 3),
        (Ok(Some(required)), &["--advisories", "optional"], 3),
        (Ok(Some(optional)), &["--advisories", "required"], 3),
        (Ok(Some(optional)), &["--advisories", "optional"], 0),
        (Err("the engine\u{1b} is gone".to_owned()), &["--advisories", "optional"], 3),
    ];
    for (answer, flags, code) in table {
        let folder = folder_with(&[("dist/a", b"x"), ("Cargo.lock", lock)]);
        let mut run = Run { checkout: folder.path().to_owned(), answer, handed: Vec::new() };
        let path = folder.path().join("dist");
        let arguments: Vec<&OsStr> = std::iter::once(path.as_os_str()).chain(flags.iter().map(OsStr::new)).collect();
        let got = scan_with(folder.path(), &arguments, &mut run);
        assert_eq!(got.code, code, "{:?} {flags:?}: {}", run.answer, got.stderr);
        assert!(!got.stderr.contains('\u{1b}'));
        assert_eq!(run.handed.len(), 1);
        let summary = run.handed[0].summary().unwrap();
        assert_eq!((summary.clean, summary.files, summary.packages, summary.advisories_checked), (true, 1, 1, false));
        assert_eq!(summary.scanned.keys().collect::<Vec<_>>(), ["dist/a"]);
        assert_eq!(summary.scanned["dist/a"], hms::event::Digest::of(b"x").hex());
    }
}

#[test]
fn the_same_files_give_the_same_report_and_other_bytes_another() {
    let folder = folder_with(&[("dist/a", b"x"), ("dist/b", critical().as_bytes())]);
    let report = || -> Report { serde_json::from_str(&scan_below(folder.path(), "dist", &["--output", "json"]).stdout).unwrap() };
    let first = report();
    assert_eq!(first, report());
    assert_eq!(first.digest().unwrap(), report().digest().unwrap());
    let summary = first.summary().unwrap();
    assert_eq!((summary.clean, summary.secrets, summary.findings["critical"], summary.findings.len()), (false, 1, 1, 5));
    fs::write(folder.path().join("dist/a"), "y").unwrap();
    assert_ne!(first.digest().unwrap(), report().digest().unwrap());
    // A finding that moved is the same finding.
    fs::write(folder.path().join("dist/b"), format!("\n\n{}", critical())).unwrap();
    let moved = report();
    assert_eq!((moved.findings[0].line, &moved.findings[0].fingerprint), (3, &first.findings[0].fingerprint));
}

#[test]
fn paths_that_overlap_are_scanned_once() {
    let folder = folder_with(&[("dist/sub/a", critical().as_bytes())]);
    let path = folder.path().join("dist/sub");
    let answer =
        scan_with(folder.path(), &[folder.path().join("dist").as_os_str(), path.as_os_str(), path.join("a").as_os_str()], &mut scan::NoRun);
    assert!(last_line(&answer.stdout).starts_with("✘ 1 critical 0 high 0 medium · 1 secret · 1 file ·"), "{}", answer.stdout);
}

#[test]
fn sarif_has_what_code_hosts_read() {
    let folder =
        folder_with(&[("dist/a b.js", format!("x {}", critical()).as_bytes()), ("dist/c.zip", b"PK\x03\x04rest"), ("bun.lock", b"")]);
    let answer = scan_below(folder.path(), "dist", &["--output", "sarif"]);
    let log: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "digitalocean-token");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "dist/a%20b.js");
    assert_eq!(place["region"], serde_json::json!({"startLine": 1, "startColumn": 3}));
    assert_eq!(result["partialFingerprints"]["hmsSecret/v1"].as_str().unwrap().len(), 32);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["id"] == "digitalocean-token").unwrap();
    assert_eq!(rule["properties"]["security-severity"], "9.5");
    let ids: std::collections::BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len());
    let notes = run["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(notes.contains("zip archive") && notes.contains("not looked up"), "{notes}");
    assert!(last_line(&answer.stderr).starts_with("✘ 1 critical"), "{}", answer.stderr);
}

#[test]
fn this_tree_holds_no_secret() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The test cluster's modules are pinned by lockfiles of their own, whose packages nobody looks up: it is scanned by itself.
    let cluster = root.join("tests/cluster");
    let answer = scan_with(&cluster, &[cluster.as_os_str(), OsStr::new("--fail-on"), OsStr::new("low")], &mut scan::NoRun);
    let said = format!("{}{}", answer.stdout, answer.stderr);
    assert!(answer.code == 3 && said.contains("0 critical 0 high 0 medium · 0 secrets"), "{} {said}", answer.code);
    let paths = ["src", "tests/it", "docs", "Cargo.toml"].map(|path| root.join(path));
    let arguments: Vec<&OsStr> = paths.iter().map(|path| path.as_os_str()).chain(["--fail-on", "low"].map(OsStr::new)).collect();
    let answer = scan_with(&root.join("src"), &arguments, &mut scan::NoRun);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn the_program_itself_answers_with_the_code() {
    let folder = folder_with(&[("dist/a", critical().as_bytes())]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hms-scan"))
        .args(["dist/", "--fail-on", "high"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("dist/a:1:1: critical DigitalOcean access token: dop_…"));
}

#[test]
fn inside_a_run_the_checkout_is_the_runs() {
    let folder = folder_with(&[("web/dist/a", b"x"), ("Cargo.lock", b"version = 4\n"), ("empty/.keep", b"")]);
    let mut run = Run { checkout: folder.path().to_owned(), answer: Ok(None), handed: Vec::new() };
    let path = folder.path().join("web/dist");
    let program = [OsStr::new("hms-scan"), path.as_os_str()].map(OsStr::to_owned);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    assert_eq!(scan::main_scan(program.into_iter(), &mut stdout, &mut stderr, &mut run), 0);
    assert_eq!(run.handed[0].scanned.keys().collect::<Vec<_>>(), ["web/dist/a"]);
    assert_eq!(run.handed[0].lockfiles.len(), 1);
    // Another folder would hide the lockfile from the scan.
    let elsewhere = scan_with(&folder.path().join("empty"), &[path.as_os_str()], &mut run);
    assert_eq!(elsewhere.code, 2);
    assert!(elsewhere.stderr.contains("the run's checkout"), "{}", elsewhere.stderr);
    assert_eq!(run.handed.len(), 1);
}
