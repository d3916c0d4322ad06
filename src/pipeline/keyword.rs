//! Every keyword of GitLab CI, and what becomes of it here: nothing is passed over in silence.
//!
//! The names are those of GitLab's reference (`doc/ci/yaml/_index.md`, 18.x). A keyword is *refused* when leaving it out
//! would change which jobs run, what they run, or what they are given; it is *warned* about when the result stays right and
//! only comfort or speed is lost. *Planned* is what is refused for a run until the engine carries it out, and shown by
//! whatever only looks.

use Standing::{Done, Planned, Refused, Warned};

/// What becomes of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It means here what it means to GitLab.
    Done,
    /// It is read over, with a warning that says what is not done.
    Warned(&'static str),
    /// It is read, checked and planned, and no engine carries it out yet: a run of it is refused, with the reason.
    Planned(&'static str),
    /// A file with it is refused, with the reason.
    Refused(&'static str),
}

type Table = &'static [(&'static str, Standing)];

/// Keywords that stand together.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// What they are of, for people.
    pub title: &'static str,
    /// The same as a name, for the schema.
    pub name: &'static str,
    /// The keywords.
    pub table: Table,
    /// The file of tests that tries those that are done.
    pub test: &'static str,
}

/// All keywords.
pub const FAMILIES: &[Family] = &[
    Family { title: "At the top of the file", name: "global", table: GLOBAL, test: "structure" },
    Family { title: "`spec`, the header of a file", name: "spec", table: SPEC, test: "include" },
    Family { title: "An entry of `spec: include`", name: "header_include", table: HEADER_INCLUDE, test: "inputs" },
    Family { title: "An input in `spec: inputs`", name: "input", table: INPUT, test: "inputs" },
    Family { title: "A rule of an input", name: "input_rule", table: INPUT_RULE, test: "inputs" },
    Family { title: "An entry of `include`", name: "include", table: INCLUDE, test: "include" },
    Family { title: "A rule of `include`", name: "include_rule", table: INCLUDE_RULE, test: "include" },
    Family { title: "`workflow`", name: "workflow", table: WORKFLOW, test: "conditions" },
    Family { title: "A rule of `workflow`", name: "workflow_rule", table: WORKFLOW_RULE, test: "conditions" },
    Family { title: "`auto_cancel`", name: "auto_cancel", table: AUTO_CANCEL, test: "conditions" },
    Family { title: "`default`", name: "default", table: DEFAULT, test: "structure" },
    Family { title: "`inherit`", name: "inherit", table: INHERIT, test: "structure" },
    Family { title: "A job", name: "job", table: JOB, test: "jobs" },
    Family { title: "A rule", name: "rule", table: RULE, test: "conditions" },
    Family { title: "`changes`", name: "changes", table: CHANGES, test: "conditions" },
    Family { title: "`exists`", name: "exists", table: EXISTS, test: "conditions" },
    Family { title: "`only` and `except`", name: "policy", table: POLICY, test: "conditions" },
    Family { title: "An entry of `needs`", name: "need", table: NEED, test: "needs" },
    Family { title: "`parallel`", name: "parallel", table: PARALLEL, test: "needs" },
    Family { title: "`allow_failure`", name: "allow_failure", table: ALLOW_FAILURE, test: "jobs" },
    Family { title: "`retry`", name: "retry", table: RETRY, test: "jobs" },
    Family { title: "`artifacts`", name: "artifacts", table: ARTIFACTS, test: "jobs" },
    Family { title: "`artifacts: reports`", name: "reports", table: REPORTS, test: "jobs" },
    Family { title: "`environment`", name: "environment", table: ENVIRONMENT, test: "jobs" },
    Family { title: "A variable", name: "variable", table: VARIABLE, test: "variables" },
    Family { title: "`image`", name: "image", table: IMAGE, test: "jobs" },
    Family { title: "A service", name: "service", table: SERVICE, test: "jobs" },
    Family { title: "`cache`", name: "cache", table: CACHE, test: "jobs" },
    Family { title: "A key of `cache`", name: "cache_key", table: CACHE_KEY, test: "jobs" },
];

/// Keywords at the top of the file.
pub const GLOBAL: Table = &[
    ("stages", Done),
    ("variables", Done),
    ("default", Done),
    ("image", Done),
    ("before_script", Done),
    ("after_script", Done),
    ("workflow", Done),
    ("include", Done),
    ("cache", Done),
    ("services", Planned(NO_SERVICES)),
    ("spec", Refused("it is a header: it stands at the top, in a document of its own that a line `---` ends")),
    ("types", Refused("it was removed from GitLab; use `stages`")),
];

/// Keywords of `workflow`.
pub const WORKFLOW: Table = &[("name", Done), ("rules", Done), ("auto_cancel", Done)];

