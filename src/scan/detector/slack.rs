//! Slack: bot, user and app tokens, and incoming webhooks, whose URL is the secret.

use std::ops::Range;

use super::token::{ends_token, looks_random, plain};
use super::{Candidate, Rule, Start};
use crate::scan::severity::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "slack-token",
        title: "Slack token",
        severity: Severity::Critical,
        keywords: &["xoxb-", "xoxp-", "xoxa-", "xoxr-"],
        start: Start::OfToken,
        pattern: "xox(?:b-[0-9]{10,13}-(?:[0-9]{10,13}-)?[A-Za-z0-9]{24,34}|[apr]-(?:[0-9]-)?(?:[0-9]{10,13}-){1,3}[A-Za-z0-9]{28,64})",
        judge: plain,
    },
    Rule {
        id: "slack-app-token",
        title: "Slack app-level token",
        severity: Severity::Critical,
        keywords: &["xapp-"],
        start: Start::OfToken,
        pattern: "xapp-[0-9]-A[A-Z0-9]{8,12}-[0-9]{10,13}-[0-9a-f]{64}",
        judge: plain,
    },
    Rule {
        id: "slack-webhook",
        title: "Slack incoming webhook",
        severity: Severity::High,
        keywords: &["hooks.slack.com/services/"],
        start: Start::Anywhere,
        pattern: "hooks\\.slack\\.com/services/(?P<value>T[A-Z0-9]{8,11}/B[A-Z0-9]{8,11}/[A-Za-z0-9]{24})",
        judge: webhook,
    },
];

/// Only the last part is random; the documentation's sample has one letter there.
fn webhook(candidate: &Candidate<'_>) -> Option<Range<usize>> {
    let (_, last) = candidate.value().split_last_chunk::<24>()?;
    (ends_token(candidate.after()) && looks_random(last)).then(|| candidate.value.clone())
}
