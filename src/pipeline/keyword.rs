//! Every keyword of GitLab CI, and what becomes of it here: nothing is passed over in silence.
//!
//! The names are those of GitLab's reference (`doc/ci/yaml/_index.md`, 18.x). A keyword is *refused* when leaving it out
//! would change which jobs run, what they run, or what they are given; it is *warned* about when the result stays right and
//! only comfort or speed is lost.

use Standing::{Done, Refused, Warned};

/// What becomes of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It means here what it means to GitLab.
    Done,
    /// It is read over, with a warning that says what is not done.
    Warned(&'static str),
    /// A file with it is refused, with the reason.
    Refused(&'static str),
}

type Table = &'static [(&'static str, Standing)];

/// Keywords at the top of the file.
pub const GLOBAL: Table = &[
    ("stages", Done),
    ("variables", Done),
    ("default", Done),
    ("image", Done),
    ("before_script", Done),
    ("after_script", Done),
    ("workflow", Done),
    ("cache", Warned("jobs run without a cache")),
    ("services", Refused("service containers are not started, and a job that needs one cannot run")),
    ("include", Refused("other files are not read yet; put the jobs into this file")),
    ("spec", Refused("inputs are not supported; write the values out")),
    ("types", Refused("it was removed from GitLab; use `stages`")),
];

/// Keywords of `workflow`.
pub const WORKFLOW: Table = &[
    ("name", Warned("runs have a number and a commit, not a name")),
    ("auto_cancel", Warned("a newer commit cancels nothing")),
    ("rules", Refused("it decides whether there is a run at all; `.hms: watch` does that here")),
];

/// Keywords of `default`.
pub const DEFAULT: Table = &[
    ("before_script", Done),
    ("after_script", Done),
    ("image", Done),
    ("artifacts", Done),
    ("timeout", Done),
    ("cache", Warned("jobs run without a cache")),
    ("interruptible", Warned("a newer commit cancels nothing")),
    ("retry", Warned("a failed job is not run again by itself; `hms retry` does it")),
    ("tags", Warned("all jobs run on this machine")),
    ("services", Refused("service containers are not started, and a job that needs one cannot run")),
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
    ("resource_group", Warned("the job is never run again by itself, but jobs of other runs are not held back")),
    ("cache", Warned("the job runs without a cache")),
    ("coverage", Warned("no coverage is read from the log")),
    ("interruptible", Warned("a newer commit cancels nothing")),
    ("manual_confirmation", Warned("approving says what it changes; this text is not shown")),
    ("pages", Warned("no pages are published")),
    ("publish", Warned("no pages are published")),
    ("retry", Warned("a failed job is not run again by itself; `hms retry` does it")),
    ("tags", Warned("all jobs run on this machine")),
    ("dast_configuration", Warned("no DAST profile is applied")),
    ("dependencies", Refused("write `needs: [{job: NAME, artifacts: true}]` for the jobs whose artifacts are wanted")),
    ("except", Refused("it decides whether the job runs; write it as `rules`")),
    ("extends", Refused("it is not supported yet; use an anchor and `<<`")),
    ("hooks", Refused("its scripts would not run")),
    ("id_tokens", Refused("there is no GitLab to sign tokens")),
    ("identity", Refused("there is no GitLab to federate with")),
    ("inherit", Refused("it decides which defaults the job gets; write them in the jobs that need them")),
    ("inputs", Refused("inputs are not supported; write the values out")),
    ("only", Refused("it decides whether the job runs; write it as `rules`")),
    ("release", Refused("no GitLab release is made; `.hms: version` makes a git tag")),
    ("run", Refused("steps are not supported; write them as `script`")),
    ("secrets", Refused("secrets come from `--variable-file`")),
    ("services", Refused("service containers are not started, and a job that needs one cannot run")),
    ("start_in", Refused("delayed jobs are not supported")),
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
    ("expire_in", Warned("artifacts are kept as long as their run is")),
    ("name", Warned("it names a download in GitLab; nothing is downloaded here")),
    ("expose_as", Warned("there is no merge request to show it in")),
    ("public", Warned("artifacts are readable by their owner only")),
    ("access", Warned("artifacts are readable by their owner only")),
];

/// Keywords of `artifacts:reports`.
pub const REPORTS: Table = &[
    ("junit", Done),
    ("dotenv", Refused("later jobs would not get its variables")),
    ("accessibility", Warned(NOT_SHOWN)),
    ("annotations", Warned(NOT_SHOWN)),
    ("api_fuzzing", Warned(NOT_SHOWN)),
    ("browser_performance", Warned(NOT_SHOWN)),
    ("codequality", Warned(NOT_SHOWN)),
    ("container_scanning", Warned(NOT_SHOWN)),
    ("coverage_fuzzing", Warned(NOT_SHOWN)),
    ("coverage_report", Warned(NOT_SHOWN)),
    ("cyclonedx", Warned(NOT_SHOWN)),
    ("dast", Warned(NOT_SHOWN)),
    ("dependency_scanning", Warned(NOT_SHOWN)),
    ("license_scanning", Warned(NOT_SHOWN)),
    ("load_performance", Warned(NOT_SHOWN)),
    ("metrics", Warned(NOT_SHOWN)),
    ("repository_xray", Warned(NOT_SHOWN)),
    ("requirements", Warned(NOT_SHOWN)),
    ("sast", Warned(NOT_SHOWN)),
    ("secret_detection", Warned(NOT_SHOWN)),
    ("terraform", Warned(NOT_SHOWN)),
];

const NOT_SHOWN: &str = "the report is neither kept nor shown";

/// Keywords of `environment`.
pub const ENVIRONMENT: Table = &[
    ("name", Done),
    ("url", Done),
    ("action", Done),
    ("deployment_tier", Done),
    ("on_stop", Warned("nothing stops the environment")),
    ("auto_stop_in", Warned("nothing stops the environment")),
    ("kubernetes", Warned("where an environment lives is said in `.hms: environments`")),
];

/// Keywords of a mapping in `needs`.
pub const NEED: Table = &[
    ("job", Done),
    ("artifacts", Done),
    ("optional", Done),
    ("parallel", Refused("`parallel: matrix` is not supported; name the instance, as in `test 1/4`")),
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
    ("changes", Refused("it is not supported yet")),
    ("exists", Refused("it is not supported yet")),
    ("needs", Refused("it is not supported yet")),
    ("start_in", Refused("delayed jobs are not supported")),
    ("interruptible", Warned("a newer commit cancels nothing")),
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
