//! From names to commits, and what commits say.

use std::path::Path;

use hms::repo::{Error, RefKind};

use super::world::{World, git_in};

#[test]
fn a_branch_a_tag_and_an_id_are_found() {
    let world = World::with_commit();
    let first = world.repo().resolve("HEAD").unwrap();
    world.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let second = world.commit("b", "b", "fix: two");
    let repo = world.repo();
    assert_eq!(first.ref_name.as_deref(), Some("main"));
    let head = repo.resolve("main").unwrap();
    assert_eq!((head.revision.as_str(), head.full_ref.as_deref()), (second.as_str(), Some("refs/heads/main")));
    let tag = repo.resolve("v1.0.0").unwrap();
    assert_eq!((&tag.revision, tag.full_ref.as_deref()), (&first.revision, Some("refs/tags/v1.0.0")));
    let short = repo.resolve(&second.as_str()[..7]).unwrap();
    assert_eq!((&short.revision, short.ref_name), (&second, None));
    assert_eq!(repo.resolve("HEAD~1").unwrap().revision, first.revision);
    assert_eq!(repo.head().unwrap(), Some(second));
}

#[test]
fn what_is_no_plain_name_is_refused_before_it_is_looked_up() {
    let world = World::with_commit();
    for bad in ["", "-x", "--upload-pack=touch x", "a..b", "HEAD:readme", ":/begin", "HEAD^{/begin}", "a\nb", "a\u{1b}[31m"] {
        assert!(matches!(world.repo().resolve(bad), Err(Error::BadName { .. })), "{bad:?}");
    }
    for unknown in ["nothing", "0123456789012345678901234567890123456789", "feedbee", "HEAD~9"] {
        let error = world.repo().resolve(unknown).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{unknown}: {error:?}");
        assert!(error.hint().unwrap().contains("git -C"), "{unknown}");
    }
}

#[test]
fn a_commit_says_what_gitlab_says() {
    let world = World::empty();
    let first = world.commit("a", "a", "first");
    let revision = world.commit("b", "b", "hot-fix: prevent negative credit\n\nBecause of this.\nAnd that.");
    let facts = world.repo().commit_facts(&revision).unwrap();
    assert_eq!(facts.title, "hot-fix: prevent negative credit");
    assert_eq!(facts.description, "Because of this.\nAnd that.\n");
    assert_eq!(facts.message, "hot-fix: prevent negative credit\n\nBecause of this.\nAnd that.\n");
    assert_eq!(facts.author, "Ada <ada@example.org>");
    assert_eq!(facts.timestamp.to_rfc3339(), "2026-11-24T16:02:11+01:00");
    assert_eq!(facts.parents, std::slice::from_ref(&first));
    assert_eq!(world.repo().first_commit().unwrap(), Some(first));
}

#[test]
fn a_file_comes_from_the_commit_and_not_from_the_working_tree() {
    let world = World::empty();
    let revision = world.commit("ci/.hms-ci.yml", "build: {}\n", "one");
    std::os::unix::fs::symlink("/etc/passwd", world.path("repo").join("link")).unwrap();
    let linked = world.commit("c", "c", "link");
    std::fs::write(world.path("repo").join("ci/.hms-ci.yml"), "evil").unwrap();
    let repo = world.repo();
    let read = |path: &str| repo.read_file_at(&revision, Path::new(path));
    assert_eq!(read("ci/.hms-ci.yml").unwrap().as_deref(), Some(&b"build: {}\n"[..]));
    assert_eq!(read("./ci/.hms-ci.yml").unwrap().as_deref(), Some(&b"build: {}\n"[..]));
    assert_eq!(read("ci/none").unwrap(), None);
    for bad in ["", "/etc/passwd", "../x", "ci"] {
        assert!(matches!(read(bad), Err(Error::BadEntry { .. })), "{bad}");
    }
    assert!(matches!(repo.read_file_at(&linked, Path::new("link")), Err(Error::BadEntry { .. })), "a link was followed");
}

