//! Worktrees, bare repositories, and repositories that cannot be used.

use std::os::unix::fs::chown;

use hms::repo::{Error, Repository};

use super::world::{World, git, git_in};

#[test]
fn a_linked_worktree_shares_the_common_folder_and_the_name() {
    let world = World::with_commit();
    world.git(&["worktree", "add", "--quiet", "../other", "-b", "side"]);
    let (main, other) = (world.repo(), Repository::discover(&world.path("other")).unwrap());
    assert_eq!(main.common_dir(), other.common_dir());
    assert_eq!(main.common_dir(), world.path("repo/.git").canonicalize().unwrap());
    assert_eq!(other.work_dir().unwrap().file_name().unwrap(), "other");
    assert_eq!((main.app_name_default(), other.app_name_default().as_str()), ("repo".parse().unwrap(), "repo"));
    assert_eq!(other.head_branch().unwrap().as_deref(), Some("side"));
    let before = other.ref_fingerprint();
    git_in(&world.path("other"), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    assert_ne!(other.ref_fingerprint(), before);
    assert_ne!(main.refs(hms::repo::RefKind::Local, &["side".to_owned()]).unwrap(), [], "a branch of another worktree");
}

#[test]
fn a_bare_repository_serves_but_has_no_working_tree() {
    let world = World::with_commit();
    git_in(world.folder.path(), &["clone", "--quiet", "--bare", "repo", "My App.git"]);
    let bare = Repository::discover(&world.path("My App.git")).unwrap();
    assert_eq!((bare.work_dir(), bare.app_name_default().as_str()), (None, "my-app"));
    assert!(!bare.is_dirty().unwrap());
    let head = bare.head().unwrap().unwrap();
    assert_eq!(bare.checkout(&head, &world.path("out")).unwrap().files, 1);
}

#[test]
fn no_repository_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Repository::discover(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NotARepository(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("git init"));
}

#[test]
fn a_repository_of_sha256_is_named_and_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    if !git(folder.path(), &["init", "--quiet", "--object-format=sha256", "new"]).status.success() {
        println!("skipped: this git makes no SHA-256 repository");
        return;
    }
    let error = Repository::discover(&folder.path().join("new")).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("sha1"));
}

#[test]
fn the_repository_of_another_user_is_refused_and_the_way_out_is_named() {
    let world = World::with_commit();
    let path = world.path("repo");
    if chown(&path, Some(4242), None).and_then(|()| chown(path.join(".git"), Some(4242), None)).is_err() {
        println!("skipped: only root can give a folder away");
        return;
    }
    let error = Repository::discover(&path).unwrap_err();
    assert!(matches!(error, Error::Owner(_)), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("safe.directory") && hint.contains(&path.canonicalize().unwrap().display().to_string()), "{hint}");
}

#[test]
fn uncommitted_changes_are_seen() {
    let world = World::with_commit();
    std::fs::write(world.path("repo/.gitignore"), "ignored\n").unwrap();
    world.git(&["add", "-A"]);
    assert!(world.repo().is_dirty().unwrap(), "in the index");
    world.git(&["commit", "--quiet", "-m", "x"]);
    assert!(!world.repo().is_dirty().unwrap());
    std::fs::write(world.path("repo/ignored"), "x").unwrap();
    assert!(!world.repo().is_dirty().unwrap(), "an ignored file counts");
    std::fs::write(world.path("repo/readme"), "other\n").unwrap();
    assert!(world.repo().is_dirty().unwrap(), "changed");
    world.git(&["checkout", "--quiet", "readme"]);
    std::fs::create_dir(world.path("repo/new")).unwrap();
    assert!(!world.repo().is_dirty().unwrap(), "an empty folder");
    std::fs::write(world.path("repo/new/file"), "x").unwrap();
    assert!(world.repo().is_dirty().unwrap(), "untracked");
}

#[test]
fn a_missing_object_of_a_partial_clone_names_the_command_that_fetches_it() {
    let world = World::with_commit();
    world.git(&["config", "uploadpack.allowFilter", "true"]);
    let source = format!("file://{}", world.path("repo").display());
    git_in(world.folder.path(), &["clone", "--quiet", "--no-checkout", "--filter=blob:none", &source, "partial"]);
    let partial = Repository::discover(&world.path("partial")).unwrap();
    let head = partial.head().unwrap().unwrap();
    let error = partial.checkout(&head, &world.path("out")).unwrap_err();
    assert!(matches!(error, Error::Missing { partial: true, .. }), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("archive"), "{hint}");
    git_in(&world.path("partial"), &["-c", "uploadpack.allowFilter=true", "archive", "--output=/dev/null", "--format=tar", head.as_str()]);
    let again = Repository::discover(&world.path("partial")).unwrap();
    assert_eq!(again.checkout(&head, &world.path("again")).unwrap().files, 1, "the hint helps");
}
