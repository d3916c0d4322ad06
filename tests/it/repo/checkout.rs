//! The isolated checkout.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use hms::event::Revision;
use hms::repo::{Error, Submodules};

use super::world::{World, git_in};

#[test]
fn files_modes_and_links_are_as_committed_and_git_finds_it_clean() {
    let world = World::with_commit();
    let root = world.path("repo");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("a/b/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../readme", root.join("a/link")).unwrap();
    fs::write(root.join(".gitattributes"), "* text=auto eol=crlf\n*.up filter=upper\n").unwrap();
    fs::write(root.join("crlf.txt"), "one\ntwo\n").unwrap();
    fs::write(root.join("x.up"), "as it is\n").unwrap();
    let revision = world.commit("a/ü \"name\"", "x", "all kinds");
    world.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let out = world.path("out");
    let done = world.repo().checkout(&revision, &out).unwrap();
    assert_eq!((done.files, done.notices()), (7, Vec::new()));
    assert_eq!(fs::read_to_string(out.join("crlf.txt")).unwrap(), "one\ntwo\n", "no conversion");
    assert_eq!(fs::metadata(out.join("a/b/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(out.join("readme")).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_link(out.join("a/link")).unwrap(), Path::new("../readme"));
    assert_eq!(git_in(&out, &["status", "--porcelain"]), "");
    assert_eq!(git_in(&out, &["rev-parse", "HEAD"]), revision.as_str());
    assert_eq!(git_in(&out, &["describe", "--dirty"]), "v1.0.0");
    assert_eq!(git_in(&out, &["rev-parse", "--show-toplevel"]), out.canonicalize().unwrap().display().to_string());
    assert_eq!(git_in(&out, &["remote"]), "");
    git_in(&out, &["fsck", "--connectivity-only"]);
    git_in(&out, &["commit", "--quiet", "--allow-empty", "-m", "in the job"]);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), revision.as_str(), "a job's commit stays in its checkout");
}

#[test]
fn the_working_tree_is_left_as_it_was() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    fs::write(world.path("repo/readme"), "uncommitted\n").unwrap();
    let before = everything_below(&world.path("repo"));
    let repo = world.repo();
    repo.checkout(&revision, &world.path("out")).unwrap();
    assert!(repo.is_dirty().unwrap());
    assert_eq!(everything_below(&world.path("repo")), before);
    assert_eq!(fs::read_to_string(world.path("out/readme")).unwrap(), "hello\n");
}

#[test]
fn below_the_repositorys_own_git_folder_git_finds_the_checkout_and_nothing_else() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    let out = world.path("repo/.git/hms/runs/1/work/build/1");
    fs::create_dir_all(out.parent().unwrap()).unwrap();
    world.repo().checkout(&revision, &out).unwrap();
    fs::write(out.join("new"), "x").unwrap();
    git_in(&out, &["add", "-A"]);
    git_in(&out, &["commit", "--quiet", "-m", "in the job"]);
    git_in(&out, &["clean", "-fdx"]);
    git_in(&out, &["gc", "--quiet", "--prune=now"]);
    assert_eq!(git_in(&out, &["rev-parse", "--show-toplevel"]), out.canonicalize().unwrap().display().to_string());
    assert_eq!(world.git(&["rev-parse", "main"]), revision.as_str());
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    world.git(&["fsck", "--strict"]);
    let nested = hms::repo::Repository::discover(&out).unwrap();
    assert_eq!(nested.common_dir(), out.join(".git").canonicalize().unwrap());
}

#[test]
fn a_folder_in_use_is_not_written_into() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    fs::create_dir(world.path("out")).unwrap();
    fs::write(world.path("out/mine"), "x").unwrap();
    assert!(matches!(world.repo().checkout(&revision, &world.path("out")), Err(Error::Write { .. })));
    symlink(world.path("repo"), world.path("linked")).unwrap();
    assert!(matches!(world.repo().checkout(&revision, &world.path("linked")), Err(Error::Write { .. })));
}

