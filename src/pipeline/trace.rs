//! How a plan came about: which rule matched and why the others did not, and where each variable's value is from. It is for
//! people and is not kept.

use super::expand::Definition;
use super::rule::Finding;
use super::spec::Variable;
use crate::document::Place;

/// What was considered, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// The rules of `workflow`; empty when it has none.
    pub workflow: Vec<RuleLook>,
    /// The jobs, instances apart where `parallel` makes several.
    pub jobs: Vec<Considered>,
}

/// A job, or one of its instances.
#[derive(Debug, Clone, PartialEq)]
pub struct Considered {
    /// Its full name.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Its rules; empty when it has none.
    pub rules: Vec<RuleLook>,
    /// What became of it.
    pub why: Why,
    /// Its variables by name, with their values before the runner's expansion; none when it is left out.
    pub variables: Vec<Valued>,
}

/// Whether a job is in the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is, for this reason.
    Taken(String),
    /// It is not, for this reason.
    LeftOut(String),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLook {
    /// Where it is written.
    pub place: Place,
    /// Whether it matched, with the reason; none when an earlier one had.
    pub matched: Option<Result<String, String>>,
}

/// A variable of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valued {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
}

/// Where a variable's value is from, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// hms gives it.
    Predefined,
    /// The `variables` at the top.
    File(Place),
    /// A rule of `workflow`.
    Workflow(Place),
    /// The job's `variables`.
    Job(Place),
    /// The job's matrix.
    Matrix,
    /// The rule that matched.
    Rule(Place),
    /// Given for the run.
    Run,
}

impl RuleLook {
    pub(super) fn of(place: Place, finding: Option<&Finding>) -> Self {
        let matched = finding.map(|finding| match finding {
            Finding::Matched(why) => Ok(why.clone()),
            Finding::Missed(why) => Err(why.clone()),
        });
        Self { place, matched }
    }
}

/// Definitions by name, each with where it is from; a later one takes the place of an earlier.
#[derive(Debug, Default)]
pub(super) struct Layers<'a> {
    pub(super) defined: std::collections::BTreeMap<&'a str, (Definition<'a>, Origin)>,
}

impl<'a> Layers<'a> {
    pub(super) fn put(&mut self, variables: impl IntoIterator<Item = &'a Variable>, origin: impl Fn(Place) -> Origin) {
        for Variable { name, place, value, raw } in variables {
            self.defined.insert(name, (Definition { name, value, raw: *raw }, origin(*place)));
        }
    }

    pub(super) fn put_plain(&mut self, pairs: impl IntoIterator<Item = (&'a String, &'a String)>, origin: Origin) {
        for (name, value) in pairs {
            self.defined.insert(name, (Definition { name, value, raw: false }, origin));
        }
    }
}
