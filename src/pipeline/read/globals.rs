//! What stands at the top of the file beside the jobs.

use std::sync::Arc;

use super::fields::{Context, MONTH, shorten};
use super::variables::Whose;
use super::{artifacts, cache, deploys, image, retry, script, services, variables, workflow};
use crate::document::{Entry, Node, Place};
use crate::pipeline::deploys::Named;
use crate::pipeline::kept::{Artifacts, Cache, ImageOptions, Retry, Service};
use crate::pipeline::keyword::{self, standing};
use crate::pipeline::spec::{Inherit, Line, Variable, Workflow};
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
    pub(super) workflow: Workflow,
    pub(super) defaults: Defaults,
    pub(super) jobs: Vec<&'e Entry>,
}

/// What jobs get that do not say otherwise.
#[derive(Default, Clone)]
pub(super) struct Defaults {
    pub(super) before_script: Arc<[Line]>,
    /// What `hms-deploy` in it names; looked for once, and not for every job.
    pub(super) named: Vec<(Place, Named)>,
    pub(super) after_script: Arc<[Line]>,
    pub(super) image: Option<String>,
    pub(super) image_options: ImageOptions,
    pub(super) services: Arc<[Service]>,
    pub(super) cache: Arc<[Cache]>,
    pub(super) tags: Arc<[String]>,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) retry: Option<Retry>,
    pub(super) interruptible: Option<bool>,
}

impl Defaults {
    /// Those that a job takes. Long ones are shared and not copied.
    pub(super) fn taken_by(&self, inherit: &Inherit) -> Self {
        let mut taken = Self { named: Vec::new(), ..self.clone() };
        let leaves = |name: &str| !inherit.takes(name);
        if leaves("before_script") {
            taken.before_script = Arc::default();
        }
        if leaves("after_script") {
            taken.after_script = Arc::default();
        }
        if leaves("image") {
            (taken.image, taken.image_options) = (None, ImageOptions::default());
        }
        if leaves("services") {
            taken.services = Arc::default();
        }
        if leaves("cache") {
            taken.cache = Arc::default();
        }
        if leaves("tags") {
            taken.tags = Arc::default();
        }
        if leaves("artifacts") {
            taken.artifacts = Arc::default();
        }
        taken.timeout_seconds = taken.timeout_seconds.filter(|_| inherit.takes("timeout"));
        taken.retry = taken.retry.filter(|_| inherit.takes("retry"));
        taken.interruptible = taken.interruptible.filter(|_| inherit.takes("interruptible"));
        taken
    }
}

pub(super) fn read<'e>(context: &mut Context, entries: &'e [Entry]) -> Globals<'e> {
    let mut globals = Globals {
        stages: Vec::new(),
        own_stages: Vec::new(),
        variables: Vec::new(),
        workflow: Workflow::default(),
        defaults: Defaults::default(),
        jobs: Vec::new(),
    };
    let default = entries.iter().find(|entry| entry.key == "default");
    for entry in entries {
        // `.5` is a number, and no hidden job.
        if entry.key.starts_with('.') && entry.word.is_none() {
            hidden(context, entry);
            continue;
        }
        match standing(keyword::GLOBAL, &entry.key) {
            Some(_) => {
                if !context.keywords("", keyword::GLOBAL, std::slice::from_ref(entry)).is_empty() {
                    global(context, &mut globals, entry, default);
                }
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

/// A hidden job must say something (`entry/hidden.rb`); `.hms` is none to GitLab either way.
fn hidden(context: &mut Context, entry: &Entry) {
    let node = &entry.value;
    let blank = node.is_null()
        || node.as_bool() == Some(false)
        || node.as_str().is_some_and(|text| text.trim().is_empty())
        || node.items().is_some_and(<[Node]>::is_empty)
        || node.entries().is_some_and(<[Entry]>::is_empty);
    if blank && entry.key != ".hms" {
        let place = if node.is_null() { entry.place } else { node.place };
        context
            .problems
            .error(place, "blank", format!("`{}` says nothing", shorten(&entry.key)))
            .hint("remove it, or write what it is for");
    }
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
    if node.is_null() {
        return;
    }
    match entry.key.as_str() {
        "stages" => globals.own_stages = stages(context, &subject, node, place),
        "variables" => globals.variables = variables::read(context, &subject, Whose::File, node, place),
        "default" => defaults(context, &mut globals.defaults, &subject, node, place),
        "workflow" => globals.workflow = workflow::read(context, &subject, node, place),
        // What it names is there by now.
        "include" => {}
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
    if node.is_null() {
        return;
    }
    match field.key.as_str() {
        "before_script" => {
            let lines = script::read(context, subject, node, place);
            defaults.named = deploys::named_in(&lines);
            defaults.before_script = lines.into();
        }
        "after_script" => defaults.after_script = script::read(context, subject, node, place).into(),
        "image" => (defaults.image, defaults.image_options) = image::read(context, subject, node, place),
        "services" => defaults.services = services::read(context, subject, node, place).into(),
        "cache" => defaults.cache = cache::read(context, subject, node, place).into(),
        "tags" => defaults.tags = context.tags(subject, node, place).into(),
        "artifacts" => defaults.artifacts = Arc::new(artifacts::read(context, subject, node, place)),
        "timeout" => defaults.timeout_seconds = context.duration(subject, node, place, MONTH),
        "retry" => defaults.retry = Some(retry::read(context, subject, node, place)),
        "interruptible" => defaults.interruptible = context.truth(subject, node, place),
        _ => {}
    }
}

fn stages(context: &mut Context, subject: &str, node: &Node, place: Place) -> Vec<String> {
    let Some(items) = node.items() else {
        context.wrong_type(subject, "a list of names", node, place);
        return Vec::new();
    };
    let mut stages: Vec<String> = Vec::with_capacity(items.len());
    let mut flat = Vec::new();
    flatten(context, subject, items, 0, &mut flat);
    for item in flat {
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

/// How deep lists may lie in each other (`entry/stages.rb`).
const DEPTH_LIMIT: usize = 10;

fn flatten<'n>(context: &mut Context, subject: &str, items: &'n [Node], depth: usize, flat: &mut Vec<&'n Node>) {
    for item in items {
        match item.items() {
            None => flat.push(item),
            Some(inner) if depth + 1 < DEPTH_LIMIT => flatten(context, subject, inner, depth + 1, flat),
            Some(_) => {
                let message = format!("the lists in {subject} lie in each other more than {DEPTH_LIMIT} deep");
                context.problems.error(item.place, "too-deep", message);
            }
        }
    }
}

/// More than anybody has, and few enough to be looked through for every job.
const STAGE_LIMIT: usize = 200;
