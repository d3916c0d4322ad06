//! Variables that the operator supplies to jobs: where a value is, who may have it, in which shape. No value is ever here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::table::Table;
use super::{Period, Problem, known, may_be_let_in};

/// How long a command may take when nothing is said.
const LIMIT: Period = Period::from_seconds(30);

/// A masked variable of the operator's, bound to repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppliedVariable {
    /// Where its value is; none where a run is given the value, and this says only how it is handed out.
    pub source: Option<ValueSource>,
    /// What a job finds in it.
    pub shape: Shape,
    /// Only runs of a protected ref get it.
    pub protected: bool,
    /// The working folders whose runs get it.
    pub repositories: Vec<String>,
    /// The jobs that get it, by their names in the file; empty for all.
    pub jobs: Vec<String>,
    /// The environments whose jobs get it; empty for all jobs.
    pub environments: Vec<String>,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// On the standard output of a program, less the line break at its end.
    Command {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// What its environment has beside that of hms.
        environment: BTreeMap<String, String>,
        /// How long it may take.
        limit: Period,
    },
    /// In a file of the operator's or the person's own, that nobody else can read.
    Path(PathBuf),
}

/// What a job finds in a variable: GitLab's `variable_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// The value.
    #[default]
    Text,
    /// The path of a file with the value in it.
    File,
}

/// Which refs are protected; none given: the default branch alone, as in a new project at GitLab.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProtectedRefs {
    /// Patterns of branches.
    pub branches: Vec<String>,
    /// Patterns of tags.
    pub tags: Vec<String>,
}

/// The branch or tag of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunRef<'a> {
    /// A branch.
    Branch(&'a str),
    /// A tag.
    Tag(&'a str),
    /// A bare revision.
    Neither,
}

/// Whom a variable is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The working folder of the run's repository.
    pub repository: &'a str,
    /// The job's name in the file.
    pub job: &'a str,
    /// The name of its environment.
    pub environment: Option<&'a str>,
}

impl SuppliedVariable {
    /// Whether that job may have it, by repository, job and environment.
    #[must_use]
    pub fn is_for(&self, asker: &Asker<'_>) -> bool {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| is_like(pattern, name));
        any(&self.repositories, asker.repository)
            && (self.jobs.is_empty() || any(&self.jobs, asker.job))
            && (self.environments.is_empty() || asker.environment.is_some_and(|name| any(&self.environments, name)))
    }
}

/// Whether a ref is protected: by the operator's patterns, else because it is the default branch.
#[must_use]
pub fn is_protected(refs: Option<&ProtectedRefs>, of: RunRef<'_>, default_branch: Option<&str>) -> bool {
    let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| is_like(pattern, name));
    match (refs, of) {
        (_, RunRef::Neither) | (None, RunRef::Tag(_)) => false,
        (None, RunRef::Branch(name)) => default_branch == Some(name),
        (Some(refs), RunRef::Branch(name)) => any(&refs.branches, name),
        (Some(refs), RunRef::Tag(name)) => any(&refs.tags, name),
    }
}

