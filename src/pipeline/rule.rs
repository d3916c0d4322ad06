//! `rules`: the first rule that matches decides (GitLab `lib/gitlab/ci/build/rules.rb` and `rules/rule/clause/`).

use std::collections::BTreeMap;

use crate::document::Place;
use crate::event::When;

use super::expand;
use super::expression::Expression;
use super::files::{Elsewhere, Files, Since};
use super::glob::Glob;
use super::spec::{AutoCancelSpec, NeedSpec, Variable};

/// GitLab takes it for a match when it would have to compare more than this (`clause/changes.rb`, `clause/exists.rb`).
const COMPARISONS: usize = 50_000;

/// One rule. Without a clause it matches.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) place: Place,
    pub(super) condition: Option<Expression>,
    pub(super) changes: Option<Paths>,
    pub(super) exists: Option<Paths>,
    pub(super) when: Option<When>,
    pub(super) start_in_seconds: Option<u64>,
    pub(super) allow_failure: Option<bool>,
    pub(super) interruptible: Option<bool>,
    /// Of a rule of `workflow`.
    pub(super) auto_cancel: AutoCancelSpec,
    pub(super) variables: Vec<Variable>,
    /// They take the place of the job's.
    pub(super) needs: Option<Vec<NeedSpec>>,
}

/// `changes` or `exists`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) place: Place,
    /// Globs, with variables in them.
    pub(super) globs: Vec<String>,
    /// With what `changes` compares.
    pub(super) compare_to: Option<(String, Place)>,
    /// The project, and its ref, of whose files `exists` speaks; none for those beside the rule.
    pub(super) elsewhere: Option<(String, Option<String>)>,
}

/// What rules may look at.
pub(super) struct Sight<'s> {
    /// All variables known before the job runs.
    pub(super) variables: &'s BTreeMap<String, String>,
    /// Of these the ones that others are named in, as they are written: so conditions see them (`build/rules/rule/clause/if.rb` takes
    /// `variables_hash`, the others `variables_hash_expanded`; `doc/ci/yaml/_index.md#rulesif`, additional details).
    pub(super) written: &'s BTreeMap<String, String>,
    /// Of these the value is never told.
    pub(super) masked: &'s BTreeMap<String, String>,
    pub(super) files: &'s dyn Files,
}

/// What became of a rule, with why, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Matched(String),
    Missed(String),
}

/// A clause that cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Undecided {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Rule {
    pub(super) fn blank(place: Place) -> Self {
        Self {
            place,
            condition: None,
            changes: None,
            exists: None,
            when: None,
            start_in_seconds: None,
            allow_failure: None,
            interruptible: None,
            auto_cancel: AutoCancelSpec::default(),
            variables: Vec::new(),
            needs: None,
        }
    }

    /// The first rule that matches, with its place in the list; none means that nothing is wanted. Each rule that was looked at
    /// is told to `trace`.
    pub(super) fn first<'r>(
        rules: &'r [Self],
        sight: &Sight<'_>,
        mut trace: impl FnMut(&Finding),
    ) -> Result<Option<(usize, &'r Self)>, Undecided> {
        for (at, rule) in rules.iter().enumerate() {
            let finding = rule.examine(sight)?;
            trace(&finding);
            if let Finding::Matched(_) = finding {
                return Ok(Some((at, rule)));
            }
        }
        Ok(None)
    }

    /// All its clauses must hold.
    fn examine(&self, sight: &Sight<'_>) -> Result<Finding, Undecided> {
        let mut why = Vec::new();
        if let Some(condition) = &self.condition {
            let told = format!("`{}`{}", condition.text(), sight.values(condition));
            if !sight.holds(condition) {
                return Ok(Finding::Missed(format!("{told} does not hold")));
            }
            why.push(format!("{told} holds"));
        }
        for (paths, kind) in [(&self.changes, Kind::Changes), (&self.exists, Kind::Exists)] {
            let Some(paths) = paths else { continue };
            match paths.examine(sight, kind)? {
                Finding::Missed(told) => return Ok(Finding::Missed(told)),
                Finding::Matched(told) => why.push(told),
            }
        }
        Ok(Finding::Matched(if why.is_empty() { "it has no condition".to_owned() } else { why.join(" and ") }))
    }
}

