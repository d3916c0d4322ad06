//! What a pipeline may look at beside its own file: the files of a commit, or of the working tree, and checkouts that the
//! operator names (`docs/decisions.md` 15.1, 15.4).

use std::cell::OnceCell;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::event::Revision;
use crate::pipeline::{Elsewhere, Files, Foreign, Identity, Since};
use crate::policy::Includes;
use crate::repo::Repository;

use super::remote::Fetcher;

/// How many files of a working tree are looked at.
const FILE_LIMIT: usize = 500_000;
/// How much of a file is read: the reader refuses one that is larger than its own limit.
const MOST_BYTES: u64 = 2 << 20;

/// A commit's files.
pub(crate) struct CommitFiles<'r> {
    repository: &'r Repository,
    /// None before the first commit.
    revision: Option<Revision>,
    includes: Includes,
    /// The working tree's folder, when its files are wanted in place of the commit's.
    tree: Option<PathBuf>,
    paths: OnceCell<Result<Arc<[String]>, String>>,
    fetcher: Fetcher,
}

impl<'r> CommitFiles<'r> {
    pub(crate) fn of(repository: &'r Repository, revision: &Revision, includes: &Includes) -> Self {
        Self::with(repository, Some(revision), includes, None)
    }

    /// The working tree's files; what changed is still the commit's. Only for looking: no run is made of them.
    pub(crate) fn of_tree(repository: &'r Repository, revision: Option<&Revision>, includes: &Includes, tree: &Path) -> Self {
        Self::with(repository, revision, includes, Some(tree.to_owned()))
    }

    fn with(repository: &'r Repository, revision: Option<&Revision>, includes: &Includes, tree: Option<PathBuf>) -> Self {
        let fetcher = Fetcher::new(&repository.common_dir(), includes);
        Self { repository, revision: revision.cloned(), includes: includes.clone(), tree, paths: OnceCell::new(), fetcher }
    }

    fn revision(&self) -> Result<&Revision, String> {
        self.revision.as_ref().ok_or_else(|| "there is no commit yet".to_owned())
    }
}

fn told(error: &crate::repo::Error) -> String {
    match (error, error.hint()) {
        // Nothing in the file is wrong: the way out is all that helps.
        (crate::repo::Error::Shallow { .. }, Some(hint)) => format!("{error}; {hint}"),
        _ => error.to_string(),
    }
}

impl Files for CommitFiles<'_> {
    fn local(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match &self.tree {
            Some(tree) => read_below(tree, path),
            None => self.repository.read_file_at(self.revision()?, Path::new(path)).map_err(|error| told(&error)),
        }
    }

    fn paths(&self) -> Result<Arc<[String]>, String> {
        let find = || match &self.tree {
            Some(tree) => walk(tree),
            None => self.repository.paths_at(self.revision()?).map(Arc::from).map_err(|error| told(&error)),
        };
        self.paths.get_or_init(find).clone()
    }

    fn changed(&self, since: &Since) -> Result<Arc<[String]>, String> {
        let resolved = |spec: &str| self.repository.resolve(spec).map(|resolved| resolved.revision).map_err(|error| told(&error));
        let revision = self.revision()?;
        let from = match since {
            Since::Revision(before) => resolved(before)?,
            Since::MergeBase(reference) => {
                let other = resolved(reference)?;
                let base = self.repository.merge_base(&other, revision).map_err(|error| told(&error))?;
                base.ok_or_else(|| format!("`{reference}` and {} have no history in common", revision.short()))?
            }
        };
        self.repository.changed_paths(&from, revision).map(Arc::from).map_err(|error| told(&error))
    }

    fn foreign(&self, wanted: &Foreign) -> Result<Option<Vec<u8>>, String> {
        match wanted {
            Foreign::Of(elsewhere, path) => self.with_checkout(elsewhere, |repository, revision| {
                repository.read_file_at(revision, Path::new(path)).map_err(|error| told(&error))
            }),
            Foreign::Template(name) => match &self.includes.templates {
                Some(folder) => template(folder, name),
                None => {
                    Err("no folder of templates is configured; the operator's file can name one: `includes: {templates: /path}`".to_owned())
                }
            },
            Foreign::Remote(remote) => self.fetcher.fetch(remote).map(Some),
        }
    }

    fn paths_of(&self, wanted: &Elsewhere) -> Result<Arc<[String]>, String> {
        self.with_checkout(wanted, |repository, revision| repository.paths_at(revision).map(Arc::from).map_err(|error| told(&error)))
    }

    fn identity_of(&self, wanted: &Elsewhere) -> Result<Identity, String> {
        self.with_checkout(wanted, |repository, revision| {
            let version = match wanted {
                Elsewhere::Project { .. } => None,
                Elsewhere::Component { version, .. } => repository.component_version(version).map_err(|error| told(&error))?.1,
            };
            Ok(Identity { sha: revision.as_str().to_owned(), version })
        })
    }
}

