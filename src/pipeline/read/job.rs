//! One job.

use std::sync::Arc;

use super::fields::{Context, MONTH, WEEK, shorten};
use super::globals::Globals;
use super::inherit::{self, Inherits};
use super::variables::Whose;
use super::{artifacts, cache, deploys, environment, image, needs, parallel, policy, retry, rules, script, services, stage, variables};
use crate::document::{Entry, Node, Place};
use crate::event::{JobName, When};
use crate::pipeline::kept::ImageOptions;
use crate::pipeline::keyword;
use crate::pipeline::matrix::Parallel;
use crate::pipeline::spec::{AllowFailure, JobSpec};

pub(super) const WHEN: &[(&str, When)] = &[
    ("on_success", When::OnSuccess),
    ("on_failure", When::OnFailure),
    ("always", When::Always),
    ("manual", When::Manual),
    ("never", When::Never),
    ("delayed", When::Delayed),
];

pub(super) fn read(context: &mut Context, globals: &Globals, entry: &Entry) -> Option<JobSpec> {
    let job = format!("`{}`", shorten(&entry.key));
    let fields = entry.value.entries()?;
    unquoted_name(context, &job, entry);
    let inherits = inherit::read(context, &job, fields);
    let mut named = if inherits.defaults.takes("before_script") { globals.defaults.named.clone() } else { Vec::new() };
    let mut spec = blank(globals, entry, inherits);
    let mut stage = None;
    for field in context.keywords(&job, keyword::JOB, fields) {
        let subject = format!("{job}: `{}`", field.key);
        if field.key == "stage" {
            stage = context.text(&subject, &field.value, field.place).map(|stage| (stage, field.value.place));
            continue;
        }
        if field.key == "before_script" {
            let lines = script::read(context, &subject, &field.value, field.place);
            named = deploys::named_in(&lines);
            spec.before_script = lines.into();
            continue;
        }
        what_runs(context, &mut spec, &subject, field);
        how_it_runs(context, &mut spec, &subject, field);
    }
    require_script(context, &job, entry, fields);
    not_together(context, &job, &entry.key, fields);
    pages(context, &job, &mut spec, fields);
    stage::read(context, globals, &job, &mut spec, stage);
    name_of_pages(context, &spec);
    named.extend(deploys::named_in(&spec.script));
    deploys::find_deploys(context, &job, &mut spec, &named);
    deploys::check_traffic(context, &job, &spec.script);
    instance_names(context, &job, &spec);
    Some(spec)
}

/// Keywords of what a job does.
fn what_runs(context: &mut Context, spec: &mut JobSpec, subject: &str, field: &Entry) {
    let (node, place) = (&field.value, field.place);
    match field.key.as_str() {
        "script" => spec.script = script::read_main(context, subject, node, place),
        "after_script" => spec.after_script = script::read(context, subject, node, place).into(),
        "image" => (spec.image, spec.image_options) = image::read(context, subject, node, place),
        "services" => spec.services = services::read(context, subject, node, place).into(),
        "cache" => spec.cache = cache::read(context, subject, node, place).into(),
        "artifacts" => spec.artifacts = Arc::new(artifacts::read(context, subject, node, place)),
        "variables" => spec.variables = variables::read(context, subject, Whose::Job, node, place),
        "environment" => spec.environment = environment::read(context, subject, node, place),
        "tags" => spec.tags = context.tags(subject, node, place).into(),
        "coverage" => spec.coverage = coverage(context, subject, node, place),
        _ => {}
    }
}

/// Keywords of whether, when and how often it does it.
fn how_it_runs(context: &mut Context, spec: &mut JobSpec, subject: &str, field: &Entry) {
    let (node, place) = (&field.value, field.place);
    match field.key.as_str() {
        "needs" => {
            spec.needs = Some(needs::read(context, subject, node, place));
            spec.needs_place = place;
        }
        "dependencies" => spec.dependencies = Some(dependencies(context, subject, node, place)),
        "when" => {
            spec.when = when(context, subject, node, place);
            spec.when_place = node.place;
        }
        "start_in" => spec.start_in_seconds = context.duration(subject, node, place, WEEK),
        "allow_failure" => spec.allow_failure = allow_failure(context, subject, node, place),
        "parallel" => spec.parallel = parallel::read(context, subject, node, place),
        "timeout" => spec.timeout_seconds = context.duration(subject, node, place, MONTH),
        "retry" => spec.retry = Some(retry::read(context, subject, node, place)),
        "interruptible" => spec.interruptible = context.truth(subject, node, place),
        "rules" => spec.rules = Some(rules::read(context, subject, keyword::RULE, node, place)),
        "only" => spec.only = Some(policy::read(context, subject, node, place)),
        "except" => spec.except = Some(policy::read(context, subject, node, place)),
        "resource_group" => spec.resource_group = context.text(subject, node, place),
        "manual_confirmation" => spec.manual_confirmation = context.text(subject, node, place),
        _ => {}
    }
}