#[test]
fn submodules_and_lfs_pointers_are_told() {
    let world = World::with_commit();
    let inner = world.repo().head().unwrap().unwrap();
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{inner},lib/sub")]);
    fs::write(world.path("repo/big.bin"), format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1\n", "0".repeat(64)))
        .unwrap();
    world.git(&["add", "big.bin"]);
    world.git(&["commit", "--quiet", "-m", "x"]);
    let revision = world.repo().head().unwrap().unwrap();
    let done = world.repo().checkout(&revision, &world.path("out")).unwrap();
    assert_eq!(done.notices().len(), 2, "{done:?}");
    assert!(world.path("out/lib/sub").is_dir());
    assert_eq!(git_in(&world.path("out"), &["status", "--porcelain"]), "");
}

#[test]
fn a_shallow_clone_checks_out_and_git_knows_where_history_ends() {
    let world = World::with_commit();
    let revision = world.commit("b", "b", "two");
    let source = format!("file://{}", world.path("repo").display());
    git_in(world.folder.path(), &["clone", "--quiet", "--depth=1", &source, "shallow"]);
    let shallow = hms::repo::Repository::discover(&world.path("shallow")).unwrap();
    shallow.checkout(&revision, &world.path("out")).unwrap();
    assert_eq!(git_in(&world.path("out"), &["rev-list", "--count", "HEAD"]), "1");
}

#[test]
fn a_checkout_of_a_checkout_works() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    world.repo().checkout(&revision, &world.path("one")).unwrap();
    let nested = hms::repo::Repository::discover(&world.path("one")).unwrap();
    assert_eq!(nested.common_dir(), world.path("one/.git").canonicalize().unwrap());
    assert!(!nested.is_dirty().unwrap());
    nested.checkout(&revision, &world.path("two")).unwrap();
    assert_eq!(git_in(&world.path("two"), &["status", "--porcelain"]), "");
}

/// Makes a commit of a tree that git itself would not make, and gives both back.
fn commit_of(world: &World, entries: &[(&str, &[u8], &str)]) -> Revision {
    let mut tree = Vec::new();
    for (mode, name, id) in entries {
        tree.extend_from_slice(mode.as_bytes());
        tree.push(b' ');
        tree.extend_from_slice(name);
        tree.push(0);
        let bytes = |at: usize| u8::from_str_radix(&id[at * 2..at * 2 + 2], 16).unwrap();
        tree.extend((0..20).map(bytes));
    }
    fs::write(world.path("tree"), tree).unwrap();
    let file = world.path("tree").display().to_string();
    let tree = world.git(&["hash-object", "-t", "tree", "-w", "--literally", &file]);
    world.git(&["commit-tree", "-m", "x", &tree]).parse().unwrap()
}

#[test]
fn a_tree_that_leads_outside_is_refused() {
    let world = World::with_commit();
    fs::create_dir(world.path("outside")).unwrap();
    let blob = world.git(&["rev-parse", "HEAD:readme"]);
    let tree = world.git(&["rev-parse", "HEAD^{tree}"]);
    fs::write(world.path("target"), world.path("outside").display().to_string()).unwrap();
    let link = world.git(&["hash-object", "-w", &world.path("target").display().to_string()]);
    let shapes: [&[(&str, &[u8], &str)]; 8] = [
        &[("120000", b"a", &link), ("40000", b"a", &tree)],
        &[("40000", b"a", &tree), ("120000", b"a", &link)],
        &[("120000", b"a", &link), ("100644", b"a", &blob)],
        &[("100644", b"..", &blob)],
        &[("40000", b".git", &tree)],
        &[("40000", b".GIT", &tree)],
        &[("100644", b"a/b", &blob)],
        &[("10644", b"odd", &blob)],
    ];
    for (number, shape) in shapes.iter().enumerate() {
        let revision = commit_of(&world, shape);
        let out = world.path(&format!("out{number}"));
        let result = world.repo().checkout(&revision, &out);
        assert!(matches!(result, Err(Error::BadEntry { .. } | Error::Git { .. })), "{number}: {result:?}");
        assert!(!out.join(".git/HEAD").exists(), "{number}: a usable checkout was left");
    }
    assert_eq!(fs::read_dir(world.path("outside")).unwrap().count(), 0, "something was written outside");
}

#[test]
fn thousands_of_files_take_seconds_at_most() {
    let world = World::with_commit();
    for number in 0..3_000 {
        let folder = world.path(&format!("repo/{}", number % 50));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(number.to_string()), format!("{number}\n")).unwrap();
    }
    let revision = world.commit("last", "x", "many");
    let started = std::time::Instant::now();
    let done = world.repo().checkout(&revision, &world.path("out")).unwrap();
    assert_eq!(done.files, 3_002);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    println!("3,002 files in {:?}", started.elapsed());
    assert_eq!(git_in(&world.path("out"), &["status", "--porcelain"]), "");
}

/// Every path below `folder` with its inode, size, mode and times of change.
pub(super) fn everything_below(folder: &Path) -> Vec<(std::path::PathBuf, [i64; 6])> {
    use std::os::unix::fs::MetadataExt as _;
    let mut all: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let of = entry.metadata().unwrap();
            let number = |value: u64| i64::try_from(value).unwrap();
            let facts = [number(of.ino()), number(of.size()), i64::from(of.mode()), of.mtime(), of.mtime_nsec(), of.ctime_nsec()];
            (entry.into_path(), facts)
        })
        .collect();
    all.sort();
    all
}

