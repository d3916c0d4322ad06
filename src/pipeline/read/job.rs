//! One job.

use std::sync::Arc;

use super::fields::{Context, shorten};
use super::globals::Globals;
use super::{artifacts, environment, image, needs, rules, script, variables};
use crate::document::{Entry, Node, Place, Value};
use crate::event::{JobName, When};
use crate::pipeline::deploys::{self, Named};
use crate::pipeline::duration;
use crate::pipeline::keyword;
use crate::pipeline::spec::{JobSpec, Line};

/// Names GitLab keeps for itself (`doc/ci/jobs/_index.md#job-names`); the keywords among them never come here.
const RESERVED: &[&str] = &["true", "false", "nil", "pages:deploy"];

/// GitLab's limit for `parallel`.
const PARALLEL_LIMIT: i64 = 200;

pub(super) const WHEN: &[(&str, Option<When>)] = &[
    ("on_success", Some(When::OnSuccess)),
    ("on_failure", Some(When::OnFailure)),
    ("always", Some(When::Always)),
    ("manual", Some(When::Manual)),
    ("never", Some(When::Never)),
    ("delayed", None),
];

pub(super) fn read(context: &mut Context, globals: &Globals, entry: &Entry) -> Option<JobSpec> {
    let job = format!("`{}`", shorten(&entry.key));
    let fields = entry.value.entries()?;
    name(context, &job, entry);
    let mut spec = blank(globals, entry);
    let mut stage = None;
    let mut named = globals.defaults.named.clone();
    let done = context.keywords(&job, keyword::JOB, fields);
    for field in done {
        let subject = format!("{job}: `{}`", field.key);
        let (node, place) = (&field.value, field.place);
        match field.key.as_str() {
            "stage" => stage = context.text(&subject, node, place).map(|stage| (stage, node.place)),
            "script" => spec.script = script::read_main(context, &subject, node, place),
            "before_script" => {
                let lines = script::read(context, &subject, node, place);
                named = named_in(&lines);
                spec.before_script = lines.into();
            }
            "after_script" => spec.after_script = script::read(context, &subject, node, place).into(),
            "image" => spec.image = image::read(context, &subject, node, place),
            "artifacts" => spec.artifacts = Arc::new(artifacts::read(context, &subject, node, place)),
            "needs" => {
                spec.needs = Some(needs::read(context, &subject, node, place));
                spec.needs_place = place;
            }
            "when" => {
                spec.when = when(context, &subject, node, place);
                spec.when_place = node.place;
            }
            "allow_failure" => spec.allow_failure = allow_failure(context, &subject, node, place),
            "variables" => spec.variables = variables::read(context, &subject, node, place),
            "parallel" => spec.parallel = parallel(context, &subject, node, place),
            "timeout" => spec.timeout_seconds = timeout(context, &subject, node, place),
            "environment" => spec.environment = environment::read(context, &subject, node, place),
            "rules" => spec.rules = Some(rules::read(context, &subject, node, place)),
            "resource_group" => spec.resource_group = context.text(&subject, node, place),
            _ => {}
        }
    }
    require_script(context, &job, entry, fields);
    self::stage(context, globals, &job, &mut spec, stage);
    named.extend(named_in(&spec.script));
    find_deploys(context, &job, &mut spec, &named);
    instance_names(context, &job, &spec);
    Some(spec)
}

