//! `only` and `except`, which old files have (GitLab `lib/gitlab/ci/build/policy/`, `doc/ci/yaml/deprecated_keywords.md`).

use super::expression::Expression;
use super::rule::{Finding, Kind, Paths, Sight, Undecided};

/// What `only` or `except` says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RefPolicy {
    pub(super) refs: Option<Vec<RefPattern>>,
    pub(super) variables: Option<Vec<Expression>>,
    pub(super) changes: Option<Paths>,
}

/// The source of a merge request's pipeline.
pub(super) const MERGE_REQUEST: &str = "merge_request_event";

/// One entry of `refs`: a kind of ref or run, a name, or a pattern; perhaps with a project.
#[derive(Debug, Clone)]
pub(super) struct RefPattern {
    pub(super) text: String,
    pub(super) pattern: Option<regex::Regex>,
    pub(super) project: Option<String>,
}

impl PartialEq for RefPattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.project) == (&other.text, &other.project)
    }
}

impl RefPolicy {
    /// `only`: each part that is there must hold. Gives what decided, in words.
    pub(super) fn all(&self, sight: &Sight<'_>) -> Result<Finding, Undecided> {
        let parts = self.parts(sight)?;
        Ok(match parts.iter().find(|part| matches!(part, Finding::Missed(_))) {
            Some(missed) => missed.clone(),
            None => parts.into_iter().next().unwrap_or_else(|| Finding::Matched("it says nothing".to_owned())),
        })
    }

    /// `except`: one part that holds is enough.
    pub(super) fn any(&self, sight: &Sight<'_>) -> Result<Finding, Undecided> {
        let parts = self.parts(sight)?;
        let matched = parts.into_iter().find(|part| matches!(part, Finding::Matched(_)));
        Ok(matched.unwrap_or_else(|| Finding::Missed("no part of it holds".to_owned())))
    }

    fn parts(&self, sight: &Sight<'_>) -> Result<Vec<Finding>, Undecided> {
        let mut parts = Vec::new();
        if let Some(refs) = &self.refs {
            parts.push(match refs.iter().find(|pattern| pattern.fits(sight)) {
                Some(pattern) => Finding::Matched(format!("`{}` fits this run", pattern.text)),
                None => Finding::Missed("no entry of its `refs` fits this run".to_owned()),
            });
        }
        if let Some(variables) = &self.variables {
            parts.push(match variables.iter().find(|condition| sight.holds(condition)) {
                Some(condition) => Finding::Matched(format!("`{}` holds", condition.text())),
                None => Finding::Missed("none of its `variables` holds".to_owned()),
            });
        }
        if let Some(changes) = &self.changes {
            parts.push(changes.examine(sight, Kind::Changes)?);
        }
        Ok(parts)
    }
}

impl RefPattern {
    fn fits(&self, sight: &Sight<'_>) -> bool {
        let get = |name: &str| sight.variables.get(name).map(String::as_str);
        if self.project.as_deref().is_some_and(|project| get("CI_PROJECT_PATH") != Some(project)) {
            return false;
        }
        let source = get("CI_PIPELINE_SOURCE").unwrap_or_default();
        let source_name = source.strip_suffix("_event").unwrap_or(source);
        // A merge request's pipeline is of neither a branch nor a tag, and no name or pattern fits it.
        let reference = get("CI_COMMIT_REF_NAME").filter(|_| source != MERGE_REQUEST);
        if let Some(pattern) = &self.pattern {
            return reference.is_some_and(|name| pattern.is_match(name));
        }
        match self.text.as_str() {
            "tags" if get("CI_COMMIT_TAG").is_some() => true,
            "branches" if get("CI_COMMIT_BRANCH").is_some() && source != MERGE_REQUEST => true,
            // The source without `_event`, or its plural: `merge_request`, `merge_requests`, `push`, `pushes` (`policy/refs.rb`).
            kind if !source.is_empty() && (kind == source_name || plural(source_name) == kind) => true,
            name => reference == Some(name),
        }
    }
}

/// Rails' plural of the sources of runs.
fn plural(source: &str) -> String {
    match source {
        "push" => "pushes".to_owned(),
        "api" => "apis".to_owned(),
        other => format!("{other}s"),
    }
}
