//! Tables of small lockfiles, and the counts that another reader got from real ones.

use std::path::{Path, PathBuf};

use super::*;

/// `name version` of each package, sorted; `name ?` without a version.
fn read(kind: Kind, text: &str) -> Vec<String> {
    let packages = kind.packages(text.as_bytes()).unwrap_or_else(|error| panic!("{kind:?}: {error}")).unwrap();
    let mut names: Vec<String> =
        packages.iter().map(|package| format!("{} {}", package.name, package.version.as_deref().unwrap_or("?"))).collect();
    names.sort();
    names
}

#[test]
fn kinds_are_known_by_their_names() {
    let table = [
        ("a/Cargo.lock", Some(Kind::Cargo)),
        ("npm-shrinkwrap.json", Some(Kind::PackageLock)),
        ("requirements.txt", Some(Kind::Requirements)),
        ("requirements-dev.txt", Some(Kind::Requirements)),
        ("requirementsology.txt", None),
        ("bun.lock", Some(Kind::Unread)),
        ("cargo.lock", None),
        ("package.json", None),
        ("", None),
    ];
    for (name, kind) in table {
        assert_eq!(Kind::of(Path::new(name)), kind, "{name}");
    }
}

#[test]
fn package_lock_of_all_formats() {
    let first = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}},
        "b":{"version":"1.0.0"},"c":{"version":"npm:@s/real@3.1.0"},"d":{"version":"git+ssh://git@h.example/d.git#abc"},"e":{"version":"file:../e"}}}"#;
    assert_eq!(read(Kind::PackageLock, first), ["@s/real 3.1.0", "a 1.0.0", "b 1.0.0", "b 2.0.0", "d ?"]);
    let third = r#"{"lockfileVersion":3,"packages":{"":{"name":"me"},"node_modules/@s/a":{"version":"1.0.0"},
        "node_modules/x/node_modules/@s/a":{"version":"1.0.0"},"node_modules/alias":{"name":"real","version":"2.0.0"},
        "packages/member":{"version":"1.0.0"},"node_modules/member":{"link":true,"resolved":"packages/member"}}}"#;
    assert_eq!(read(Kind::PackageLock, third), ["@s/a 1.0.0", "real 2.0.0"]);
    assert_eq!(read(Kind::PackageLock, r#"{"lockfileVersion":3,"packages":{"":{"name":"me"}}}"#), [""; 0]);
}

#[test]
fn yarn_classic_and_berry() {
    let classic = "# yarn lockfile v1\n\n\n\"@s/a@^1.0.0\", \"@s/a@^1.1.0\":\n  version \"1.2.0\"\n  dependencies:\n    version \"9\"\n\nb@^2:\n  version \"2.0.1\"\n\n\"c@npm:real@^3\":\n  version \"3.0.0\"\n";
    assert_eq!(read(Kind::Yarn, classic), ["@s/a 1.2.0", "b 2.0.1", "real 3.0.0"]);
    let berry = "__metadata:\n  version: 8\n  cacheKey: 10\n\n\"a@npm:^1, a@npm:^1.1\":\n  version: 1.2.0\n  resolution: \"a@npm:1.2.0\"\n\n\"alias@npm:real@^3\":\n  version: 3.0.0\n  resolution: \"real@npm:3.0.0\"\n\n\"me@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"me@workspace:.\"\n";
    assert_eq!(read(Kind::Yarn, berry), ["a 1.2.0", "real 3.0.0"]);
    assert_eq!(read(Kind::Yarn, "# yarn lockfile v1\r\n\r\n\r\na@1:\r\n  version \"1.0.0\"\r\n"), ["a 1.0.0"]);
}

#[test]
fn pnpm_of_three_formats() {
    let table = [
        (
            "lockfileVersion: 5.4\n\npackages:\n\n  /@s/a/1.0.0_b@2.0.0:\n    resolution: {integrity: x}\n\n  /b/2.0.0:\n    dev: true\n",
            ["@s/a 1.0.0", "b 2.0.0"],
        ),
        (
            "lockfileVersion: '6.0'\n\npackages:\n\n  /@s/a@1.0.0(b@2.0.0):\n    dev: true\n\n  /b@2.0.0:\n    dev: true\n",
            ["@s/a 1.0.0", "b 2.0.0"],
        ),
        (
            "lockfileVersion: '9.0'\n\npackages:\n\n  '@s/a@1.0.0':\n    dev: true\n\n  b@2.0.0: {}\n\nsnapshots:\n\n  c@9.0.0:\n    dev: true\n",
            ["@s/a 1.0.0", "b 2.0.0"],
        ),
        (
            "lockfileVersion: '9.0'\n\npackages:\n\n  ? a@1.0.0\n  : resolution: {}\n\n  g@https://h.example/g.tgz:\n    dev: true\n",
            ["a 1.0.0", "g ?"],
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(read(Kind::Pnpm, text), wanted, "{text}");
    }
    assert_eq!(read(Kind::Pnpm, "lockfileVersion: '9.0'\n\nimporters:\n\n  .: {}\n"), [""; 0]);
}

#[test]
fn the_rest_by_one_example_each() {
    let cargo = "version = 4\n[[package]]\nname = \"me\"\nversion = \"0.1.0\"\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n";
    let poetry = "[[package]]\nname = \"a\"\nversion = \"1.0\"\n[[package]]\nname = \"own\"\nversion = \"0\"\n[package.source]\ntype = \"directory\"\nurl = \"own\"\n";
    let uv = "version = 1\n[[package]]\nname = \"me\"\nsource = { virtual = \".\" }\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = { registry = \"x\" }\n";
    let pipfile =
        r#"{"_meta":{"pipfile-spec":6},"default":{"a":{"version":"==1.0"},"g":{"git":"x","ref":"y"}},"develop":{"a":{"version":"==1.0"}}}"#;
    let requirements = "# c\n-r base.txt\n--index-url https://h.example\na[x]==1.0 ; python_version > '3' --hash=sha256:ab\nb>=2 # c\nc == 2.0 \\\n    --hash=sha256:cd\n./local.whl\ngit+https://h.example/d.git\ne===1\n";
    let go_mod = "module m\n\ngo 1.21\n\nrequire a.example/x v1.0.0 // indirect\nrequire (\n\tb.example/y v2.0.0+incompatible\n\tc.example/z v1.0.0\n\td.example/w v1.0.0\n)\nreplace c.example/z => ../z\nreplace d.example/w v1.0.0 => e.example/w v1.5.0\n";
    let go_sum = "a.example/x v1.0.0 h1:aa=\na.example/x v1.0.0/go.mod h1:bb=\nb.example/y v0.9.0/go.mod h1:cc=\n";
    let gemfile = "PATH\n  remote: .\n  specs:\n    me (0.1.0)\n\nGEM\n  remote: https://h.example/\n  specs:\n    a (1.0.0)\n      b (~> 2)\n    b (2.1-x86_64-linux)\n    b (2.1)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  a\n";
    let composer = r#"{"packages":[{"name":"v/a","version":"v1.0"}],"packages-dev":[{"name":"v/b","version":"dev-main"}]}"#;
    let table: [(Kind, &str, &[&str]); 9] = [
        (Kind::Cargo, cargo, &["a 1.0.0"]),
        (Kind::Poetry, poetry, &["a 1.0"]),
        (Kind::Uv, uv, &["a 1.0"]),
        (Kind::Pipfile, pipfile, &["a 1.0", "g ?"]),
        (Kind::Requirements, requirements, &["a 1.0", "b ?", "c 2.0", "e 1", "git+https://h.example/d.git ?"]),
        (Kind::GoMod, go_mod, &["a.example/x 1.0.0", "b.example/y 2.0.0+incompatible", "e.example/w 1.5.0"]),
        (Kind::GoSum, go_sum, &["a.example/x 1.0.0"]),
        (Kind::Gemfile, gemfile, &["a 1.0.0", "b 2.1"]),
        (Kind::Composer, composer, &["v/a v1.0", "v/b dev-main"]),
    ];
    for (kind, text, wanted) in table {
        assert_eq!(read(kind, text), wanted, "{kind:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_never_an_empty_list() {
    let table: [(Kind, &[u8]); 22] = [
        (Kind::Cargo, b"version = 5\n"),
        (Kind::Cargo, b"<<<<<<< HEAD\n"),
        (Kind::Composer, b"{}"),
        (Kind::Composer, b""),
        (Kind::Gemfile, b"what is this\n"),
        (Kind::Gemfile, b"GEM\n  specs:\n    broken\n"),
        (Kind::GoMod, b"<<<<<<< HEAD\n"),
        (Kind::GoMod, b"require (\n\ta v1\n"),
        (Kind::GoSum, b"one two\n"),
        (Kind::PackageLock, b"[]"),
        (Kind::PackageLock, b"{\"lockfileVersion\":4}"),
        (Kind::PackageLock, b"{\"lockfileVersion\":3}"),
        (Kind::PackageLock, b"{\"lockfileVersion\":3,\"packages\":{}"),
        (Kind::Pipfile, b"{\"default\":{}}"),
        (Kind::Pnpm, b"packages:\n"),
        (Kind::Pnpm, b"lockfileVersion: '12.0'\n"),
        (Kind::Pnpm, b"lockfileVersion: '9.0'\npackages: {a: b}\n"),
        (Kind::Poetry, b"[[package]]\nname = 1\n"),
        (Kind::Requirements, b"\xff\xfea\0=\0=\0"),
        (Kind::Uv, b"version = 2\n"),
        (Kind::Yarn, b"a@1:\n  resolved \"x\"\n"),
        (Kind::Yarn, b"<<<<<<< HEAD\n"),
    ];
    for (kind, bytes) in table {
        assert!(kind.packages(bytes).is_err(), "{kind:?} {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn real_lockfiles_have_as_many_packages_as_another_reader_found() {
    let data =
        std::env::var_os("HMS_TEST_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("expected/osv-detector-locks-e2e");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no test data at {}", folder.display());
        return;
    };
    let mut compared = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(kind) = name.split_once('-').and_then(|(_, name)| Kind::of(Path::new(name))) else { continue };
        let answer = std::fs::read_to_string(folder.join(format!("{name}.out.txt"))).unwrap();
        let line = answer.lines().find(|line| line.contains(": found ") && line.ends_with(" packages")).unwrap();
        let expected: usize = line.rsplit(' ').nth(1).unwrap().parse().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // The other reader counts the project itself where yarn lists it as a workspace.
        let text = String::from_utf8_lossy(&bytes);
        let own = text.lines().filter(|line| line.starts_with("  resolution: ") && line.contains("@workspace:")).count();
        assert_eq!(kind.packages(&bytes).unwrap().unwrap().len() + own, expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 14);
}