#[test]
fn ancestors_are_told_and_a_shallow_clone_says_when_it_cannot() {
    let world = World::with_commit();
    let first = world.repo().head().unwrap().unwrap();
    let second = world.commit("b", "b", "two");
    let third = world.commit("c", "c", "three");
    let repo = world.repo();
    assert!(repo.is_ancestor(&first, &third).unwrap() && repo.is_ancestor(&first, &first).unwrap());
    assert!(!repo.is_ancestor(&third, &first).unwrap());
    world.git(&["checkout", "--quiet", "--detach", first.as_str()]);
    let side = world.commit("d", "d", "side");
    assert!(!world.repo().is_ancestor(&second, &side).unwrap());

    let source = format!("file://{}", world.path("repo").display());
    git_in(world.folder.path(), &["clone", "--quiet", "--depth=2", "--branch=main", &source, "shallow"]);
    let shallow = hms::repo::Repository::discover(&world.path("shallow")).unwrap();
    assert!(shallow.is_ancestor(&second, &third).unwrap());
    assert!(matches!(shallow.is_ancestor(&third, &second), Err(Error::Shallow { .. })), "a shallow no");
    assert_eq!(shallow.first_commit().unwrap(), None);
    for beyond in ["HEAD~2", first.as_str()] {
        let error = shallow.resolve(beyond).unwrap_err();
        assert!(matches!(&error, Error::Shallow { asked, .. } if asked == beyond), "{error:?}");
        assert!(error.hint().unwrap().contains("fetch --unshallow"), "{:?}", error.hint());
    }
    assert!(matches!(shallow.resolve("nobody"), Err(Error::Unknown { .. })));
}

#[test]
fn branches_are_named_also_before_the_first_commit() {
    let world = World::empty();
    let repo = world.repo();
    assert_eq!(repo.head_branch().unwrap().as_deref(), Some("main"));
    assert_eq!(repo.head().unwrap(), None);
    assert_eq!(repo.first_commit().unwrap(), None);
    let error = repo.resolve("HEAD").unwrap_err();
    assert!(matches!(error, Error::Unborn(_)), "{error:?}");
    assert!(error.hint().unwrap().contains("git commit"));
    let revision = world.commit("a", "a", "one");
    world.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(world.repo().head_branch().unwrap(), None);
    assert_eq!(world.repo().default_branch().unwrap().as_deref(), Some("main"));
    assert_eq!(world.repo().resolve("HEAD").unwrap(), hms::repo::Resolved { revision, ref_name: None, full_ref: None });
}

#[test]
fn a_moved_ref_changes_the_fingerprint_and_nothing_else_does() {
    let world = World::with_commit();
    let repo = world.repo();
    let main = || repo.refs(RefKind::Local, &["main".to_owned(), "release/*".to_owned(), "none".to_owned()]).unwrap();
    let before = (repo.ref_fingerprint(), main());
    assert_eq!((repo.ref_fingerprint(), main()), before);
    std::fs::write(world.path("repo").join("x"), "x").unwrap();
    assert_eq!(repo.ref_fingerprint(), before.0);
    let mut seen = vec![before.0];
    for name in ["one", "two", "three"] {
        world.commit(name, name, name);
        assert!(!seen.contains(&repo.ref_fingerprint()), "{name}");
        seen.push(repo.ref_fingerprint());
    }
    world.git(&["branch", "release/1"]);
    world.git(&["pack-refs", "--all"]);
    assert!(!seen.contains(&repo.ref_fingerprint()), "packed");
    let names: Vec<String> = main().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["refs/heads/main", "refs/heads/release/1"]);
    git_in(world.folder.path(), &["clone", "--quiet", "repo", "clone"]);
    let clone = hms::repo::Repository::discover(&world.path("clone")).unwrap();
    let tracked = clone.refs(RefKind::Tracking, &["*".to_owned()]).unwrap();
    assert_eq!(
        tracked.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["refs/remotes/origin/main", "refs/remotes/origin/release/1"]
    );
    assert_eq!(clone.default_branch().unwrap().as_deref(), Some("main"));
}

/// git takes the tag, and warns. Whose commit is run with whose rights is nothing to guess.
#[test]
fn a_branch_and_a_tag_of_one_name_are_two_things() {
    let world = World::with_commit();
    world.git(&["tag", "main"]);
    let second = world.commit("b", "b", "two");
    let error = world.repo().resolve("main").unwrap_err();
    assert!(matches!(error, Error::BranchAndTag { .. }), "{error:?}");
    assert_eq!(error.hint().unwrap(), "say which: refs/heads/main or refs/tags/main");
    let kind = |spec: &str| world.repo().resolve(spec).unwrap().ref_type();
    assert_eq!((kind("refs/heads/main"), kind("refs/tags/main"), kind("tags/main")), {
        use hms::event::RefType::{Branch, Tag};
        (Some(Branch), Some(Tag), Some(Tag))
    });
    assert_eq!((kind("HEAD"), kind(second.as_str())), (Some(hms::event::RefType::Branch), None));
}