/// Keywords of `auto_cancel`.
pub const AUTO_CANCEL: Table = &[("on_new_commit", Done), ("on_job_failure", Done)];

/// Keywords of `spec`.
pub const SPEC: Table = &[("inputs", Done), ("include", Done), ("component", Done), ("description", Done)];

/// Keywords of an entry of `spec: include`.
pub const HEADER_INCLUDE: Table =
    &[("local", Done), ("project", Done), ("file", Done), ("ref", Done), ("remote", Done), ("integrity", Done)];

/// Keywords of an input in `spec: inputs`.
pub const INPUT: Table = &[("default", Done), ("description", Done), ("type", Done), ("options", Done), ("regex", Done), ("rules", Done)];

/// Keywords of a rule of an input.
pub const INPUT_RULE: Table = &[("if", Done), ("options", Done), ("default", Done)];

/// Keywords of an entry of `include`.
pub const INCLUDE: Table = &[
    ("local", Done),
    ("project", Done),
    ("file", Done),
    ("ref", Done),
    ("template", Done),
    ("component", Done),
    ("remote", Done),
    ("integrity", Done),
    ("rules", Done),
    ("inputs", Done),
    ("cache", Done),
    ("artifact", Refused("a file that a job makes is not there before the jobs run")),
    ("job", Refused("a file that a job makes is not there before the jobs run")),
];

/// Keywords of a rule of `include`.
pub const INCLUDE_RULE: Table = &[("if", Done), ("changes", Done), ("exists", Done), ("when", Done)];

/// Keywords of a rule of `workflow`.
pub const WORKFLOW_RULE: Table = &[
    ("if", Done),
    ("changes", Done),
    ("exists", Done),
    ("when", Done),
    ("variables", Done),
    ("auto_cancel", Done),
    ("allow_failure", Warned("it says nothing of a whole pipeline")),
    ("needs", Warned("it says nothing of a whole pipeline")),
];

/// Keywords of `inherit`.
pub const INHERIT: Table = &[("default", Done), ("variables", Done)];

/// Keywords of `only` and `except`.
pub const POLICY: Table =
    &[("refs", Done), ("variables", Done), ("changes", Done), ("kubernetes", Refused("there is no GitLab agent that could be active"))];

/// Keywords of `changes`.
pub const CHANGES: Table = &[("paths", Done), ("compare_to", Done)];

/// Keywords of `exists`.
pub const EXISTS: Table = &[("paths", Done), ("project", Done), ("ref", Done)];

/// Keywords of `parallel`.
pub const PARALLEL: Table = &[("matrix", Done)];

/// Keywords of `allow_failure`.
pub const ALLOW_FAILURE: Table = &[("exit_codes", Done)];

/// Keywords of `retry`.
pub const RETRY: Table = &[("max", Done), ("when", Done), ("exit_codes", Done)];

/// Keywords of a service.
pub const SERVICE: Table = &[
    ("name", Done),
    ("alias", Done),
    ("entrypoint", Done),
    ("command", Done),
    ("variables", Done),
    ("pull_policy", Done),
    ("docker", Warned("no option of the container engine is set")),
    ("kubernetes", Warned("no option of the cluster is set")),
];

/// Keywords of a cache.
pub const CACHE: Table =
    &[("key", Done), ("paths", Done), ("untracked", Done), ("policy", Done), ("when", Done), ("fallback_keys", Done), ("unprotect", Done)];

/// Keywords of a cache's key.
pub const CACHE_KEY: Table = &[("files", Done), ("files_commits", Done), ("prefix", Done)];

const NO_SERVICES: &str = "service containers are not started, and a job that needs one cannot run";

/// Keywords of `default`.
pub const DEFAULT: Table = &[
    ("before_script", Done),
    ("after_script", Done),
    ("image", Done),
    ("artifacts", Done),
    ("timeout", Done),
    ("cache", Done),
    ("interruptible", Done),
    ("retry", Done),
    ("tags", Warned("all jobs run on this machine")),
    ("services", Planned(NO_SERVICES)),
    ("hooks", Refused("its scripts would not run")),
    ("id_tokens", Refused("there is no GitLab to sign tokens")),
    ("identity", Refused("there is no GitLab to federate with")),
];

