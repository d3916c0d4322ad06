//! Files of checkouts that the operator names: `include: project`, `component`, `template`, and `exists` in another project.

use std::path::Path;

use super::World;

/// The file of a component that says which version it is.
fn part(version: &str) -> String {
    format!(
        "spec:\n  inputs:\n    stage: {{default: test}}\n  component: [version]\n---\nof-{version}:\n  stage: $[[ inputs.stage ]]\n  script: echo is-$[[ component.version ]].\n"
    )
}

/// A world beside a checkout of `group/parts` with the versions 1.0.0, 1.1.0, 2.0.0 and a pre-release, and a folder of templates.
fn world(pipeline: &str) -> World {
    let world = World::new(pipeline);
    let checkout = world.path("parts");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        world.environment(&mut command);
        assert!(command.args(arguments).current_dir(&checkout).status().unwrap().success(), "git {arguments:?}");
    };
    write(&checkout, "templates/build/template.yml", &part("0"));
    write(&checkout, "ci/all.yml", "include: more/*.yml\nall: {script: x}\n");
    write(&checkout, "ci/more/one.yml", "");
    git(&["init", "-q", "-b", "main"]);
    for version in ["1.0.0", "1.1.0", "2.0.0", "2.1.0-rc.1"] {
        write(&checkout, "templates/build/template.yml", &part(version));
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", version]);
        git(&["tag", version]);
    }
    write(&checkout, "more/one.yml", "one: {script: x}\n");
    write(&checkout, "templates/build/template.yml", &part("main"));
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "main"]);
    write(&world.path("templates"), "Pages/HTML.gitlab-ci.yml", "html: {script: x}\n");
    let config = format!(
        "includes:\n  projects: {{group/parts: {0}, gitlab.example.org/group/parts: {0}}}\n  templates: {1}\n",
        checkout.display(),
        world.path("templates").display()
    );
    write(&world.path("home/.config/hms"), "config.yml", &config);
    world
}

fn write(folder: &Path, below: &str, text: &str) {
    let path = folder.join(below);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The names of the jobs of a file.
fn jobs(world: &World, pipeline: &str) -> Result<Vec<String>, String> {
    std::fs::write(world.path("repo/.hms-ci.yml"), pipeline).unwrap();
    let said = world.hms(&["list", "--output", "json"]);
    if said.code != Some(0) {
        return Err(format!("{}{}", said.out, said.err));
    }
    let listed: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let listed = listed["jobs"].as_array().unwrap().clone();
    Ok(listed.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_component_is_read_at_the_version_that_gitlab_would_take() {
    let world = world("a: {script: x}\n");
    let table = [
        ("1.0.0", Ok("of-1.0.0")),
        ("1.0", Ok("of-1.0.0")),
        ("1", Ok("of-1.1.0")),
        ("2", Ok("of-2.0.0")),
        ("~latest", Ok("of-2.0.0")),
        ("2.1.0-rc.1", Ok("of-2.1.0-rc.1")),
        ("main", Ok("of-main")),
        ("3", Err("3")),
    ];
    for (version, expected) in table {
        let text = format!(
            "include: {{component: gitlab.example.org/group/parts/build@{version}, inputs: {{stage: deploy}}}}\na: {{script: x}}\n"
        );
        match (jobs(&world, &text), expected) {
            (Ok(found), Ok(expected)) => {
                assert!(found.contains(&expected.to_owned()), "{version}: {found:?}");
                // A branch is no version.
                let written_out = expected.trim_start_matches("of-").replace("main", "");
                let explained = world.hms(&["explain", expected]);
                assert!(explained.out.contains(&format!("echo is-{written_out}.")), "{explained:?}");
            }
            (Err(told), Err(part)) => assert!(told.contains(".hms-ci.yml:1:22: error:") && told.contains(part), "{told}"),
            (found, expected) => panic!("{version}: {found:?} for {expected:?}"),
        }
    }
}

#[test]
fn projects_and_templates_are_read_where_the_operator_says() {
    let world = world("a: {script: x}\n");
    let text = "include:\n  - {project: group/parts, file: [ci/all.yml]}\n  - template: HTML.gitlab-ci.yml\n";
    assert_eq!(jobs(&world, text).unwrap(), ["one", "all", "html"]);
    // At that tag there is no such folder: GitLab, too, takes a pattern that finds nothing.
    let text = "include: {project: group/parts, ref: 1.0.0, file: ci/all.yml}\n";
    assert_eq!(jobs(&world, text).unwrap(), ["all"]);
    let told = jobs(&world, "include: {project: group/other, file: a.yml}\na: {script: x}\n").unwrap_err();
    assert!(told.contains("1:20: error:") && told.contains("`includes: {projects: {group/other: /path}}`"), "{told}");
}

#[test]
fn exists_looks_into_another_project() {
    let world = world("a: {script: x}\n");
    let job = |name: &str, exists: &str| format!("{name}: {{script: x, rules: [{{exists: {{paths: [more/one.yml], {exists}}}}}]}}\n");
    let text = format!("{}{}always: {{script: x}}\n", job("main", "project: group/parts"), job("old", "project: group/parts, ref: 1.0.0"));
    assert_eq!(jobs(&world, &text).unwrap(), ["main", "always"]);
    let told = jobs(&world, &job("other", "project: group/other")).unwrap_err();
    assert!(told.contains("`group/other`: no checkout of it is configured"), "{told}");
}
