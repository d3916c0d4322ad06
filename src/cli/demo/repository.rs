//! The demo's repository, made from the files in `assets/demo`. It needs no git program, and heeds nobody's git configuration.

use std::path::Path;

use git2::{Commit, Repository, RepositoryInitOptions, Signature};

use crate::store::DiskError;

use super::super::failure::{Exit, Failure};

/// The files that all versions have.
const FILES: [(&str, &str); 4] = [
    (".hms-ci.yml", include_str!("../../../assets/demo/hms-ci.yml")),
    ("README.md", include_str!("../../../assets/demo/README.md")),
    ("build.sh", include_str!("../../../assets/demo/build.sh")),
    ("test.sh", include_str!("../../../assets/demo/test.sh")),
];
/// The file that makes the difference.
const SERVICE: &str = "service.json";

/// A version of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// The first line of its commit.
    pub(super) title: &'static str,
    service: &'static str,
}

/// What is there before anything is compared.
pub(super) const FIRST: Version =
    Version { title: "service 1.0: the first release", service: include_str!("../../../assets/demo/service-1.0.json") };
/// A little faster.
pub(super) const GOOD: Version =
    Version { title: "service 1.1: answer a little faster", service: include_str!("../../../assets/demo/service-1.1.json") };
/// Slow, and every other answer fails; its tests pass all the same.
pub(super) const BAD: Version =
    Version { title: "service 1.2: look every price up anew", service: include_str!("../../../assets/demo/service-1.2.json") };

/// Makes an empty repository in a folder.
pub(super) fn make(folder: &Path) -> Result<(), Failure> {
    let mut options = RepositoryInitOptions::new();
    options.external_template(false).initial_head("main").no_reinit(true);
    Repository::init_opts(folder, &options).map(drop).map_err(|error| failed(&error))
}

/// Commits a version to the checked-out branch; the commit's id.
pub(super) fn commit(folder: &Path, version: Version) -> Result<String, Failure> {
    let written = write(folder, "HEAD", version).map_err(|error| failed(&error))?;
    // Written as they are in the commit, without git's filters: whatever the person's own configuration says of line ends.
    for (name, text) in FILES.into_iter().chain([(SERVICE, version.service)]) {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(DiskError::of("write", &path))?;
    }
    Ok(written)
}

/// Commits a version to a branch that is not checked out, on top of the one that is.
pub(super) fn commit_aside(folder: &Path, branch: &str, version: Version) -> Result<String, Failure> {
    write(folder, &format!("refs/heads/{branch}"), version).map_err(|error| failed(&error))
}

fn write(folder: &Path, reference: &str, version: Version) -> Result<String, git2::Error> {
    let git = Repository::open(folder)?;
    let mut files = git.treebuilder(None)?;
    for (name, text) in FILES.into_iter().chain([(SERVICE, version.service)]) {
        files.insert(name, git.blob(text.as_bytes())?, 0o100_644)?;
    }
    let tree = git.find_tree(files.write()?)?;
    if reference == "HEAD" {
        let mut index = git.index()?;
        index.read_tree(&tree)?;
        index.write()?;
    }
    let author = Signature::now("hms demo", "demo@hms.invalid")?;
    let parent = git.head().and_then(|head| head.peel_to_commit()).ok();
    let parents: Vec<&Commit<'_>> = parent.iter().collect();
    git.commit(None, &author, &author, version.title, &tree, &parents).and_then(|id| {
        match (reference, parent.is_none()) {
            ("HEAD", true) => git.reference("refs/heads/main", id, false, "demo").map(drop)?,
            ("HEAD", false) => drop(git.head()?.set_target(id, "demo")?),
            (aside, _) => drop(git.reference(aside, id, false, "demo")?),
        }
        Ok(id.to_string())
    })
}

fn failed(error: &git2::Error) -> Failure {
    Failure::new(Exit::NotCarriedOut, format!("the demo's repository could not be made: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_a_commit_on_the_one_before_and_the_tree_is_clean() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        let first = commit(folder.path(), FIRST).unwrap();
        let good = commit(folder.path(), GOOD).unwrap();
        let bad = commit_aside(folder.path(), "slow", BAD).unwrap();
        let git = Repository::open(folder.path()).unwrap();
        let head = git.head().unwrap().peel_to_commit().unwrap();
        assert_eq!((head.id().to_string(), head.parent_id(0).unwrap().to_string()), (good.clone(), first));
        let aside = git.find_reference("refs/heads/slow").unwrap().peel_to_commit().unwrap();
        assert_eq!((aside.id().to_string(), aside.parent_id(0).unwrap().to_string()), (bad, good));
        assert!(git.statuses(None).unwrap().is_empty());
    }

    #[test]
    fn the_pipeline_file_has_nothing_to_be_noted() {
        let reading = crate::pipeline::read(FILES[0].1.as_bytes(), &crate::pipeline::ReadOptions::default());
        assert_eq!(reading.problems, []);
        let settings = crate::policy::Settings::read(reading.pipeline.unwrap().settings().unwrap()).unwrap();
        let app = Some(super::super::APP.parse().unwrap());
        let mut expected = crate::policy::Policy { app, ..crate::policy::Policy::default() };
        expected.local.listen.set_port(0);
        expected.canary.bake = crate::policy::Period::from_seconds(3);
        expected.canary.interval = crate::policy::Period::from_milliseconds(500);
        assert_eq!(settings.policy, expected, "only bake and interval are shortened");
    }
}
