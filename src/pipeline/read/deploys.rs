//! Which environments a job's script names.

use super::fields::{Context, shorten};
use crate::document::Place;
use crate::event::Weight;
use crate::pipeline::deploys::{self, Named};
use crate::pipeline::spec::{JobSpec, Line};

/// More environments than one job deploys to.
const ENVIRONMENT_LIMIT: usize = 20;

/// What `hms-deploy` in a script names, each once.
pub(super) fn named_in(lines: &[Line]) -> Vec<(Place, Named)> {
    let mut found: Vec<(Place, Named)> = Vec::new();
    for line in lines.iter().filter(|line| line.text.contains("hms-deploy")) {
        for named in deploys::environments(&line.text) {
            // One past the limit is enough to know that it is passed.
            if found.len() <= ENVIRONMENT_LIMIT && !found.iter().any(|(_, earlier)| *earlier == named) {
                found.push((line.place, named));
            }
        }
    }
    found
}

/// A share that `hms-deploy` will not take fails its job at the end of a pipeline, so it is said now.
pub(super) fn check_traffic(context: &mut Context, job: &str, lines: &[Line]) {
    for line in lines.iter().filter(|line| line.text.contains("hms-deploy")) {
        for value in deploys::traffic(&line.text) {
            if let Err(error) = value.parse::<Weight>() {
                let message = format!("{job}: `hms-deploy --traffic {}` will fail: {error}", shorten(&value));
                context.problems.warning(line.place, "traffic", message);
            }
        }
    }
}

/// What a script names in no readable way is refused when the job asks for it, so it is said now.
pub(super) fn find_deploys(context: &mut Context, job: &str, spec: &mut JobSpec, named: &[(Place, Named)]) {
    if named.len() > ENVIRONMENT_LIMIT {
        context.problems.error(spec.place, "environment-name", format!("{job} deploys to more than {ENVIRONMENT_LIMIT} environments"));
    }
    for (place, named) in named {
        match named {
            Named::Literal(text) => match text.parse() {
                Ok(environment) if spec.script_environments.contains(&environment) => {}
                Ok(environment) => spec.script_environments.push(environment),
                Err(error) => {
                    let message = format!("{job}: the environment `{}` {}", shorten(text), error.why);
                    context.problems.error(*place, "environment-name", message);
                }
            },
            Named::Unreadable => {
                let message = format!("{job}: the `--env` of this `hms-deploy` is not literal, and the job will be refused");
                let told = context.problems.warning(*place, "environment-not-literal", message);
                told.hint("write its name out, or add `environment:` to the job");
            }
        }
    }
}
