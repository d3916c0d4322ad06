//! What the verbs that only look at a pipeline (`validate`, `list`, `plan`, `explain`) look at: a file's bytes, the files around it,
//! and the variables that its rules would see.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::event::{RefType, Revision};
use crate::pipeline::{Files, NoFiles, PipelineFacts, PlanInputs, Reference, Surroundings, predefined};
use crate::policy::Includes;
use crate::repo::{Origin, Repository, Resolved};
use crate::run::engine::tag_message;
use crate::run::{RepositoryFolder, next_number};

use super::arguments::LookArguments;
use super::commit_files::CommitFiles;
use super::environment::operator;
use super::failure::{Exit, Failure};
use super::pipeline_file::ref_is_protected;
use super::run_new::{given_inputs, given_variables};

/// The file's name when none is given.
const USUAL: &str = ".hms-ci.yml";
/// How much of a file is read: the reader refuses one of this size, so that more need not be.
const MOST_BYTES: u64 = 16 << 20;

/// A pipeline file with all that is known of a run of it.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The commit that the file was taken from, short; none for a file of the working tree.
    pub(crate) commit: Option<String>,
    pub(crate) inputs: PlanInputs,
    repository: Option<Repository>,
    revision: Option<Revision>,
    includes: Includes,
}

impl Source {
    pub(crate) fn find(at: Option<&Path>, asked: &LookArguments) -> Result<Self, Failure> {
        let repository = Repository::discover(at.unwrap_or(Path::new(".")));
        let mut source = match &asked.reference {
            Some(reference) => Self::at_commit(reference, repository?)?,
            None => Self::in_tree(asked.file.as_deref(), repository.ok())?,
        };
        let operator = operator()?;
        let protected = ref_is_protected(&operator, &source.inputs.predefined);
        source.inputs.predefined.insert("CI_COMMIT_REF_PROTECTED".to_owned(), protected.to_string());
        source.includes = operator.includes;
        source.inputs.variables = given_variables("--variable", &asked.variable)?;
        source.inputs.inputs = given_inputs(&asked.input)?;
        // A merge request's pipeline has no branch of its own.
        if source.inputs.variables.get("CI_PIPELINE_SOURCE").is_some_and(|source| source == "merge_request_event") {
            source.inputs.predefined.remove("CI_COMMIT_BRANCH");
        }
        if let Some(before) = &asked.before {
            let repository = source.repository.as_ref().ok_or_else(|| Failure::new(Exit::Usage, "--before needs a repository"))?;
            let before = repository.resolve(before)?.revision;
            source.inputs.predefined.insert("CI_COMMIT_BEFORE_SHA".to_owned(), before.as_str().to_owned());
            source.inputs.predefined.insert("CI_PIPELINE_SOURCE".to_owned(), "push".to_owned());
        }
        Ok(source)
    }

    fn at_commit(reference: &str, repository: Repository) -> Result<Self, Failure> {
        let resolved = repository.resolve(reference)?;
        let short = resolved.revision.short().to_owned();
        let bytes = repository
            .read_file_at(&resolved.revision, Path::new(USUAL))?
            .ok_or_else(|| Failure::new(Exit::Usage, format!("the commit {short} has no {USUAL}")).hint("write one, and commit it"))?;
        let predefined = variables(&repository, &resolved.revision, reference_of(&resolved), USUAL);
        let inputs = PlanInputs { predefined, ..PlanInputs::default() };
        let (name, revision) = (USUAL.to_owned(), Some(resolved.revision));
        Ok(Self { name, bytes, commit: Some(short), inputs, repository: Some(repository), revision, includes: Includes::default() })
    }

    fn in_tree(file: Option<&Path>, repository: Option<Repository>) -> Result<Self, Failure> {
        let top = repository.as_ref().and_then(Repository::work_dir);
        let usual = || top.map_or_else(|| PathBuf::from(USUAL), |top| top.join(USUAL));
        let path = file.map_or_else(usual, Path::to_owned);
        let name = file.map_or_else(|| USUAL.to_owned(), |path| path.to_string_lossy().into_owned());
        let bytes = read_some(&path).map_err(|error| {
            let failure = Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()));
            if file.is_some() {
                failure
            } else {
                failure.hint("write one, or name another: hms validate --file PATH, or a commit's: hms validate --ref REV")
            }
        })?;
        let revision = repository.as_ref().and_then(|repository| repository.head().ok()?);
        let predefined = repository.as_ref().zip(revision.as_ref()).map_or_else(BTreeMap::new, |(repository, revision)| {
            variables(repository, revision, repository.head_branch().ok().flatten().map(Reference::Branch), &name)
        });
        let inputs = PlanInputs { predefined, ..PlanInputs::default() };
        Ok(Self { name, bytes, commit: None, inputs, repository, revision, includes: Includes::default() })
    }

    /// Calls with the files around the pipeline file: those of its commit, or of the working tree it is in.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let around = |files: &dyn Files| look(&Surroundings { files, inputs: &self.inputs, path: &self.name });
        let Some(repository) = &self.repository else { return around(&NoFiles) };
        match (&self.revision, self.commit.is_some(), repository.work_dir()) {
            (Some(revision), true, _) | (Some(revision), false, None) => around(&CommitFiles::of(repository, revision, &self.includes)),
            (revision, _, Some(tree)) => around(&CommitFiles::of_tree(repository, revision.as_ref(), &self.includes, &tree)),
            (None, _, None) => around(&NoFiles),
        }
    }
}

fn read_some(path: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe that nobody writes to would be waited for without end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The branch or the tag that led to a commit.
fn reference_of(resolved: &Resolved) -> Option<Reference> {
    let name = resolved.ref_name.clone()?;
    resolved.ref_type().map(|kind| match kind {
        RefType::Branch => Reference::Branch(name),
        RefType::Tag => Reference::Tag(name),
    })
}

/// What `rules` would know at that commit, of a run that would be the next.
pub(crate) fn variables(
    repository: &Repository,
    revision: &Revision,
    reference: Option<Reference>,
    config_path: &str,
) -> BTreeMap<String, String> {
    let Ok(commit) = repository.commit_facts(revision) else { return BTreeMap::new() };
    predefined(&PipelineFacts {
        revision: revision.clone(),
        message: Some(commit.message),
        author: Some(commit.author),
        timestamp: Some(commit.timestamp.to_rfc3339()),
        before: None,
        tag_message: tag_message(repository, reference.as_ref()),
        reference,
        default_branch: repository.default_branch().ok().flatten(),
        project_name: repository.work_dir().and_then(|top| Some(top.file_name()?.to_string_lossy().into_owned())),
        project_path: repository.origin().map(|Origin { path, .. }| path),
        server_host: repository.origin().map(|Origin { host, .. }| host),
        config_path: Some(config_path.to_owned()),
        number: next_number(&RepositoryFolder::of(&repository.common_dir())).ok(),
        run: None,
        created_at: None,
        source: Some("web".to_owned()),
        name: None,
        protected: None,
    })
}