impl CommitFiles<'_> {
    /// Looks into a project at a revision: into this repository when it is that project, else into the checkout that the operator names.
    fn with_checkout<T>(&self, wanted: &Elsewhere, look: impl FnOnce(&Repository, &Revision) -> Result<T, String>) -> Result<T, String> {
        let (Elsewhere::Project { project, .. } | Elsewhere::Component { project, .. }) = wanted;
        let own = self.repository.origin();
        let is_own = own.is_some_and(|own| project == &own.path || *project == format!("{}/{}", own.host, own.path));
        if is_own {
            return look(self.repository, &revision_of(self.repository, wanted)?);
        }
        let Some(checkout) = self.includes.projects.get(project) else {
            return Err(format!(
                "no checkout of it is configured; the operator's file can name one: `includes: {{projects: {{{project}: /path}}}}`"
            ));
        };
        let repository = Repository::discover(checkout).map_err(|error| told(&error))?;
        let revision = revision_of(&repository, wanted)?;
        look(&repository, &revision)
    }
}

fn revision_of(repository: &Repository, wanted: &Elsewhere) -> Result<Revision, String> {
    let main = || repository.default_branch().ok().flatten().unwrap_or_else(|| "HEAD".to_owned());
    let found = match wanted {
        Elsewhere::Project { reference, .. } => {
            repository.resolve(&reference.clone().unwrap_or_else(main)).map(|resolved| resolved.revision)
        }
        Elsewhere::Component { version, .. } => repository.component_version(version).map(|(revision, _)| revision),
    };
    found.map_err(|error| told(&error))
}

/// A template by its name, which GitLab also looks for in two folders (`lib/gitlab/template/gitlab_ci_yml_template.rb`).
fn template(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, String> {
    for below in ["", "Pages/", "Verify/"] {
        if let Some(found) = read_below(folder, &format!("{below}{name}"))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A file below a folder; links are not followed out of it.
fn read_below(folder: &Path, path: &str) -> Result<Option<Vec<u8>>, String> {
    use std::io::Read;
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("`{}` is no path below {}", path.display(), folder.display()));
    }
    let full = folder.join(path);
    let real = match full.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", full.display())),
    };
    let root = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    if !real.starts_with(&root) || !real.is_file() {
        return Err(format!("`{}` is no plain file below {}", path.display(), folder.display()));
    }
    let mut bytes = Vec::new();
    let done = std::fs::File::open(&real).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    done.map(|_| Some(bytes)).map_err(|error| format!("{}: {error}", full.display()))
}

fn walk(folder: &Path) -> Result<Arc<[String]>, String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(|entry| entry.file_name() != ".git");
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        if !entry.file_type().is_dir()
            && let Ok(path) = entry.path().strip_prefix(folder)
        {
            paths.push(path.to_string_lossy().into_owned());
        }
        if paths.len() > FILE_LIMIT {
            return Err(format!("the working tree has more than {FILE_LIMIT} files"));
        }
    }
    paths.sort_unstable();
    Ok(paths.into())
}
