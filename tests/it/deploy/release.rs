//! Trees and their digests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hms::deploy::release::{ReleaseError, assemble, digest_of_tree};
use hms::event::Digest;
use proptest::prelude::*;

type Files = BTreeMap<String, (Vec<u8>, bool)>;

fn write<'a>(root: &Path, files: impl Iterator<Item = (&'a String, &'a (Vec<u8>, bool))>) {
    fs::create_dir_all(root).unwrap();
    for (name, (bytes, executable)) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(if *executable { 0o700 } else { 0o640 })).unwrap();
    }
}

fn digest(root: &Path) -> Digest {
    digest_of_tree(root).unwrap().0
}

fn files() -> impl Strategy<Value = Files> {
    // Names of folders and of files never clash.
    let name = prop_oneof!["[a-c]{1,3}\\.f", "[a-c]{1,2}/[a-c]{1,2}\\.f", "[é~ ]{1,2}/x/[a-z]{1,2}\\.f"];
    prop::collection::btree_map(name, (prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The digest knows bytes, modes and names, and nothing else; a copy has the same one.
    #[test]
    fn a_digest_is_of_bytes_modes_and_names(files in files(), pick in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let (one, other, copy) = (folder.path().join("one"), folder.path().join("other"), folder.path().join("copy"));
        write(&one, files.iter());
        write(&other, files.iter().rev());
        fs::create_dir(other.join("empty")).unwrap();
        let old = fs::File::open(other.join(files.keys().next().unwrap())).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let expected = digest(&one);
        prop_assert_eq!(&digest(&other), &expected);
        let assembled = assemble(&one, &[], &copy).unwrap();
        prop_assert_eq!(&assembled.digest, &expected);
        prop_assert_eq!(digest_of_tree(&copy).unwrap(), (expected.clone(), assembled.files, assembled.bytes));

        let (name, (bytes, executable)) = files.iter().nth(pick.index(files.len())).unwrap();
        let path = other.join(name);
        let mut changed = bytes.clone();
        if changed.is_empty() { changed.push(0) } else { let at = flip.index(changed.len()); changed[at] ^= 1 }
        fs::write(&path, &changed).unwrap();
        prop_assert_ne!(&digest(&other), &expected);
        fs::write(&path, bytes).unwrap();
        prop_assert_eq!(&digest(&other), &expected);
        fs::set_permissions(&path, fs::Permissions::from_mode(if *executable { 0o644 } else { 0o755 })).unwrap();
        prop_assert_ne!(&digest(&other), &expected);
        fs::set_permissions(&path, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 })).unwrap();
        fs::rename(&path, path.with_extension("g")).unwrap();
        prop_assert_ne!(&digest(&other), &expected);
    }
}

#[test]
fn the_digest_is_of_the_documented_text() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path();
    fs::create_dir(tree.join("b")).unwrap();
    fs::write(tree.join("b/x"), "x").unwrap();
    fs::write(tree.join("b.txt"), "").unwrap();
    fs::set_permissions(tree.join("b.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("b/x", tree.join("a")).unwrap();
    fs::create_dir(tree.join(".git")).unwrap();
    fs::write(tree.join(".git/HEAD"), "never part").unwrap();
    let hex = |text: &str| Digest::of(text.as_bytes()).hex().to_owned();
    // `.` sorts before `/`.
    let text = format!("hms-tree-1\nL {} a\nF 755 {} b.txt\nF 644 {} b/x\n", hex("b/x"), hex(""), hex("x"));
    assert_eq!(digest_of_tree(tree).unwrap(), (Digest::of(text.as_bytes()), 3, 1));
}

#[test]
fn overlays_take_the_place_of_what_is_under_them_and_never_write_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (path, text) in [
        ("base/a", "base"),
        ("base/dir/x", "base"),
        ("base/real/x", "base"),
        ("base/.git/HEAD", "base"),
        ("base/module/.git", "base"),
        ("one/a", "one"),
        ("one/dir", "a file now"),
        ("two/link/x", "two"),
        ("two/a/deep", "two"),
    ] {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), text).unwrap();
    }
    symlink("real", at("base/link")).unwrap();
    let assembled = assemble(&at("base"), &[at("one"), at("two")], &at("into")).unwrap();
    let read = |name: &str| fs::read_to_string(at("into").join(name)).unwrap();
    assert_eq!(read("dir"), "a file now");
    assert_eq!(read("a/deep"), "two");
    assert_eq!(read("link/x"), "two");
    assert_eq!(read("real/x"), "base");
    assert!(!at("into/.git").exists() && !at("into/module").exists());
    assert_eq!(assembled.digest, digest(&at("into")));
    assert_eq!(assembled.files, 4);
}

#[test]
fn what_cannot_be_part_is_refused_by_its_name() {
    let outside = |link: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        // Inside as it stands: it leads to the tree itself. What goes on from there may not be.
        symlink("../../..", tree.join("a/b/c/up")).unwrap();
        symlink(to, tree.join(link)).unwrap();
        match assemble(&tree, &[], &folder.path().join("into")) {
            Ok(_) => false,
            Err(ReleaseError::LinkOutside { path, .. }) => path == Path::new(link),
            Err(error) => panic!("{error}"),
        }
    };
    for (link, to) in [("l", "/etc/passwd"), ("l", ".."), ("a/l", "../../x"), ("l", "a/b/c/up/.."), ("a/l", "nowhere/../../../x")] {
        assert!(outside(link, to), "{link} -> {to} was let in");
    }
    for (link, to) in [("l", "a/b"), ("a/l", ".."), ("l", "l"), ("l", "nowhere"), ("l", "a/b/c/up/a")] {
        assert!(!outside(link, to), "{link} -> {to} was refused");
    }

    let refused = |make: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let error = digest_of_tree(folder.path()).unwrap_err();
        assert!(matches!(error, ReleaseError::Unfit { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(&|tree| fs::write(tree.join("two\nlines"), "").unwrap()).contains("line break"));
    let pipe = |tree: &Path| rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    assert!(refused(&pipe).contains("\"pipe\" cannot be part of a release: it is a named pipe"));
    let socket = |tree: &Path| drop(std::os::unix::net::UnixListener::bind(tree.join("s")).unwrap());
    assert!(refused(&socket).contains("socket"));
    let bytes = |tree: &Path| fs::write(tree.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(refused(&bytes).contains("UTF-8"));
}
