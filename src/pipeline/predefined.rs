//! The `CI_*` variables, from facts. What is not known is left out: no variable has a made-up value.
//!
//! Names and meanings are GitLab's (`doc/ci/variables/predefined_variables.md`). Those of the pipeline are known to `rules`;
//! those of the job only to its script.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::event::{Revision, RunId};

use super::environment::guessed_tier;
use super::plan::{Job, JobEnvironment};
use super::slug::{environment_slug, slug};

/// How much of a message a variable holds, in bytes (`variables/builder/pipeline.rb`). A process is given no string over 128 KiB: with a
/// longer one no command of a job would start.
const MESSAGE_BYTES: usize = 100_000;

const NUMBER: &str = "CI_PIPELINE_IID";

/// What is known of a run's commit, project and run. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineFacts {
    /// The commit.
    pub revision: Revision,
    /// The commit's whole message.
    pub message: Option<String>,
    /// Its author, as `Name <address>`.
    pub author: Option<String>,
    /// When it was committed.
    pub timestamp: Option<String>,
    /// The message of the tag of the run; empty when the tag is but a name for a commit.
    pub tag_message: Option<String>,
    /// What the ref named before it moved; none when no push started the run.
    pub before: Option<Revision>,
    /// The branch or tag of the run.
    pub reference: Option<Reference>,
    /// The repository's main branch.
    pub default_branch: Option<String>,
    /// The project's name.
    pub project_name: Option<String>,
    /// Its path on its server, for instance `group/project`.
    pub project_path: Option<String>,
    /// The server's host.
    pub server_host: Option<String>,
    /// The pipeline file, from the top of the repository.
    pub config_path: Option<String>,
    /// The run's number in the repository.
    pub number: Option<u64>,
    /// The run's id: none while it is planned, as in GitLab.
    pub run: Option<RunId>,
    /// When the run was created.
    pub created_at: Option<String>,
    /// What started it, in GitLab's words: `push`, `web`, `api`.
    pub source: Option<String>,
    /// What `workflow: name` calls it.
    pub name: Option<String>,
    /// Whether its ref is protected.
    pub protected: Option<bool>,
}

/// A short ref name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// What is known of an attempt of a job. Times are RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobFacts<'f> {
    /// The job.
    pub job: &'f Job,
    /// The attempt's id.
    pub id: Option<&'f str>,
    /// The checkout, as the script sees it.
    pub project_dir: Option<&'f str>,
    /// When it started.
    pub started_at: Option<&'f str>,
    /// How long it may take in all, in seconds.
    pub timeout_seconds: Option<u64>,
    /// It is one that somebody can start by hand: manual or delayed.
    pub actionable: bool,
    /// The image it really runs in, if it runs in one.
    pub image: Option<&'f str>,
}

/// The variables of the pipeline.
#[must_use]
pub fn predefined(facts: &PipelineFacts) -> BTreeMap<String, String> {
    let mut set = Variables::default();
    set.put("CI", "true");
    set.put("CI_SHARED_ENVIRONMENT", "true");
    set.put("CI_COMMIT_SHA", facts.revision.as_str());
    set.put("CI_COMMIT_SHORT_SHA", facts.revision.short());
    if let Some(message) = &facts.message {
        let message = message.trim_end();
        let (title, rest) = message.split_once('\n').unwrap_or((message, ""));
        set.put("CI_COMMIT_MESSAGE", cut(message));
        set.put("CI_COMMIT_MESSAGE_IS_TRUNCATED", (message.len() > MESSAGE_BYTES).to_string());
        set.put("CI_COMMIT_TITLE", cut(title.trim()));
        // GitLab gives the whole message when the title is a long one.
        set.put("CI_COMMIT_DESCRIPTION", cut(if title.chars().count() < 100 { rest.trim_start() } else { message }));
    }
    set.known("CI_COMMIT_AUTHOR", facts.author.as_deref());
    set.known("CI_COMMIT_TIMESTAMP", facts.timestamp.as_deref());
    // No push, no commit before: as many zeros as an id has digits (`app/models/ci/pipeline.rb`, `before_sha`).
    let nothing = "0".repeat(facts.revision.as_str().len());
    set.put("CI_COMMIT_BEFORE_SHA", facts.before.as_ref().map_or(nothing.as_str(), Revision::as_str));
    match &facts.reference {
        Some(Reference::Branch(name)) => {
            set.put("CI_COMMIT_BRANCH", name);
            set.reference(name);
        }
        Some(Reference::Tag(name)) => {
            set.put("CI_COMMIT_TAG", name);
            set.known("CI_COMMIT_TAG_MESSAGE", facts.tag_message.as_deref().map(cut));
            set.reference(name);
        }
        None => {}
    }
    set.known("CI_COMMIT_REF_PROTECTED", facts.protected.map(|protected| if protected { "true" } else { "false" }));
    set.known("CI_DEFAULT_BRANCH", facts.default_branch.as_deref());
    set.known("CI_PROJECT_NAME", facts.project_name.as_deref());
    set.known("CI_PROJECT_TITLE", facts.project_name.as_deref());
    if let Some(path) = &facts.project_path {
        set.put("CI_PROJECT_PATH", path);
        set.put("CI_PROJECT_PATH_SLUG", slug(path));
        if let Some((namespace, name)) = path.rsplit_once('/') {
            set.put("CI_PROJECT_NAME", name);
            set.put("CI_PROJECT_NAMESPACE", namespace);
            set.put("CI_PROJECT_NAMESPACE_SLUG", slug(namespace));
            set.put("CI_PROJECT_ROOT_NAMESPACE", namespace.split('/').next().unwrap_or(namespace));
        }
    }
    if let Some(host) = &facts.server_host {
        set.put("CI_SERVER_HOST", host);
        set.put("CI_SERVER_FQDN", host);
    }
    set.known("CI_CONFIG_PATH", facts.config_path.as_deref());
    set.known("CI_PIPELINE_ID", facts.run.as_ref().map(RunId::as_str));
    set.known(NUMBER, facts.number.map(|number| number.to_string()).as_deref());
    set.known("CI_PIPELINE_CREATED_AT", facts.created_at.as_deref());
    set.known("CI_PIPELINE_SOURCE", facts.source.as_deref());
    set.known("CI_PIPELINE_NAME", facts.name.as_deref());
    set.0
}

