//! `retry`: a number, or when.

use super::fields::Context;
use crate::document::{Node, Place};
use crate::pipeline::kept::{Retry, RetryWhen};
use crate::pipeline::keyword;

const WHEN: &[(&str, RetryWhen)] = &[
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
