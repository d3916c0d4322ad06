//! Evidence files: what a verdict rests on, written and synced before the verdict is used (`docs/decisions.md` 7.4).
//!
//! `evidence-<n>.json`, n from 1: `{"format":1,"n","rollout","release","environment","policy_hash","at","judge":{…},"facts":{…},
//! "verdict":{…},"journal_seq","spans":[{"weight","since","first":sample,"last":sample,"samples","samples_sha256"}]}`
//!
//! `samples` are those of the rollout's journal from `first` to `last`, and `samples_sha256` is of their lines of JSON: what lies between
//! the two is bound too, and the verdict can be computed again.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::ports::{EvidenceRef, WatchFacts};
use crate::event::{Digest, RolloutCreated, Sample, Verdict};
use crate::store::{DiskError, replace};

/// The evidence files of one rollout.
#[derive(Debug)]
pub(crate) struct Evidence {
    folder: PathBuf,
    next: u32,
    last: Option<EvidenceRef>,
}

/// What a verdict was reached on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grounds<'a> {
    pub(crate) created: &'a RolloutCreated,
    pub(crate) judge: &'a serde_json::Value,
    pub(crate) facts: &'a WatchFacts,
    pub(crate) samples: &'a [Sample],
    pub(crate) verdict: &'a Verdict,
    pub(crate) journal_seq: u64,
    pub(crate) at: DateTime<Utc>,
}

impl Evidence {
    /// Numbers on from the files that are there.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let numbers = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix("evidence-")?.strip_suffix(".json")?.parse::<u32>().ok()
        });
        Self { folder: folder.to_owned(), next: numbers.max().unwrap_or(0) + 1, last: None }
    }

    /// The last one written by this driver.
    pub(crate) fn last(&self) -> Option<&EvidenceRef> {
        self.last.as_ref()
    }

    /// Writes and syncs the next file.
    pub(crate) fn write(&mut self, grounds: Grounds<'_>) -> Result<EvidenceRef, DiskError> {
        let path = self.folder.join(format!("evidence-{}.json", self.next));
        let document = json!({
            "format": 1,
            "n": self.next,
            "rollout": grounds.created.rollout,
            "release": grounds.created.release,
            "environment": grounds.created.environment,
            "policy_hash": grounds.created.policy_hash,
            "at": grounds.at,
            "judge": grounds.judge,
            "facts": grounds.facts,
            "verdict": grounds.verdict,
            "journal_seq": grounds.journal_seq,
            "spans": spans(grounds.facts, grounds.samples),
        });
        let bytes = serde_json::to_vec(&document).map_err(|error| DiskError::of("write", &path)(error.into()))?;
        replace(&path, &bytes)?;
        self.next += 1;
        let written = EvidenceRef { sha256: Digest::of(&bytes), verdict: grounds.verdict.class };
        self.last = Some(written.clone());
        Ok(written)
    }
}

/// The newest evidence file of a rollout.
pub(crate) fn newest(folder: &Path) -> Option<EvidenceRef> {
    #[derive(serde::Deserialize)]
    struct File {
        verdict: Verdict,
    }
    let number = Evidence::in_folder(folder).next.checked_sub(1)?;
    let bytes = std::fs::read(folder.join(format!("evidence-{number}.json"))).ok()?;
    let File { verdict } = serde_json::from_slice(&bytes).ok()?;
    Some(EvidenceRef { sha256: Digest::of(&bytes), verdict: verdict.class })
}

/// An evidence file that lies here, and whether the samples it was made from are still those of the journal.
#[derive(Debug)]
pub struct Kept {
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Samples that are not in the journal: a full disk, or a hand.
    pub missing: usize,
    /// Samples stand in the journal that it was not made from.
    pub changed: bool,
}

/// The evidence files of the rollout in `folder`, compared with its samples, oldest first and once each.
pub(super) fn kept(folder: &Path, samples: &[Sample]) -> Vec<Kept> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let evidence = files.filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with("evidence-")));
    evidence.filter_map(|file| Some(compared(&std::fs::read(file.path()).ok()?, samples))).collect()
}

fn compared(bytes: &[u8], samples: &[Sample]) -> Kept {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        spans: Vec<Drawn>,
    }
    #[derive(serde::Deserialize)]
    struct Drawn {
        first: Option<Sample>,
        samples: usize,
        samples_sha256: String,
    }
    let mut kept = Kept { sha256: Digest::of(bytes), missing: 0, changed: false };
    // A file that is none is found by its hash.
    let Ok(File { spans }) = serde_json::from_slice(bytes) else { return kept };
    for span in spans {
        let start = span.first.and_then(|first| samples.iter().position(|sample| sample.at == first.at)).unwrap_or(samples.len());
        let there: Vec<Sample> = samples.iter().skip(start).take(span.samples).cloned().collect();
        if there.len() < span.samples {
            kept.missing += span.samples - there.len();
        } else if Digest::of(&lines(&there)).hex() != span.samples_sha256 {
            kept.changed = true;
        }
    }
    kept
}

fn spans(facts: &WatchFacts, samples: &[Sample]) -> Vec<serde_json::Value> {
    let ends = facts.spans.iter().skip(1).map(|span| Some(span.since)).chain([None]);
    let within = |since: DateTime<Utc>, end: Option<DateTime<Utc>>| {
        // A span's first sample is the one just before it: deltas start there.
        let start = samples.iter().rposition(|sample| sample.at <= since).unwrap_or(0);
        let count = samples.iter().skip(start).take_while(|sample| end.is_none_or(|end| sample.at <= end)).count();
        samples.get(start..start + count).unwrap_or_default()
    };
    let drawn = facts.spans.iter().zip(ends).map(|(span, end)| {
        let seen = within(span.since, end);
        let sum = Digest::of(&lines(seen));
        json!({
            "weight": span.weight, "since": span.since, "first": seen.first(), "last": seen.last(),
            "samples": seen.len(), "samples_sha256": sum.hex(),
        })
    });
    drawn.collect()
}

/// Samples as lines of JSON, each with its end.
fn lines(samples: &[Sample]) -> Vec<u8> {
    let line = |sample: &Sample| serde_json::to_vec(sample).unwrap_or_default();
    samples.iter().flat_map(|sample| line(sample).into_iter().chain([b'\n'])).collect()
}