/// The beginning of a text, of [`MESSAGE_BYTES`] at most, cut between two characters.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MESSAGE_BYTES)).unwrap_or(text)
}

/// The variables of a job's attempt, beside those of the pipeline.
#[must_use]
pub fn predefined_for_job(facts: &JobFacts<'_>) -> BTreeMap<String, String> {
    let job = facts.job;
    let mut set = Variables(of_planned(job.name.as_str(), &job.stage, job.node));
    set.known("CI_JOB_ID", facts.id);
    set.known("CI_JOB_STARTED_AT", facts.started_at);
    set.put("CI_SERVER", "yes");
    set.known("CI_PROJECT_DIR", facts.project_dir);
    set.known("CI_BUILDS_DIR", facts.project_dir.and_then(|folder| Path::new(folder).parent()?.to_str()));
    set.known("CI_JOB_IMAGE", facts.image);
    set.known("CI_JOB_TIMEOUT", facts.timeout_seconds.map(|seconds| seconds.to_string()).as_deref());
    if facts.actionable {
        set.put("CI_JOB_MANUAL", "true");
    }
    let mut all = set.0;
    all.extend(job.environment.as_ref().map(of_environment).unwrap_or_default());
    all
}

/// What `include`, inputs and the rules of `workflow` know in place of others: a pipeline has its number when they are decided
/// (`pipeline/chain/seed.rb`), and an empty text until then.
pub(super) fn before_pipeline() -> BTreeMap<String, String> {
    BTreeMap::from([(NUMBER.to_owned(), String::new())])
}

/// What is known of a job's environment as soon as it is planned.
pub(super) fn of_environment(environment: &JobEnvironment) -> BTreeMap<String, String> {
    let mut set = Variables::default();
    set.put("CI_ENVIRONMENT_NAME", &environment.name);
    set.put("CI_ENVIRONMENT_SLUG", environment_slug(&environment.name));
    set.put("CI_ENVIRONMENT_ACTION", &environment.action);
    set.put("CI_ENVIRONMENT_TIER", environment.tier.as_deref().unwrap_or_else(|| guessed_tier(&environment.name)));
    set.known("CI_ENVIRONMENT_URL", environment.url.as_deref());
    set.0
}

/// What is known of a job as soon as it is planned.
pub(super) fn of_planned(name: &str, stage: &str, node: Option<(u32, u32)>) -> BTreeMap<String, String> {
    let mut set = Variables::default();
    set.put("CI_JOB_NAME", name);
    set.put("CI_JOB_NAME_SLUG", slug(name));
    set.put("CI_JOB_GROUP_NAME", group(name));
    set.put("CI_JOB_STAGE", stage);
    set.put("CI_NODE_TOTAL", node.map_or(1, |(_, total)| total).to_string());
    set.known("CI_NODE_INDEX", node.map(|(index, _)| index.to_string()).as_deref());
    set.0
}

/// A job's name without what `parallel` or a hand put after it to count it (`app/models/commit_status.rb`, `group_name`).
fn group(name: &str) -> String {
    static COUNT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let space = r"(?-u:[\x08\s:]+)";
        Regex::new(&format!(r"(?:{space}(?:\[.*\]|(?-u:\d+[\s:/\\]+\d+))){{1,3}}(?-u:\s*)\z")).ok()
    });
    COUNT.as_ref().map_or_else(|| name.into(), |count| count.replace(name, "")).trim().to_owned()
}

#[derive(Default)]
struct Variables(BTreeMap<String, String>);

impl Variables {
    fn put(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn known(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn reference(&mut self, name: &str) {
        self.put("CI_COMMIT_REF_NAME", name);
        self.put("CI_COMMIT_REF_SLUG", slug(name));
    }
}

#[cfg(test)]
mod tests {
    use super::group;

    #[test]
    fn a_group_is_a_name_without_its_count() {
        let table = [
            ("rspec1", "rspec1"),
            ("rspec1 0 1", "rspec1"),
            ("rspec1 0/2", "rspec1"),
            ("rspec:windows", "rspec:windows"),
            ("rspec:windows 0", "rspec:windows 0"),
            ("rspec:windows 0 2/2", "rspec:windows 0"),
            ("rspec:windows 10000 20000", "rspec:windows"),
            ("rspec:windows 0 : / 1", "rspec:windows"),
            ("rspec:windows: [a, b]", "rspec:windows"),
            ("rspec: [inception: [something, other thing], value]", "rspec"),
            ("rspec: [a, b] 1/3", "rspec"),
        ];
        for (name, wanted) in table {
            assert_eq!(group(name), wanted, "{name}");
        }
    }
}