fn blank(globals: &Globals, entry: &Entry, inherits: Inherits) -> JobSpec {
    let defaults = globals.defaults.taken_by(&inherits.defaults);
    JobSpec {
        name: entry.key.clone(),
        place: entry.place,
        stage: String::new(),
        stage_place: entry.place,
        before_script: defaults.before_script,
        script: Vec::new(),
        after_script: defaults.after_script,
        image: defaults.image,
        image_options: if inherits.defaults.takes("image") { defaults.image_options } else { ImageOptions::default() },
        services: defaults.services,
        cache: defaults.cache,
        tags: defaults.tags,
        when: When::OnSuccess,
        when_place: entry.place,
        start_in_seconds: None,
        allow_failure: None,
        retry: defaults.retry,
        interruptible: defaults.interruptible,
        manual_confirmation: None,
        coverage: None,
        dependencies: None,
        needs: None,
        needs_place: entry.place,
        variables: Vec::new(),
        inherit_variables: inherits.variables,
        parallel: None,
        artifacts: defaults.artifacts,
        timeout_seconds: defaults.timeout_seconds,
        environment: None,
        script_environments: Vec::new(),
        rules: None,
        only: None,
        except: None,
        resource_group: None,
        gate: false,
    }
}

/// A name that YAML reads as something else than text is none to GitLab (`entry/processable.rb`: `validates :name, type: Symbol`).
fn unquoted_name(context: &mut Context, job: &str, entry: &Entry) {
    if let Some(word) = entry.word {
        let message = format!("{job} is no name of a job: without quotes it is {}", word.kind());
        context.problems.error(entry.place, "job-name", message).hint(format!("write `\"{}\":`, or give the job another name", entry.key));
    }
}

/// What GitLab's own deploy of pages is called (`doc/ci/jobs/_index.md#job-names`).
fn name_of_pages(context: &mut Context, spec: &JobSpec) {
    if spec.name == "pages:deploy" && spec.stage == "deploy" {
        let message = "`pages:deploy` is a reserved name in the stage `deploy`";
        context.problems.error(spec.place, "reserved-name", message).hint("give the job another name");
    }
}

/// A job called `pages`, or with `pages`, hands on what would be published (`entry/job.rb`, `artifacts_with_pages_publish_path`).
fn pages(context: &mut Context, job: &str, spec: &mut JobSpec, fields: &[Entry]) {
    let field = |key: &str| fields.iter().find(|field| field.key == key && !field.value.is_null());
    let is = match field("pages") {
        Some(pages) => pages.value.as_bool() != Some(false),
        None => spec.name == "pages",
    };
    if !is {
        return;
    }
    if field("pages").is_none() {
        context.problems.warning(spec.place, "not-honoured", format!("{job} is run, and no pages are published"));
    }
    let own = field("pages").and_then(|pages| pages.value.get("publish")).or(field("publish").map(|publish| &publish.value));
    let path = own.and_then(Node::as_str).unwrap_or("public").to_owned();
    if !spec.artifacts.paths.contains(&path) {
        Arc::make_mut(&mut spec.artifacts).paths.push(path);
    }
}

/// Every name that an instance has must be one; so must the plain one.
fn instance_names(context: &mut Context, job: &str, spec: &JobSpec) {
    let plain = spec.name.parse::<JobName>().err();
    let of_instances = match &spec.parallel {
        None => None,
        Some(Parallel::Count(total)) => format!("{} {total}/{total}", spec.name).parse::<JobName>().err(),
        Some(Parallel::Matrix(_)) => {
            let instances = spec.instances();
            let mut seen = std::collections::HashSet::new();
            if let Some(twice) = instances.iter().find(|instance| !seen.insert(instance.name.as_str())) {
                let message = format!("{job}: its matrix makes `{}` twice", shorten(&twice.name));
                context.problems.error(spec.place, "job-name", message).hint("remove one of the two combinations");
            }
            instances.iter().find_map(|instance| instance.name.parse::<JobName>().err())
        }
    };
    if let Some(error) = plain.or(of_instances) {
        context.problems.error(spec.place, "job-name", format!("the job name {job} {}", error.why));
    }
}

