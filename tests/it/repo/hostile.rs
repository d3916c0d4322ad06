//! A repository whose configuration, hooks and attributes name programs: none of them runs, whatever is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hms::event::Revision;
use hms::repo::{Bump, RefKind, Repository, Tagger};

use super::checkout::everything_below;
use super::world::{World, git};

/// Each of git's ways to run a program that a repository can set, with a mark of its own.
fn configuration(marks: &Path) -> String {
    let touch = |name: &str| format!("touch {}/{name}", marks.display());
    let hooks = marks.parent().unwrap().join("hooks");
    format!(
        "[core]\n\tfsmonitor = \"{fsmonitor}; false\"\n\thooksPath = {hooks}\n\tsshCommand = {ssh}\n\tpager = {pager}\n\teditor = {editor}\n\
         \taskPass = {ask}\n\tgitProxy = {proxy}\n\tuntrackedCache = true\n\talternateRefsCommand = {alternate}\n\
         [filter \"evil\"]\n\tclean = \"{clean}; cat\"\n\tsmudge = \"{smudge}; cat\"\n\tprocess = {process}\n\trequired = true\n\
         [diff]\n\texternal = {external}\n[diff \"evil\"]\n\ttextconv = {textconv}\n\tcommand = {command}\n[merge \"evil\"]\n\tdriver = {merge}\n\
         [alias]\n\tstatus = \"!{alias}\"\n\tcheckout = \"!{alias}\"\n[credential]\n\thelper = \"!{credential}\"\n\
         [gpg]\n\tprogram = {gpg}\n[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n[init]\n\ttemplateDir = {hooks}\n\
         [uploadpack]\n\tpackObjectsHook = {pack}\n[remote \"origin\"]\n\turl = \"ext::{ext}\"\n\tuploadpack = {upload}\n\
         \tpromisor = true\n\tpartialclonefilter = blob:none\n[include]\n\tpath = {include}\n[include]\n\tpath = /dev/null/none\n",
        fsmonitor = touch("fsmonitor"),
        hooks = hooks.display(),
        ssh = touch("ssh"),
        pager = touch("pager"),
        editor = touch("editor"),
        ask = touch("ask"),
        proxy = touch("proxy"),
        alternate = touch("alternate"),
        clean = touch("clean"),
        smudge = touch("smudge"),
        process = touch("process"),
        external = touch("external"),
        textconv = touch("textconv"),
        command = touch("command"),
        merge = touch("merge"),
        alias = touch("alias"),
        credential = touch("credential"),
        gpg = touch("gpg"),
        pack = touch("pack"),
        ext = touch("ext"),
        upload = touch("upload"),
        include = marks.parent().unwrap().join("included").display(),
    )
}

/// A repository with two commits and a dirty tree, then made hostile.
fn hostile() -> (World, Revision, Revision) {
    let world = World::empty();
    let attributes = "* filter=evil diff=evil merge=evil ident text=auto eol=crlf\n";
    fs::write(world.path("repo/.gitattributes"), attributes).unwrap();
    let first = world.commit("a.txt", "one\n", "feat: one");
    let second = world.commit("b.txt", "two\n", "feat: two");
    for name in ["marks", "hooks"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    let marks = world.path("marks");
    fs::write(world.path("included"), format!("[core]\n\tfsmonitor = \"touch {}/included; false\"\n", marks.display())).unwrap();
    let hooks = ["post-checkout", "pre-commit", "reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc"];
    for hook in hooks {
        for folder in [world.path("hooks"), world.path("repo/.git/hooks")] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(hook), format!("#!/bin/sh\ntouch {}/hook-{hook}\n", marks.display())).unwrap();
            fs::set_permissions(folder.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let config = world.path("repo/.git/config");
    let plain = fs::read_to_string(&config).unwrap();
    fs::write(&config, plain + &configuration(&marks)).unwrap();
    fs::write(world.path("repo/a.txt"), "changed\n").unwrap();
    fs::write(world.path("repo/untracked"), "new\n").unwrap();
    (world, first, second)
}

fn marks(world: &World) -> Vec<String> {
    fs::read_dir(world.path("marks")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_trap_is_a_real_one() {
    let (world, ..) = hostile();
    git(&world.path("repo"), &["add", "-A"]);
    let marks = marks(&world);
    assert!(marks.iter().any(|mark| ["fsmonitor", "included", "clean", "process"].contains(&mark.as_str())), "{marks:?}");
}

#[test]
fn no_question_runs_a_program_or_touches_a_file() {
    let (world, first, second) = hostile();
    let before = everything_below(&world.path("repo"));
    let repo = Repository::discover(&world.path("repo")).unwrap();
    let _ = (repo.common_dir(), repo.work_dir(), repo.app_name_default(), repo.ref_paths(), repo.ref_fingerprint());
    assert_eq!(repo.first_commit().unwrap(), Some(first.clone()));
    assert_eq!(repo.resolve("main").unwrap().revision, second);
    assert_eq!(repo.head_branch().unwrap().as_deref(), Some("main"));
    assert_eq!(repo.default_branch().unwrap().as_deref(), Some("main"));
    assert_eq!(repo.commit_facts(&second).unwrap().title, "feat: two");
    assert_eq!(repo.read_file_at(&second, Path::new("b.txt")).unwrap().unwrap(), b"two\n");
    assert!(repo.is_ancestor(&first, &second).unwrap());
    assert!(repo.is_dirty().unwrap());
    assert_eq!(repo.refs(RefKind::Local, &["main".to_owned()]).unwrap().len(), 1);
    assert_eq!(repo.tag_of(&second).unwrap().tag, second.short());
    assert!(repo.resolve_tag(second.short()).is_ok());
    assert_eq!(repo.next_version(Bump::Conventional, &second).unwrap().unwrap().tag, "v0.1.0");
    let done = repo.checkout(&second, &world.path("out")).unwrap();
    assert_eq!(done.files, 3);
    assert_eq!(fs::read(world.path("out/a.txt")).unwrap(), b"one\n");
    assert_eq!(everything_below(&world.path("repo")), before, "the repository was written to");
    assert_eq!(marks(&world), [""; 0]);
}

#[test]
fn a_tag_runs_nothing_and_changes_nothing_but_refs_and_objects() {
    let (world, _, second) = hostile();
    let working = |world: &World| {
        let mut all = everything_below(&world.path("repo"));
        let git = world.path("repo/.git");
        all.retain(|(path, _)| !path.starts_with(git.join("objects")) && !path.starts_with(git.join("refs")) && *path != git);
        all
    };
    let before = working(&world);
    let tagger = Tagger { name: "hms".to_owned(), email: "hms@example.org".to_owned(), seconds: 1 };
    world.repo().create_annotated_tag("v0.1.0", &second, "v0.1.0\n", &tagger).unwrap();
    assert_eq!(world.repo().tag_of(&second).unwrap().tag, "v0.1.0");
    assert_eq!(working(&world), before);
    assert_eq!(marks(&world), [""; 0]);
}

#[test]
fn git_in_a_checkout_runs_nothing_of_the_repository() {
    let (world, _, second) = hostile();
    let out = world.path("out");
    world.repo().checkout(&second, &out).unwrap();
    for arguments in [
        &["status"][..],
        &["diff"],
        &["describe", "--always", "--dirty"],
        &["add", "-A"],
        &["commit", "--allow-empty", "-m", "x"],
        &["tag", "x"],
    ] {
        git(&out, arguments);
    }
    assert_eq!(marks(&world), [""; 0]);
}
