//! A job's `rules`: the first that matches decides whether the job is in the pipeline, and how.

use std::collections::BTreeMap;

use crate::event::When;

use super::expression::Expression;
use super::spec::Variable;

/// One rule. Without a condition it matches.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) condition: Option<Expression>,
    pub(super) when: Option<When>,
    pub(super) allow_failure: Option<bool>,
    pub(super) variables: Vec<Variable>,
}

impl Rule {
    /// The first rule that matches; none means that the job is not in the pipeline.
    pub(super) fn first<'r>(rules: &'r [Self], variables: &BTreeMap<String, String>) -> Option<&'r Self> {
        rules.iter().find(|rule| rule.condition.as_ref().is_none_or(|condition| condition.holds(variables)))
    }
}
