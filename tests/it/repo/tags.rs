//! Tags and versions.

use hms::repo::{Bump, CommitTag, Error, NamedRelease, TagMade, Tagger};

use super::world::World;

fn tagger() -> Tagger {
    Tagger { name: "hms".to_owned(), email: "hms@example.org".to_owned(), seconds: 1_795_536_000 }
}

#[test]
fn a_commit_goes_by_its_highest_version_else_by_a_tag_else_by_its_id() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    let name = |world: &World| world.repo().tag_of(&revision).unwrap();
    assert_eq!(name(&world), CommitTag { tag: revision.short().to_owned(), tag_object: None });
    world.git(&["tag", "nightly"]);
    world.git(&["tag", "aardvark"]);
    assert_eq!(name(&world), CommitTag { tag: "aardvark".to_owned(), tag_object: Some(revision.to_string()) });
    for version in ["v1.9.0", "v1.10.0-rc.1", "1.2.0"] {
        world.git(&["tag", version]);
    }
    assert_eq!(name(&world).tag, "v1.10.0-rc.1");
    world.git(&["tag", "-a", "v1.10.0", "-m", "x"]);
    world.git(&["pack-refs", "--all"]);
    let object = world.git(&["rev-parse", "refs/tags/v1.10.0"]);
    assert_ne!(object, revision.to_string());
    assert_eq!(name(&world), CommitTag { tag: "v1.10.0".to_owned(), tag_object: Some(object.clone()) });
    assert_eq!(world.repo().tag_object("v1.10.0").unwrap(), Some(object));
    assert_eq!(world.repo().tag_object("v9").unwrap(), None);
}

#[test]
fn what_a_person_calls_a_release_is_found() {
    let world = World::with_commit();
    let revision = world.repo().head().unwrap().unwrap();
    world.git(&["tag", "v1.0.0"]);
    let repo = world.repo();
    let tag = CommitTag { tag: "v1.0.0".to_owned(), tag_object: Some(revision.to_string()) };
    assert_eq!(repo.resolve_tag("v1.0.0").unwrap(), NamedRelease::Commit { revision: revision.clone(), tag: Some(tag) });
    for digits in [4, 8, 40] {
        let named = repo.resolve_tag(&revision.as_str()[..digits]).unwrap();
        assert_eq!(named, NamedRelease::Commit { revision: revision.clone(), tag: None });
    }
    let digest = hms::event::Digest::of(b"x");
    assert_eq!(repo.resolve_tag(&digest.to_string()).unwrap(), NamedRelease::Digest(digest));
    assert!(matches!(repo.resolve_tag(&revision.as_str()[..3]), Err(Error::Unknown { .. })), "three digits");
    assert!(matches!(repo.resolve_tag("main"), Err(Error::Unknown { .. })), "a branch is no tag");
    assert!(matches!(repo.resolve_tag("-d"), Err(Error::BadName { .. })), "an option");
}

#[test]
fn a_tag_is_made_once_and_never_moved_and_no_hook_runs() {
    let world = World::with_commit();
    let first = world.repo().head().unwrap().unwrap();
    let canary = world.path("canary");
    let hook = world.path("repo").join(".git/hooks/reference-transaction");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", canary.display())).unwrap();
    std::os::unix::fs::chown(&hook, None, None).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let made = world.repo().create_annotated_tag("v0.1.0", &first, "hms: v0.1.0\n", &tagger()).unwrap();
    let TagMade::Created { object } = made else { panic!("{made:?}") };
    assert!(!canary.exists(), "a hook ran");
    assert_eq!(world.git(&["cat-file", "-t", "v0.1.0"]), "tag");
    assert!(canary.exists() || world.git(&["update-ref", "refs/tags/probe", "HEAD"]).is_empty(), "the hook is a real one");
    assert!(canary.exists(), "the hook would have run under git");
    let again = world.repo().create_annotated_tag("v0.1.0", &first, "other words\n", &tagger()).unwrap();
    assert_eq!(again, TagMade::AlreadyThere { object: object.clone() });
    let second = world.commit("b", "b", "two");
    let moved = world.repo().create_annotated_tag("v0.1.0", &second, "x", &tagger());
    assert!(matches!(moved, Err(Error::TagElsewhere { .. })), "{moved:?}");
    assert_eq!(world.git(&["rev-parse", "refs/tags/v0.1.0"]), object);
    for bad in ["a b", "-f", "x..y", "a\nb", "x.lock"] {
        assert!(world.repo().create_annotated_tag(bad, &first, "x", &tagger()).is_err(), "{bad:?}");
    }
}

#[test]
fn the_next_version_follows_the_last_one_this_commit_comes_after() {
    let world = World::with_commit();
    let next = |bump| {
        let head = world.repo().head().unwrap().unwrap();
        world.repo().next_version(bump, &head).unwrap().map(|next| next.tag)
    };
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v0.1.0"));
    world.git(&["tag", "v1.2.3"]);
    assert_eq!(next(Bump::Conventional), None, "tagged already");
    world.commit("a", "a", "fix: a");
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v1.2.4"));
    world.commit("b", "b", "feat: b");
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v1.3.0"));
    assert_eq!(next(Bump::Patch).as_deref(), Some("v1.2.4"));
    world.git(&["tag", "v1.3.0-rc.1"]);
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v1.3.0"));
    world.git(&["checkout", "--quiet", "-b", "side", "v1.2.3"]);
    world.commit("c", "c", "feat!: c");
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v2.0.0"));
    world.git(&["tag", "v2.0.0"]);
    world.git(&["checkout", "--quiet", "main"]);
    world.commit("d", "d", "feat!: d");
    assert_eq!(next(Bump::Conventional).as_deref(), Some("v2.0.1"), "2.0.0 is taken elsewhere");
}