impl Sight<'_> {
    pub(super) fn holds(&self, condition: &Expression) -> bool {
        condition.holds(&|name| self.masked.get(name).or_else(|| self.as_written(name)).map(String::as_str))
    }

    fn as_written(&self, name: &str) -> Option<&String> {
        self.written.get(name).or_else(|| self.variables.get(name))
    }

    /// The values of the variables in a condition, for people.
    fn values(&self, condition: &Expression) -> String {
        let told = condition.variables().into_iter().map(|name| {
            if self.masked.contains_key(name) {
                return format!("${name} is masked");
            }
            match self.as_written(name) {
                Some(value) => format!("${name} is \"{}\"", shorten(value)),
                None => format!("${name} is not set"),
            }
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Changes,
    Exists,
}

impl Paths {
    pub(super) fn examine(&self, sight: &Sight<'_>, kind: Kind) -> Result<Finding, Undecided> {
        let undecided = |place: Place, why: &str| Undecided {
            place,
            message: format!("`{}` cannot be decided: {why}", if kind == Kind::Changes { "changes" } else { "exists" }),
        };
        let known = |name: &str| sight.variables.get(name).map(String::as_str);
        let expanded = |text: &str| expand::existing(text, &known).unwrap_or_else(|| text.to_owned());
        let paths = match kind {
            Kind::Exists => {
                let found = match &self.elsewhere {
                    None => sight.files.paths(),
                    Some((project, reference)) => {
                        let (project, reference) = (expanded(project), reference.as_deref().map(expanded));
                        let wanted = Elsewhere::Project { project, reference };
                        sight.files.paths_of(&wanted).map_err(|why| format!("`{}`: {why}", wanted.name()))
                    }
                };
                found.map_err(|why| undecided(self.place, &why))?
            }
            Kind::Changes => {
                let (since, place) = match (&self.compare_to, pushed_from(sight.variables)) {
                    (Some((reference, place)), _) => (Since::MergeBase(expanded(reference)), *place),
                    (None, Some(before)) => (Since::Revision(before.to_owned()), self.place),
                    (None, None) => {
                        let why = "`changes` holds, as it does in GitLab for a run that no push started";
                        return Ok(Finding::Matched(why.to_owned()));
                    }
                };
                sight.files.changed(&since).map_err(|why| undecided(place, &why))?
            }
        };
        let globs: Vec<String> = self.globs.iter().map(|glob| expanded(glob)).collect();
        let (verb, nothing) = if kind == Kind::Changes { ("changed", "nothing that changed") } else { ("is there", "no file") };
        let compared = match kind {
            Kind::Changes => globs.len(),
            Kind::Exists => globs.iter().filter(|glob| !is_found_at_once(glob)).count(),
        };
        let mut found = None;
        for text in &globs {
            let plain = kind == Kind::Exists && is_found_at_once(text);
            if !plain && paths.len().saturating_mul(compared) > COMPARISONS {
                continue;
            }
            let Some(glob) = Glob::parse(text) else {
                return Err(undecided(self.place, &format!("`{}` stands for too many paths", shorten(text))));
            };
            let in_folder = |path: &String| plain && text.ends_with('/') && path.starts_with(text);
            found = paths.iter().find(|path| in_folder(path) || glob.matches(path)).map(|path| (path, text));
            if found.is_some() {
                break;
            }
        }
        if let Some((path, text)) = found {
            return Ok(Finding::Matched(format!("`{path}` {verb} and matches `{}`", shorten(text))));
        }
        if paths.len().saturating_mul(compared) > COMPARISONS {
            return Ok(Finding::Matched(format!("more than {COMPARISONS} comparisons would be needed, which GitLab takes for a match")));
        }
        let shown = globs.iter().map(|glob| format!("`{}`", shorten(glob))).collect::<Vec<_>>().join(", ");
        Ok(Finding::Missed(format!("{nothing} matches {shown}")))
    }
}

/// What GitLab finds without comparing: a path, a folder (`dir/`), an ending (`**/*.rs`) (`clause/exists.rb`, `glob_type`).
fn is_found_at_once(glob: &str) -> bool {
    let ending = glob.strip_prefix("**/*").filter(|ending| ending.starts_with('.') && !ending.contains('/'));
    !super::glob::is_glob(ending.unwrap_or(glob))
}

/// What the ref named before the push that started this run; none when no push did.
fn pushed_from(variables: &BTreeMap<String, String>) -> Option<&str> {
    let get = |name: &str| variables.get(name).map(String::as_str);
    let by_push = get("CI_PIPELINE_SOURCE") == Some("push") && get("CI_COMMIT_TAG").is_none();
    get("CI_COMMIT_BEFORE_SHA").filter(|before| by_push && before.bytes().any(|digit| digit != b'0'))
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}
