//! `retry`: a number, or when.

use super::fields::Context;
use crate::document::{Node, Place};
use crate::pipeline::kept::{Retry, RetryWhen};
use crate::pipeline::keyword;

/// What an attempt may have failed of: GitLab takes the name of any failure (`app/models/concerns/enums/ci/commit_status.rb`).
pub(in crate::pipeline) const WHEN: &[(&str, RetryWhen)] = &[
    ("always", RetryWhen::Always),
    ("unknown_failure", RetryWhen::UnknownFailure),
    ("script_failure", RetryWhen::ScriptFailure),
    ("api_failure", RetryWhen::ApiFailure),
    ("stuck_or_timeout_failure", RetryWhen::StuckOrTimeoutFailure),
    ("runner_system_failure", RetryWhen::RunnerSystemFailure),
    ("runner_unsupported", RetryWhen::RunnerUnsupported),
    ("stale_schedule", RetryWhen::StaleSchedule),
    ("job_execution_timeout", RetryWhen::JobExecutionTimeout),
    ("archived_failure", RetryWhen::ArchivedFailure),
    ("unmet_prerequisites", RetryWhen::UnmetPrerequisites),
    ("scheduler_failure", RetryWhen::SchedulerFailure),
    ("data_integrity_failure", RetryWhen::DataIntegrityFailure),
    ("runner_interrupted", RetryWhen::NotHere),
    ("missing_dependency_failure", RetryWhen::NotHere),
    ("forward_deployment_failure", RetryWhen::NotHere),
    ("protected_environment_failure", RetryWhen::NotHere),
    ("pipeline_loop_detected", RetryWhen::NotHere),
    ("invalid_bridge_trigger", RetryWhen::NotHere),
    ("downstream_bridge_project_not_found", RetryWhen::NotHere),
    ("upstream_bridge_project_not_found", RetryWhen::NotHere),
    ("insufficient_bridge_permissions", RetryWhen::NotHere),
    ("insufficient_upstream_permissions", RetryWhen::NotHere),
    ("bridge_pipeline_is_child_pipeline", RetryWhen::NotHere),
    ("downstream_pipeline_creation_failed", RetryWhen::NotHere),
    ("secrets_provider_not_found", RetryWhen::NotHere),
    ("reached_max_descendant_pipelines_depth", RetryWhen::NotHere),
    ("reached_max_pipeline_hierarchy_size", RetryWhen::NotHere),
    ("project_deleted", RetryWhen::NotHere),
    ("user_blocked", RetryWhen::NotHere),
    ("ci_quota_exceeded", RetryWhen::NotHere),
    ("no_matching_runner", RetryWhen::NotHere),
    ("trace_size_exceeded", RetryWhen::NotHere),
    ("builds_disabled", RetryWhen::NotHere),
    ("environment_creation_failure", RetryWhen::NotHere),
    ("deployment_rejected", RetryWhen::NotHere),
    ("ip_restriction_failure", RetryWhen::NotHere),
    ("failed_outdated_deployment_job", RetryWhen::NotHere),
    ("reached_downstream_pipeline_trigger_rate_limit", RetryWhen::NotHere),
];

pub(super) fn read(context: &mut Context, subject: &str, node: &Node, place: Place) -> Retry {
    let mut retry = Retry::default();
    let Some(entries) = node.entries() else {
        retry.max = max(context, subject, node, place);
        return retry;
    };
    for entry in context.keywords(subject, keyword::RETRY, entries) {
        let of = format!("{subject}: `{}`", entry.key);
        match entry.key.as_str() {
            "max" => retry.max = max(context, &of, &entry.value, entry.place),
            "exit_codes" => retry.exit_codes = context.integers(&of, &entry.value, entry.place),
            "when" => {
                let single = std::slice::from_ref(&entry.value);
                for item in entry.value.items().unwrap_or(single) {
                    retry.when.extend(context.word(&of, WHEN, item, entry.place));
                }
            }
            _ => {}
        }
    }
    retry
}

/// 0 to 2 (`lib/gitlab/ci/config/entry/retry.rb`).
fn max(context: &mut Context, subject: &str, node: &Node, place: Place) -> u8 {
    let Some(max) = node.as_integer() else {
        context.wrong_type(subject, "a whole number or a mapping", node, place);
        return 0;
    };
    let allowed = u8::try_from(max).ok().filter(|max| *max <= 2);
    if allowed.is_none() {
        context.problems.error(node.place, "retry", format!("{subject} is {max}; it can be 0, 1 or 2"));
    }
    allowed.unwrap_or_default()
}