/// `git diff origin/main...HEAD` and `git merge-base origin/main HEAD` are everyday lines of jobs.
#[test]
fn a_job_compares_with_the_branches_of_origin() {
    let world = World::with_commit();
    let base = world.repo().head().unwrap().unwrap();
    world.git(&["checkout", "--quiet", "-b", "feature/a"]);
    let ahead = world.commit("new", "x", "ahead");
    let clone = |name: &str| {
        git_in(world.folder.path(), &["clone", "--quiet", "repo", name]);
        world.path(name)
    };
    // Its own branches, where there is no origin.
    world.repo().checkout(&ahead, &world.path("out")).unwrap();
    let out = world.path("out");
    assert_eq!(git_in(&out, &["merge-base", "origin/main", "HEAD"]), base.as_str());
    assert_eq!(git_in(&out, &["diff", "--name-only", "origin/main...HEAD"]), "new");
    assert_eq!(git_in(&out, &["rev-parse", "origin/feature/a"]), ahead.as_str());
    assert_eq!(git_in(&out, &["for-each-ref", "refs/heads"]), "", "HEAD is detached");
    // What was last fetched, where there is one; a branch that is here alone beside it.
    let cloned = clone("clone");
    git_in(&cloned, &["checkout", "--quiet", "-b", "mine"]);
    git_in(&cloned, &["commit", "--quiet", "--allow-empty", "-m", "not pushed"]);
    git_in(&cloned, &["branch", "--quiet", "--force", "feature/a", "mine"]);
    let repo = hms::repo::Repository::discover(&cloned).unwrap();
    let mine = repo.head().unwrap().unwrap();
    repo.checkout(&mine, &world.path("out2")).unwrap();
    let out = world.path("out2");
    assert_eq!(git_in(&out, &["rev-parse", "origin/main", "origin/feature/a", "origin/mine"]), format!("{base}\n{ahead}\n{mine}"));
    assert_eq!(git_in(&out, &["status", "--porcelain"]), "");
    git_in(&out, &["fsck", "--connectivity-only"]);
}

#[test]
fn submodules_come_from_what_the_clone_has_of_them() {
    let world = World::with_commit();
    let make = |name: &str| {
        let root = world.path(name);
        fs::create_dir(&root).unwrap();
        git_in(&root, &["init", "--quiet", "-b", "main"]);
        fs::write(root.join("file"), format!("{name}\n")).unwrap();
        git_in(&root, &["add", "file"]);
        git_in(&root, &["commit", "--quiet", "-m", name]);
        root
    };
    let add = |root: &Path, source: &Path, path: &str| {
        let source = source.to_str().unwrap();
        git_in(root, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", source, path]);
        git_in(root, &["commit", "--quiet", "-m", "with a submodule"]);
    };
    let (inner, outer) = (make("inner"), make("outer"));
    add(&outer, &inner, "deep");
    add(&world.path("repo"), &outer, "lib/outer");
    let revision = world.repo().head().unwrap().unwrap();
    let checkout = |name: &str, submodules| world.repo().checkout_with(&revision, &world.path(name), submodules);

    let done = checkout("none", Submodules::None).unwrap();
    assert_eq!(done.submodules.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["lib/outer"]);
    assert_eq!(fs::read_dir(world.path("none/lib/outer")).unwrap().count(), 0);

    let done = checkout("normal", Submodules::Normal).unwrap();
    assert_eq!(done.submodules.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["lib/outer/deep"]);
    assert_eq!(fs::read_to_string(world.path("normal/lib/outer/file")).unwrap(), "outer\n");
    assert_eq!(git_in(&world.path("normal"), &["status", "--porcelain"]), "");
    assert_eq!(git_in(&world.path("normal/lib/outer"), &["log", "-1", "--format=%s"]), "with a submodule");

    // The submodule of the submodule was never fetched: that is said with the way out, which works.
    let error = checkout("early", Submodules::Recursive).unwrap_err();
    assert!(matches!(&error, Error::Submodule { path, .. } if path == "deep"), "{error:?}");
    assert!(error.hint().unwrap().contains("submodule update --init --recursive"), "{:?}", error.hint());
    git_in(&world.path("repo"), &["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive"]);
    let done = checkout("all", Submodules::Recursive).unwrap();
    assert!(done.submodules.is_empty(), "{done:?}");
    assert_eq!(fs::read_to_string(world.path("all/lib/outer/deep/file")).unwrap(), "inner\n");
    assert_eq!(git_in(&world.path("all"), &["status", "--porcelain"]), "");
}
