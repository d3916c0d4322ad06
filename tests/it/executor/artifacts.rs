//! Artifacts from a job, and into the next one.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use hms::event::{AttemptResult, When};
use hms::executor::ArtifactSpec;

use super::Bench;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// Everything in a tree that is no folder.
fn tree(root: &Path) -> BTreeSet<String> {
    let entries = walkdir::WalkDir::new(root).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
    entries.map(|entry| entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn patterns_folders_and_exclusions() {
    let make = "mkdir -p dist/js logs/deep empty; echo a > dist/a; echo b > dist/js/b.js; echo m > dist/js/b.map; echo l > logs/1.log; echo d > logs/deep/2.log; echo .h > dist/.hidden; echo t > top.log";
    let table: [(&[&str], &[&str], &[&str]); 9] = [
        (&["dist/"], &[], &["dist/.hidden", "dist/a", "dist/js/b.js", "dist/js/b.map"]),
        (&["dist"], &["dist/js"], &["dist/.hidden", "dist/a", "dist/js/b.js", "dist/js/b.map"]),
        (&["dist"], &["dist/js/**"], &["dist/.hidden", "dist/a"]),
        (&["dist"], &["**/*.map"], &["dist/.hidden", "dist/a", "dist/js/b.js"]),
        (&["*.log"], &[], &["top.log"]),
        (&["**/*.log"], &[], &["logs/1.log", "logs/deep/2.log", "top.log"]),
        (&["logs/*"], &[], &["logs/1.log", "logs/deep/2.log"]),
        (&["dist/*.js", "dist/js/*.js", "top.log"], &[], &["dist/js/b.js", "top.log"]),
        (&["."], &["dist/**", "logs/**/*"], &["top.log"]),
    ];
    for (paths, exclude, expected) in table {
        let bench = Bench::new(&[make]).with(|spec| {
            spec.artifacts.paths = texts(paths);
            spec.artifacts.exclude = texts(exclude);
        });
        let ended = bench.run();
        ended.succeeded();
        let expected: BTreeSet<String> = texts(expected).into_iter().collect();
        assert_eq!(tree(&bench.spec.artifacts_folder), expected, "{paths:?} without {exclude:?}");
        assert_eq!(ended.record.artifacts.files, expected.len() as u64);
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(bench.spec.attempt_folder.join("artifacts.json")).unwrap()).unwrap();
        assert_eq!(manifest["entries"].as_array().unwrap().len(), expected.len());
    }
}

#[test]
fn they_are_kept_as_when_says_and_reports_always() {
    let report = "echo '<testsuite><testcase/><testcase><failure/></testcase></testsuite>' > r.xml; echo '<broken' > s.xml; echo x > kept;";
    let table = [
        (When::OnSuccess, "true", true),
        (When::OnSuccess, "false", false),
        (When::OnFailure, "true", false),
        (When::OnFailure, "false", true),
        (When::Always, "true", true),
        (When::Always, "false", true),
    ];
    for (when, end, kept) in table {
        let bench = Bench::new(&[&format!("{report} {end}")]).with(|spec| {
            let paths = texts(&["kept", "nothing/here"]);
            spec.artifacts = ArtifactSpec { paths, when, reports_junit: texts(&["*.xml"]), ..ArtifactSpec::default() };
        });
        let ended = bench.run();
        assert_eq!(bench.spec.artifacts_folder.join("kept").exists(), kept, "{when:?} {end}");
        assert_eq!(ended.record.result == AttemptResult::Success, end == "true", "a path that matches nothing fails no job");
        assert_eq!(ended.log.contains("warning: artifacts: `nothing/here` matches nothing\n"), kept);
        assert_eq!(ended.record.artifacts.reports, 2);
        assert!(bench.spec.attempt_folder.join("junit/1.xml").exists());
        let tests = ended.record.tests.unwrap();
        assert_eq!((tests.passed, tests.failed), (1, 1));
        assert!(ended.record.warnings.iter().any(|warning| warning.starts_with("the report s.xml cannot be read")), "{:?}", ended.record);
    }
}

#[test]
fn hostile_paths_take_nothing_from_outside() {
    let make = "mkdir -p out d/e; ln -s ../../secret out/up; ln -s /etc/passwd out/absolute; ln -s ../d out/inside; ln -s nowhere out/dangling; \
                ln -s ../../a d/e/down; ln -s down/../.. d/e/sly; mkfifo out/fifo; python3 -c 'pass' || true; echo ok > out/file; \
                ln -s ../secret-folder linked; ln ../secret out/hard";
    let bench = Bench::new(&[make]).with(|spec| {
        spec.artifacts.paths = texts(&["out/", "d", "../secret", "/etc/passwd", "out/../../secret", "linked/x", "linked/*", ".git"]);
    });
    std::fs::write(bench.path("secret"), "secret").unwrap();
    std::fs::create_dir(bench.path("secret-folder")).unwrap();
    std::fs::write(bench.path("secret-folder/x"), "secret").unwrap();
    std::fs::create_dir(bench.checkout(".git")).unwrap();
    std::fs::write(bench.checkout(".git/config"), "x").unwrap();
    let listener = std::os::unix::net::UnixListener::bind(bench.path("s")).unwrap();
    let ended = bench.run();
    ended.succeeded();
    drop(listener);
    // A hard link is a file like any other: whoever could make it could read it.
    let expected: BTreeSet<String> = texts(&["out/file", "out/hard", "out/inside", "out/dangling", "d/e/down"]).into_iter().collect();
    assert_eq!(tree(&bench.spec.artifacts_folder), expected, "{}", ended.log);
    assert_eq!(std::fs::read_link(bench.spec.artifacts_folder.join("out/inside")).unwrap(), Path::new("../d"));
    for text in [
        "`../secret` is refused",
        "`/etc/passwd` is refused",
        "`linked/x` is refused: linked is a link",
        "link out/up is refused",
        "link out/absolute is refused",
        "link d/e/sly is refused",
        "out/fifo is left out: it is a FIFO",
        "`.git` matches nothing",
    ] {
        assert!(ended.log.contains(text), "{text}: {}", ended.log);
    }
    assert_eq!((ended.record.artifacts.files, ended.record.artifacts.links), (2, 3));
}

#[test]
fn names_of_every_kind_modes_and_times_survive_the_way_to_the_next_job() {
    let long = "n".repeat(255);
    let make = format!(
        "mkdir -p 'a b/-c'; echo x > 'a b/-c/it'\\''s'; echo y > 'a b/{long}'; printf z > $'a b/new\\nline'; printf '\\x' > $'a b/\\xff'; chmod 751 'a b/-c/it'\\''s'; touch -d @1000000000 'a b/{long}'; for i in $(seq 1500); do echo $i > \"a b/$i-{}\"; done",
        "x".repeat(200)
    );
    let first = Bench::new(&[&make]).with(|spec| spec.artifacts.paths = texts(&["a b"]));
    first.run().succeeded();
    let second = Bench::new(&["ls 'a b' | wc -l; cat 'a b/-c/it'\\''s'; cat stray || true"])
        .with(|spec| spec.inputs = vec![first.spec.artifacts_folder.clone()]);
    let ended = second.run();
    ended.succeeded();
    assert!(ended.output().starts_with("1505\nx\n"), "{}", ended.output());
    let file = std::fs::metadata(second.checkout("a b/-c/it's")).unwrap();
    assert_eq!(file.permissions().mode() & 0o7777, 0o751);
    assert_eq!(std::fs::metadata(second.checkout(&format!("a b/{long}"))).unwrap().mtime(), 1_000_000_000);
}

#[test]
fn inputs_never_go_through_a_link_of_the_checkout() {
    let first = Bench::new(&["mkdir dist; echo new > dist/file"]).with(|spec| spec.artifacts.paths = texts(&["dist"]));
    first.run().succeeded();
    let second = Bench::new(&["cat dist/file"]).with(|spec| spec.inputs = vec![first.spec.artifacts_folder.clone()]);
    std::fs::create_dir(second.path("elsewhere")).unwrap();
    std::fs::write(second.path("elsewhere/file"), "old").unwrap();
    symlink(second.path("elsewhere"), second.checkout("dist")).unwrap();
    let ended = second.run();
    ended.succeeded();
    assert_eq!(ended.output(), "new\n");
    assert_eq!(std::fs::read_to_string(second.path("elsewhere/file")).unwrap(), "old");
}

#[test]
fn untracked_is_what_the_commit_did_not_bring() {
    let bench = Bench::new(&["echo changed > tracked; mkdir new; echo n > new/file; echo s > skipped"]).with(|spec| {
        spec.artifacts.untracked = true;
        spec.artifacts.exclude = texts(&["skipped"]);
    });
    std::fs::write(bench.checkout("tracked"), "as committed").unwrap();
    bench.run().succeeded();
    assert_eq!(tree(&bench.spec.artifacts_folder), texts(&["new/file"]).into_iter().collect());
}

#[test]
fn the_after_script_can_still_change_them() {
    let bench = Bench::new(&["echo a > a; echo b > b"]).with(|spec| {
        spec.after_script = texts(&["rm a; echo c > c"]);
        spec.artifacts.paths = texts(&["?"]);
    });
    bench.run().succeeded();
    assert_eq!(tree(&bench.spec.artifacts_folder), texts(&["b", "c"]).into_iter().collect());
}

#[test]
fn what_hms_writes_of_artifacts_and_reports_is_masked() {
    let secret = "s3cr3t-value-of-the-job";
    let bench = Bench::new(&[
        "mkdir out; echo x > out/$TOKEN.txt; ln -s $TOKEN.txt out/link",
        "echo \"<testsuite tests='1'><testcase name='$TOKEN'/></testsuite>\" > r.xml",
    ])
    .with(|spec| {
        spec.variables = vec![("TOKEN".to_owned(), secret.to_owned())];
        spec.masks = vec![secret.to_owned()];
        spec.artifacts = ArtifactSpec { paths: texts(&["out/"]), reports_junit: texts(&["*.xml"]), ..ArtifactSpec::default() };
    });
    let ended = bench.run();
    ended.succeeded();
    assert_eq!(ended.record.tests.unwrap().passed, 1);
    for (file, shown) in [("artifacts.json", "out/[MASKED].txt"), ("junit/1.xml", "name='[MASKED]'")] {
        let text = std::fs::read_to_string(bench.spec.attempt_folder.join(file)).unwrap();
        assert!(text.contains(shown) && !text.contains(secret), "{file}: {text}");
    }
    assert!(bench.spec.artifacts_folder.join(format!("out/{secret}.txt")).exists(), "what is handed on keeps its name");
}