/// A duration of at most a month, as GitLab has it.
pub(super) fn timeout(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<u64> {
    const EXAMPLE: &str = "for instance `90 seconds` or `1h 30m`";
    let text = context.text(subject, node, place)?;
    let seconds = duration::parse(&text);
    match seconds {
        None => {
            let message = format!("{subject} is `{}`, which is no duration", shorten(&text));
            context.problems.error(node.place, "duration", message).hint(EXAMPLE);
        }
        Some(seconds) if seconds > 31 * 86_400 => {
            context.problems.error(node.place, "duration", format!("{subject} is longer than a month")).hint(EXAMPLE);
        }
        Some(_) => {}
    }
    seconds
}

fn blank(globals: &Globals, entry: &Entry) -> JobSpec {
    let defaults = &globals.defaults;
    JobSpec {
        name: entry.key.clone(),
        place: entry.place,
        stage: String::new(),
        stage_place: entry.place,
        before_script: defaults.before_script.clone(),
        script: Vec::new(),
        after_script: defaults.after_script.clone(),
        image: defaults.image.clone(),
        when: When::OnSuccess,
        when_place: entry.place,
        allow_failure: None,
        needs: None,
        needs_place: entry.place,
        variables: Vec::new(),
        parallel: None,
        artifacts: defaults.artifacts.clone(),
        timeout_seconds: defaults.timeout_seconds,
        environment: None,
        script_environments: Vec::new(),
        rules: None,
        resource_group: None,
        gate: false,
    }
}

fn name(context: &mut Context, job: &str, entry: &Entry) {
    if RESERVED.contains(&entry.key.as_str()) {
        context.problems.error(entry.place, "reserved-name", format!("{job} is a reserved name")).hint("give the job another name");
    }
}

/// The longest name that an instance has must still be one; so must the plain one.
fn instance_names(context: &mut Context, job: &str, spec: &JobSpec) {
    let suffix = spec.parallel.map(|total| format!(" {total}/{total}")).unwrap_or_default();
    if let Err(error) = format!("{}{suffix}", spec.name).parse::<JobName>() {
        context.problems.error(spec.place, "job-name", format!("the job name {job} {}", error.why));
    }
}

fn require_script(context: &mut Context, job: &str, entry: &Entry, fields: &[Entry]) {
    let other = ["script", "trigger", "run", "extends"].iter().any(|key| fields.iter().any(|field| field.key == *key));
    if !other {
        context
            .problems
            .error(entry.place, "no-script", format!("{job} has no `script`"))
            .hint("add `script:`; a mapping that is no job, for anchors to share, has a name that starts with a dot");
    }
}

fn stage(context: &mut Context, globals: &Globals, job: &str, spec: &mut JobSpec, given: Option<(String, Place)>) {
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

fn when(context: &mut Context, subject: &str, node: &Node, place: Place) -> When {
    match context.word(subject, WHEN, node, place) {
        Some(Some(When::Never)) => {
            const NEVER: &str = "GitLab takes `never` only in `rules`; to keep a job out, start its name with a dot";
            let message = format!("{subject} is `never`: the job is left out");
            if context.strict {
                context.problems.error(node.place, "unknown-value", message).hint(NEVER);
            } else {
                context.problems.warning(node.place, "never", message).hint(NEVER);
            }
            When::Never
        }
        Some(Some(when)) => when,
        Some(None) => {
            context
                .problems
                .error(node.place, "refused-keyword", format!("{subject}: delayed jobs are not supported"))
                .hint("use `manual`, or run at once");
            When::OnSuccess
        }
        None => When::OnSuccess,
    }
}

pub(super) fn allow_failure(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<bool> {
    if node.entries().is_some() {
        let message = format!("{subject} by exit code is not supported");
        context.problems.error(node.place, "refused-keyword", message).hint("write `allow_failure: true` or `false`");
        return None;
    }
    context.truth(subject, node, place)
}

fn parallel(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<u32> {
    match &node.value {
        Value::Integer(count) if (1..=PARALLEL_LIMIT).contains(count) => u32::try_from(*count).ok(),
        Value::Integer(count) => {
            context.problems.error(node.place, "parallel", format!("{subject} is {count}; it can be 1 to {PARALLEL_LIMIT}"));
            None
        }
        Value::Mapping(_) => {
            let message = format!("{subject}: `matrix` is not supported");
            context.problems.error(node.place, "refused-keyword", message).hint("write `parallel: N`, or a job for each combination");
            None
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::String(_) | Value::Sequence(_) => {
            context.wrong_type(subject, "a whole number", node, place);
            None
        }
    }
}

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

/// What a script names in no readable way is refused when the job asks for it, so it is said now.
fn find_deploys(context: &mut Context, job: &str, spec: &mut JobSpec, named: &[(Place, Named)]) {
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
