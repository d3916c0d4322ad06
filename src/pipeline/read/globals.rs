//! What stands at the top of the file beside the jobs.

use std::sync::Arc;

use super::fields::{Context, shorten};
use super::{artifacts, image, job, script, variables};
use crate::document::{Entry, Node, Place};
use crate::pipeline::deploys::Named;
use crate::pipeline::keyword::{self, Standing, standing};
use crate::pipeline::spec::{Artifacts, Line, Variable};
use crate::pipeline::suggest;

/// GitLab's stages for a file that names none.
const DEFAULT_STAGES: &[&str] = &["build", "test", "deploy"];

/// The top of the file.
pub(super) struct Globals<'e> {
    /// All stages, `.pre` and `.post` among them.
    pub(super) stages: Vec<String>,
    /// Those that the file itself names.
    pub(super) own_stages: Vec<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) defaults: Defaults,
    pub(super) jobs: Vec<&'e Entry>,
}

/// What jobs get that do not say otherwise.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) before_script: Arc<[Line]>,
    /// What `hms-deploy` in it names; looked for once, and not for every job.
    pub(super) named: Vec<(Place, Named)>,
    pub(super) after_script: Arc<[Line]>,
    pub(super) image: Option<String>,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) timeout_seconds: Option<u64>,
}

pub(super) fn read<'e>(context: &mut Context, entries: &'e [Entry]) -> Globals<'e> {
    let mut globals =
        Globals { stages: Vec::new(), own_stages: Vec::new(), variables: Vec::new(), defaults: Defaults::default(), jobs: Vec::new() };
    let default = entries.iter().find(|entry| entry.key == "default");
    for entry in entries {
        if entry.key.starts_with('.') {
            continue;
        }
        match standing(keyword::GLOBAL, &entry.key) {
            Some(Standing::Done) => global(context, &mut globals, entry, default),
            Some(Standing::Warned(_) | Standing::Refused(_)) => {
                context.keywords("", keyword::GLOBAL, std::slice::from_ref(entry));
            }
            None if is_job(entry) => globals.jobs.push(entry),
            None => {
                let message = format!("unknown key `{}`", shorten(&entry.key));
                let told = context.problems.error(entry.place, "unknown-key", message);
                let names = keyword::GLOBAL.iter().map(|(name, _)| *name);
                told.suggest(&entry.key, names, "a job is a mapping with a `script`".to_owned());
            }
        }
    }
    let own = if globals.own_stages.is_empty() {
        DEFAULT_STAGES.iter().map(|stage| (*stage).to_owned()).collect()
    } else {
        globals.own_stages.clone()
    };
    let middle = own.into_iter().filter(|stage| stage != ".pre" && stage != ".post");
    globals.stages = std::iter::once(".pre".to_owned()).chain(middle).chain([".post".to_owned()]).collect();
    globals
}

/// A mapping is a job, unless nothing in it is a job's and its name is nearly a keyword's: `variable: {A: b}`.
fn is_job(entry: &Entry) -> bool {
    let Some(fields) = entry.value.entries() else { return false };
    let jobs_own = fields.iter().any(|field| standing(keyword::JOB, &field.key).is_some());
    jobs_own || suggest::nearest(&entry.key, keyword::GLOBAL.iter().map(|(name, _)| *name)).is_none()
}

fn global(context: &mut Context, globals: &mut Globals, entry: &Entry, default: Option<&Entry>) {
    let subject = format!("`{}`", entry.key);
    let (node, place) = (&entry.value, entry.place);
    match entry.key.as_str() {
        "stages" => globals.own_stages = stages(context, &subject, node, place),
        "variables" => globals.variables = variables::read(context, &subject, node, place),
        "default" => defaults(context, &mut globals.defaults, &subject, node, place),
        "workflow" => {
            if let Some(fields) = context.entries(&subject, node, place) {
                context.keywords(&subject, keyword::WORKFLOW, fields);
            }
        }
        key => {
            if let Some(other) = default.and_then(|default| default.value.entries()?.iter().find(|field| field.key == key)) {
                let message = format!("{subject} is here and in `default`, line {}", other.place.line);
                context.problems.error(place, "duplicate-default", message).hint("keep the one in `default`");
            } else {
                default_field(context, &mut globals.defaults, &subject, entry);
            }
        }
    }
}

fn defaults(context: &mut Context, defaults: &mut Defaults, subject: &str, node: &Node, place: Place) {
    let Some(fields) = context.entries(subject, node, place) else { return };
    for field in context.keywords(subject, keyword::DEFAULT, fields) {
        default_field(context, defaults, &format!("{subject}: `{}`", field.key), field);
    }
}

fn default_field(context: &mut Context, defaults: &mut Defaults, subject: &str, field: &Entry) {
    let (node, place) = (&field.value, field.place);
    match field.key.as_str() {
        "before_script" => {
            let lines = script::read(context, subject, node, place);
            defaults.named = job::named_in(&lines);
            defaults.before_script = lines.into();
        }
        "after_script" => defaults.after_script = script::read(context, subject, node, place).into(),
        "image" => defaults.image = image::read(context, subject, node, place),
        "artifacts" => defaults.artifacts = Arc::new(artifacts::read(context, subject, node, place)),
        "timeout" => defaults.timeout_seconds = job::timeout(context, subject, node, place),
        _ => {}
    }
}

fn stages(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of names", node, place);
        return Vec::new();
    };
    let mut stages: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let Some(stage) = context.text(&format!("an entry of {subject}"), item, node.place) else { continue };
        if stages.contains(&stage) {
            context.problems.warning(item.place, "duplicate-stage", format!("the stage `{}` is named twice", shorten(&stage)));
        } else if stages.len() >= STAGE_LIMIT {
            context.problems.error(item.place, "too-many-stages", format!("there are more than {STAGE_LIMIT} stages"));
            break;
        } else {
            stages.push(stage);
        }
    }
    stages
}

/// More than anybody has, and few enough to be looked through for every job.
const STAGE_LIMIT: usize = 200;