/// Keywords of a job.
pub const JOB: Table = &[
    ("script", Done),
    ("before_script", Done),
    ("after_script", Done),
    ("stage", Done),
    ("image", Done),
    ("artifacts", Done),
    ("needs", Done),
    ("when", Done),
    ("allow_failure", Done),
    ("variables", Done),
    ("parallel", Done),
    ("timeout", Done),
    ("environment", Done),
    ("rules", Done),
    ("only", Done),
    ("except", Done),
    ("extends", Done),
    ("inherit", Done),
    ("dependencies", Done),
    ("resource_group", Done),
    ("cache", Done),
    ("coverage", Done),
    ("interruptible", Done),
    ("manual_confirmation", Done),
    ("pages", Warned("no pages are published")),
    ("publish", Warned("no pages are published")),
    ("retry", Done),
    ("tags", Warned("all jobs run on this machine")),
    ("dast_configuration", Warned("no DAST profile is applied")),
    ("hooks", Refused("its scripts would not run")),
    ("id_tokens", Refused("there is no GitLab to sign tokens")),
    ("identity", Refused("there is no GitLab to federate with")),
    ("inputs", Refused("inputs are not supported; write the values out")),
    ("release", Refused("no GitLab release is made; `.hms: version` makes a git tag")),
    ("run", Refused("steps are not supported; write them as `script`")),
    ("secrets", Refused("secrets come from `--variable-file`, or from the operator's `variables`")),
    ("services", Planned(NO_SERVICES)),
    ("start_in", Done),
    ("trigger", Refused("other pipelines are not started")),
    ("type", Refused("it was removed from GitLab; use `stage`")),
];

/// Keywords of `artifacts`.
pub const ARTIFACTS: Table = &[
    ("paths", Done),
    ("exclude", Done),
    ("when", Done),
    ("reports", Done),
    ("untracked", Done),
    ("expire_in", Done),
    ("name", Done),
    ("expose_as", Warned("there is no merge request to show it in")),
    ("public", Warned("artifacts are readable by their owner only")),
    ("access", Warned("artifacts are readable by their owner only")),
];

/// Keywords of `artifacts:reports`.
pub const REPORTS: Table = &[
    ("junit", Done),
    ("dotenv", Done),
    ("accessibility", Warned(NOT_SHOWN)),
    ("annotations", Warned(NOT_SHOWN)),
    ("api_fuzzing", Warned(NOT_SHOWN)),
    ("browser_performance", Warned(NOT_SHOWN)),
    ("cluster_image_scanning", Warned(NOT_SHOWN)),
    ("codequality", Done),
    ("container_scanning", Warned(NOT_SHOWN)),
    ("coverage_fuzzing", Warned(NOT_SHOWN)),
    ("coverage_report", Done),
    ("cyclonedx", Done),
    ("dast", Warned(NOT_SHOWN)),
    ("dependency_scanning", Warned(NOT_SHOWN)),
    ("license_scanning", Warned(NOT_SHOWN)),
    ("load_performance", Warned(NOT_SHOWN)),
    ("lsif", Warned(NOT_SHOWN)),
    ("metrics", Warned(NOT_SHOWN)),
    ("performance", Warned(NOT_SHOWN)),
    ("repository_xray", Warned(NOT_SHOWN)),
    ("requirements", Warned(NOT_SHOWN)),
    ("requirements_v2", Warned(NOT_SHOWN)),
    ("sarif", Warned(NOT_SHOWN)),
    ("sast", Done),
    ("secret_detection", Done),
    ("terraform", Warned(NOT_SHOWN)),
];

const NOT_SHOWN: &str = "the report is kept with the attempt, and nothing shows it";

/// Keywords of `environment`.
pub const ENVIRONMENT: Table = &[
    ("name", Done),
    ("url", Done),
    ("action", Done),
    ("deployment_tier", Done),
    ("on_stop", Done),
    ("auto_stop_in", Done),
    ("kubernetes", Warned("where an environment lives is said in `.hms: environments`")),
];

/// Keywords of a mapping in `needs`.
pub const NEED: Table = &[
    ("job", Done),
    ("artifacts", Done),
    ("optional", Done),
    ("parallel", Done),
    ("pipeline", Refused("artifacts of other pipelines are not fetched")),
    ("project", Refused("artifacts of other projects are not fetched")),
    ("ref", Refused("artifacts of other projects are not fetched")),
];

/// Keywords of a rule.
pub const RULE: Table = &[
    ("if", Done),
    ("when", Done),
    ("allow_failure", Done),
    ("variables", Done),
    ("changes", Done),
    ("exists", Done),
    ("needs", Done),
    ("start_in", Done),
    ("interruptible", Done),
];

/// Keywords of a variable that is written as a mapping.
pub const VARIABLE: Table = &[("value", Done), ("description", Done), ("expand", Done), ("options", Done)];

/// Keywords of an image that is written as a mapping.
pub const IMAGE: Table = &[
    ("name", Done),
    ("entrypoint", Warned("it is not changed")),
    ("docker", Warned("no option of the container engine is set")),
    ("kubernetes", Warned("no option of the cluster is set")),
    ("pull_policy", Warned("the container engine's own is used")),
];

/// What becomes of a keyword; none when it is not in the table.
#[must_use]
pub fn standing(table: &[(&'static str, Standing)], keyword: &str) -> Option<Standing> {
    table.iter().find(|(name, _)| *name == keyword).map(|(_, standing)| *standing)
}
