//! The stage of a job, and deviation (b).

use super::fields::{Context, shorten};
use super::globals::Globals;
use crate::document::Place;
use crate::pipeline::spec::JobSpec;

pub(super) fn read(context: &mut Context, globals: &Globals, job: &str, spec: &mut JobSpec, given: Option<(String, Place)>) {
    let named_as_stage = globals.own_stages.contains(&spec.name);
    let (stage, place) = match given {
        Some(given) => given,
        None if named_as_stage && !context.strict => {
            // A job called `test` runs where GitLab would run it.
            if spec.name != "test" {
                let message = format!("{job} has no `stage` and runs in the stage of its name; GitLab would run it in `test`");
                context.problems.note(spec.place, "deviation-stage", message).hint(format!("for GitLab add `stage: {}`", spec.name));
            }
            (spec.name.clone(), spec.place)
        }
        None => ("test".to_owned(), spec.place),
    };
    if !globals.stages.contains(&stage) {
        let all = globals.stages.join(", ");
        let message = format!("{job} runs in the stage `{}`, which is none of {}", shorten(&stage), shorten(&all));
        let hint = if place == spec.place {
            format!("add `stage:`; without it a job runs in `{stage}`")
        } else {
            format!("add `{stage}` to `stages`")
        };
        let told = context.problems.error(place, "unknown-stage", message);
        told.suggest(&stage, globals.stages.iter().map(String::as_str), hint);
    }
    spec.stage = stage;
    spec.stage_place = place;
}