fn require_script(context: &mut Context, job: &str, entry: &Entry, fields: &[Entry]) {
    if let Some(script) = fields.iter().find(|field| field.key == "script" && field.value.is_null()) {
        let told = context.problems.error(script.place, "blank", format!("{job}: `script` is blank"));
        told.hint("a job that does nothing has `script: \"true\"`");
        return;
    }
    let other = ["script", "trigger", "run"].iter().any(|key| fields.iter().any(|field| field.key == *key));
    if !other {
        context
            .problems
            .error(entry.place, "no-script", format!("{job} has no `script`"))
            .hint("add `script:`; a mapping that is no job, for anchors and `extends` to share, has a name that starts with a dot");
    }
}

/// Keywords that GitLab takes one of (`entry/processable.rb`, `entry/job.rb`).
fn not_together(context: &mut Context, job: &str, name: &str, fields: &[Entry]) {
    let field = |key: &str| fields.iter().find(|field| field.key == key && !field.value.is_null());
    let delayed = field("when").is_some_and(|field| field.value.as_str() == Some("delayed"));
    if field("rules").is_some() {
        for key in ["only", "except"] {
            if let Some(field) = field(key) {
                let message = format!("{job}: `{key}` cannot go with `rules`");
                context.problems.error(field.place, "with-rules", message).hint("write its conditions as rules");
            }
        }
    }
    match (field("start_in"), delayed) {
        (Some(start_in), _) if field("rules").is_some() => {
            let message = format!("{job}: `start_in` cannot go with `rules`");
            context.problems.error(start_in.place, "start-in", message).hint("write `start_in` in the rule that says `when: delayed`");
        }
        (Some(start_in), false) => {
            let message = format!("{job}: `start_in` goes with `when: delayed`");
            context.problems.error(start_in.place, "start-in", message).hint("add `when: delayed`");
        }
        (None, true) => {
            let place = field("when").map_or(Place::START, |when| when.value.place);
            let message = format!("{job}: `when: delayed` has no `start_in`");
            context.problems.error(place, "start-in", message).hint("for instance `start_in: 30 minutes`");
        }
        (Some(_), true) | (None, false) => {}
    }
    if let Some(confirmation) = field("manual_confirmation")
        && field("when").is_none_or(|field| field.value.as_str() != Some("manual"))
        && field("rules").is_none()
    {
        let message = format!("{job}: `manual_confirmation` goes with `when: manual`, and is not asked here");
        context.problems.warning(confirmation.place, "manual-confirmation", message).hint("add `when: manual`");
    }
    // `entry/job.rb`, `pages_job?`.
    let of_pages = field("pages").is_some_and(|pages| pages.value.as_bool() != Some(false));
    if let Some(publish) = field("publish").filter(|_| !of_pages && name != "pages") {
        let message = format!("{job}: `publish` is for a job of pages alone");
        context.problems.error(publish.place, "publish", message).hint("add `pages: true`");
    }
}

fn when(context: &mut Context, subject: &str, node: &Node, place: Place) -> When {
    let when = context.word(subject, WHEN, node, place).unwrap_or(When::OnSuccess);
    if when == When::Never {
        let message = format!("{subject} is `never`, which is for rules alone");
        context
            .problems
            .error(node.place, "unknown-value", message)
            .hint("to keep a job out, start its name with a dot, or write `rules: [{when: never}]`");
    }
    when
}

fn allow_failure(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<AllowFailure> {
    let Some(entries) = node.entries() else { return context.truth(subject, node, place).map(AllowFailure::Always) };
    let mut codes = Vec::new();
    for entry in context.keywords(subject, keyword::ALLOW_FAILURE, entries) {
        codes = context.integers(&format!("{subject}: `{}`", entry.key), &entry.value, entry.place);
    }
    Some(AllowFailure::ExitCodes(codes))
}

fn dependencies(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<(String, Place)> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of jobs", node, place);
        return Vec::new();
    };
    let of = format!("an entry of {subject}");
    items.iter().filter_map(|item| Some((context.text(&of, item, place)?, item.place))).collect()
}

/// `/pattern/` (`entry/coverage.rb`).
fn coverage(context: &mut Context, subject: &str, node: &Node, place: Place) -> Option<String> {
    let text = context.text(subject, node, place)?;
    let pattern = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|pattern| !pattern.is_empty());
    let built = pattern.map(|pattern| regex::RegexBuilder::new(pattern).size_limit(1 << 20).build());
    match built {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            let why = error.to_string().lines().last().unwrap_or_default().to_owned();
            context.problems.error(node.place, "condition", format!("{subject} is no pattern: {why}"));
        }
        None => {
            let message = format!("{subject} is `{}`, which does not stand between slashes", shorten(&text));
            context.problems.error(node.place, "condition", message).hint("for instance `/total: (\\d+)%/`");
        }
    }
    pattern.map(str::to_owned)
}
