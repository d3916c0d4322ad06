//! Which release is meant by `hms-deploy` alone: one that the target has. Made here is none; runs make them.

use crate::cli::failure::{Exit, Failure};
use crate::cli::run_new::Clone;
use crate::deploy::ReleaseRecord;
use crate::event::{Arm, Digest, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, Revision};
use crate::policy::Placed;
use crate::repo::NamedRelease;

use super::arguments::DeployArguments;

/// The fewest digits of a revision that name one; fewer would be an accident.
const DIGITS: usize = 7;

/// Where a release may be found.
pub(super) struct Shelf<'a> {
    /// Every release at the target, newest first.
    pub(super) releases: &'a [ReleaseRecord],
    pub(super) record: &'a EnvironmentRecord,
    pub(super) placed: &'a Placed,
    pub(super) clone: Option<&'a Clone>,
}

/// Why no release is meant, or none may be.
pub(super) enum NoCandidate {
    Refused(Refusal),
    Failed(Failure),
}

impl From<Failure> for NoCandidate {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The release that `--tag` or `--promote` names; else the canary for its promotion; else the one of HEAD.
pub(super) fn choose(arguments: &DeployArguments, shelf: &Shelf<'_>) -> Result<ReleaseRef, NoCandidate> {
    let promoted = arguments.promote.as_deref().map(|text| by_digest(text, shelf)).transpose()?;
    let tagged = arguments.tag.as_deref().map(|tag| by_tag(tag, shelf)).transpose()?;
    let chosen = match (tagged, promoted) {
        (Some(tagged), Some(promoted)) if tagged.revision != promoted.revision || promoted.revision.is_none() => {
            let message = format!("--tag is {} ({}), and --promote names {}", tagged.tag, tagged.digest.short(), promoted.digest.short());
            return Err(NoCandidate::Refused(Refusal::new(RefusalKind::WrongTag, message).hint("leave one of them out")));
        }
        // One commit can have been made into several releases; the digest says which.
        (_, Some(promoted)) => promoted,
        (Some(tagged), None) => tagged,
        (None, None) => unnamed(shelf)?,
    };
    check_tag(&chosen, shelf)?;
    Ok(chosen)
}

fn by_digest(text: &str, shelf: &Shelf<'_>) -> Result<ReleaseRef, Failure> {
    let digest: Digest = text.parse().map_err(|_| {
        Failure::new(Exit::Usage, format!("`{text}` is no digest")).hint("sha256: and 64 digits, as `hms-deploy history` shows them")
    })?;
    let found = shelf.releases.iter().find(|record| record.release.digest == digest);
    found.map(|record| record.release.clone()).ok_or_else(|| not_here(text))
}

fn not_here(name: &str) -> Failure {
    Failure::new(Exit::NotCarriedOut, format!("no release called {name} is at the target")).hint("releases are made by runs: hms run")
}

fn by_tag(tag: &str, shelf: &Shelf<'_>) -> Result<ReleaseRef, NoCandidate> {
    if tag.starts_with("sha256:") {
        return Ok(by_digest(tag, shelf)?);
    }
    let called = || shelf.releases.iter().map(|record| &record.release).filter(|release| release.tag == tag);
    if let Some(NamedRelease::Commit { revision, .. }) = shelf.clone.and_then(|clone| clone.repository.resolve_tag(tag).ok()) {
        // What was released by that name was another commit: the name moved since, whatever it names now.
        if let Some(was) = called().next()
            && called().all(|release| release.revision.as_ref() != Some(&revision))
        {
            return Err(NoCandidate::Refused(moved(was, Some(revision.short()))));
        }
        return of_revision(&revision, shelf).ok_or_else(|| NoCandidate::Failed(not_here(&format!("{tag} (commit {})", revision.short()))));
    }
    if let Some(release) = called().next() {
        return Ok(release.clone());
    }
    let begins = |revision: &Revision| tag.len() >= DIGITS && revision.as_str().starts_with(tag);
    let mut revisions: Vec<&Revision> =
        shelf.releases.iter().filter_map(|record| record.release.revision.as_ref()).filter(|revision| begins(revision)).collect();
    revisions.sort();
    revisions.dedup();
    match revisions.as_slice() {
        [one] => of_revision(one, shelf).ok_or_else(|| NoCandidate::Failed(not_here(tag))),
        [] => Err(NoCandidate::Failed(not_here(tag))),
        [_, _, ..] => {
            Err(NoCandidate::Failed(Failure::new(Exit::Usage, format!("{tag} begins more than one revision")).hint("write more of it")))
        }
    }
}

/// The newest release of a commit; the one that holds the environment before all others.
fn of_revision(revision: &Revision, shelf: &Shelf<'_>) -> Option<ReleaseRef> {
    let held = shelf.record.slot.as_ref().map(|slot| &slot.release);
    let placed = shelf.releases.iter().map(|record| &record.release);
    held.into_iter().chain(placed).find(|release| release.revision.as_ref() == Some(revision)).cloned()
}

fn unnamed(shelf: &Shelf<'_>) -> Result<ReleaseRef, Failure> {
    if let (Arm::Whole, Some(slot)) = (shelf.placed.arm, &shelf.record.slot) {
        return Ok(slot.release.clone());
    }
    let which = || Failure::new(Exit::Usage, "which release?").hint("--tag TAG, or --promote DIGEST; `hms-deploy history` shows them");
    let head = shelf.clone.and_then(|clone| clone.repository.head().ok()?).ok_or_else(which)?;
    of_revision(&head, shelf).ok_or_else(|| not_here(&format!("HEAD ({})", head.short())))
}

/// A tag that no longer names what it named when the release was made is refused (`docs/decisions.md` 5.4).
fn check_tag(release: &ReleaseRef, shelf: &Shelf<'_>) -> Result<(), NoCandidate> {
    let (Some(clone), Some(recorded)) = (shelf.clone, &release.tag_object) else { return Ok(()) };
    match clone.repository.tag_object(&release.tag).map_err(Failure::from)? {
        Some(now) if now == *recorded => Ok(()),
        now => Err(NoCandidate::Refused(moved(release, now.as_deref().map(|object| object.get(..8).unwrap_or(object))))),
    }
}

pub(crate) fn moved(release: &ReleaseRef, now: Option<&str>) -> Refusal {
    let was = release.revision.as_ref().map_or("another commit", |revision| revision.short());
    match now {
        Some(now) => Refusal::new(
            RefusalKind::WrongTag,
            format!("the tag {} moved: it named {was} when the release was made, and is {now} now", release.tag),
        )
        .hint("put the tag back, or release what it names now: hms run"),
        None => Refusal::new(RefusalKind::WrongTag, format!("the tag {} of {was} is not in this clone any more", release.tag))
            .hint("git fetch --tags, or leave the clone and use --app"),
    }
}