/// GitLab's wildcards: `*` stands for any characters, `/` among them.
#[must_use]
pub fn is_like(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

pub(super) fn protected_refs(table: &Table<'_>) -> Result<Option<ProtectedRefs>, Problem> {
    if table.node("protected_refs").is_none() {
        return Ok(None);
    }
    let refs = table.table("protected_refs", &known::PROTECTED_REFS)?;
    Ok(Some(ProtectedRefs { branches: refs.parsed_list("branches")?, tags: refs.parsed_list("tags")? }))
}

pub(super) fn variables(table: &Table<'_>) -> Result<BTreeMap<String, SuppliedVariable>, Problem> {
    let Some(node) = table.node("variables") else { return Ok(BTreeMap::new()) };
    let named = Table::open(node, &table.path_of("variables"))?;
    let mut all = BTreeMap::new();
    for (name, place, node, path) in named.rows() {
        if !may_be_let_in(name) {
            return Err(Problem::new(place, format!("`{path}` names no variable, or one of hms's own")));
        }
        all.insert(name.to_owned(), variable(&Table::of(node, &path, &known::VARIABLE)?)?);
    }
    Ok(all)
}

fn variable(table: &Table<'_>) -> Result<SuppliedVariable, Problem> {
    let command: Vec<String> = table.parsed_list("command")?;
    let path = super::operator::absolute(table, "path")?;
    let mut environment = BTreeMap::new();
    if let Some(node) = table.node("environment") {
        let given = Table::open(node, &table.path_of("environment"))?;
        for (name, ..) in given.rows() {
            environment.insert(name.to_owned(), given.text(name)?.unwrap_or_default());
        }
    }
    table.must("path", path.is_none() || command.is_empty(), "there is `command` too: choose one")?;
    table.must("command", table.node("command").is_none() || command.first().is_some_and(|word| !word.is_empty()), "names no program")?;
    let (limit, alone) = (table.parsed::<Period>("timeout")?, command.is_empty());
    table.must("timeout", limit.is_none() || !alone, "it is for a `command`")?;
    table.must("timeout", limit != Some(Period::ZERO), "nothing is that fast")?;
    table.must("environment", environment.is_empty() || !alone, "it is for a `command`")?;
    let repositories: Vec<String> = table.parsed_list("repositories")?;
    table.must("repositories", !repositories.is_empty(), "say whose jobs get it: working folders, `*` for any part of a path")?;
    let source = if alone {
        path.map(ValueSource::Path)
    } else {
        Some(ValueSource::Command { command, environment, limit: limit.unwrap_or(LIMIT) })
    };
    Ok(SuppliedVariable {
        source,
        shape: table.choice("type", &[("env_var", Shape::Text), ("file", Shape::File)])?.unwrap_or_default(),
        protected: table.truth("protected")?.unwrap_or(false),
        repositories,
        jobs: table.parsed_list("jobs")?,
        environments: table.parsed_list("environments")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Operator;

    fn operator(text: &str) -> Result<Operator, Problem> {
        Operator::read(&crate::document::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_pattern_is_gitlabs() {
        for (pattern, name, like) in [
            ("main", "main", true),
            ("main", "main2", false),
            ("release/*", "release/1/2", true),
            ("*", "", true),
            ("*-stable", "1-stable", true),
            ("*-stable", "-stable-x", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(is_like(pattern, name), like, "{pattern} {name}");
        }
    }

    #[test]
    fn the_default_branch_is_protected_until_the_operator_says_which_refs_are() {
        let named = operator("protected_refs: {branches: [main, release/*], tags: v*}").unwrap().protected_refs;
        for (of, by_default, as_named) in [
            (RunRef::Branch("trunk"), true, false),
            (RunRef::Branch("main"), false, true),
            (RunRef::Branch("release/1"), false, true),
            (RunRef::Branch("v1"), false, false),
            (RunRef::Tag("v1"), false, true),
            (RunRef::Tag("trunk"), false, false),
            (RunRef::Neither, false, false),
        ] {
            let protected = |refs| is_protected(refs, of, Some("trunk"));
            assert_eq!((protected(None), protected(named.as_ref())), (by_default, as_named), "{of:?}");
        }
        assert!(!is_protected(Some(&ProtectedRefs::default()), RunRef::Branch("trunk"), Some("trunk")), "none are");
    }

    #[test]
    fn a_variable_is_for_its_repositories_jobs_and_environments() {
        let all = operator("variables: {T: {path: /t, repositories: /srv/*, jobs: [deploy*], environments: [prod, review/*]}}")
            .unwrap()
            .variables;
        for (repository, job, environment, expected) in [
            ("/srv/irs", "deploy-1", Some("prod"), true),
            ("/srv/irs", "deploy", Some("review/x"), true),
            ("/opt/irs", "deploy", Some("prod"), false),
            ("/srv/irs", "build", Some("prod"), false),
            ("/srv/irs", "deploy", Some("staging"), false),
            ("/srv/irs", "deploy", None, false),
        ] {
            assert_eq!(all["T"].is_for(&Asker { repository, job, environment }), expected, "{repository} {job} {environment:?}");
        }
    }

    #[test]
    fn a_variable_has_one_source_and_is_bound_to_repositories() {
        let read = operator(
            "variables: {T: {command: [vault, read, x], environment: {VAULT_ADDR: a}, timeout: 5s, type: file, repositories: ['*']}}",
        );
        let variable = read.unwrap().variables.remove("T").unwrap();
        let command = ["vault", "read", "x"].map(str::to_owned).to_vec();
        let environment = BTreeMap::from([("VAULT_ADDR".to_owned(), "a".to_owned())]);
        assert_eq!(variable.source, Some(ValueSource::Command { command, environment, limit: Period::from_seconds(5) }));
        assert_eq!((variable.shape, variable.protected), (Shape::File, false));
        for bad in [
            "{command: [a], path: /b, repositories: ['*']}",
            "{command: [], repositories: ['*']}",
            "{command: [a]}",
            "{path: b, repositories: ['*']}",
            "{path: /b, timeout: 1s, repositories: ['*']}",
            "{path: /b, type: text, repositories: ['*']}",
            "{value: secret, repositories: ['*']}",
        ] {
            assert!(operator(&format!("variables: {{T: {bad}}}")).is_err(), "{bad}");
        }
        for name in ["PATH", "CI_X", "HMS_X", "1A"] {
            assert!(operator(&format!("variables: {{{name}: {{path: /b, repositories: ['*']}}}}")).is_err(), "{name}");
        }
    }
}
