//! The next version's tag, after a release has all of a protected environment: `.hms` `version: {bump}`.
//!
//! An annotated tag in the repository that the release came from, in the ledger before and after, repeatable without harm. Nothing is
//! pushed, nothing is moved, no hook runs. That it cannot be made changes nothing about the deploy.

use std::path::Path;
use std::time::Duration;

use crate::deploy::{Target, TargetError};
use crate::event::{Actor, AppName, EnvironmentName, ReleaseRef, Revision};
use crate::ledger::{Entry, Ledger, LedgerError, LedgerPlaces, OnFault, Phase};
use crate::policy::VersionBump;
use crate::repo::{Bump, Repository, TagMade, Tagger};
use crate::store::{Places, now};

/// How often the record is written when others write it too.
const NAMING_TRIES: u32 = 8;
/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);

/// What the tag is made for.
#[derive(Debug, Clone)]
pub(crate) struct VersionTag {
    pub(crate) bump: VersionBump,
    pub(crate) release: ReleaseRef,
    pub(crate) app: AppName,
    pub(crate) environment: EnvironmentName,
    pub(crate) actor: Actor,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct MadeTag {
    /// A line for people.
    pub(crate) line: String,
    /// The tag's name and its object's SHA; none when it could not be made.
    pub(crate) name: Option<(String, String)>,
}

/// Makes the tag; none when there is nothing to make. Blocks.
pub(crate) fn make_version_tag(repository: &Path, places: &Places, about: &VersionTag) -> Option<MadeTag> {
    let bump = match about.bump {
        VersionBump::Conventional => Bump::Conventional,
        VersionBump::Patch => Bump::Patch,
        VersionBump::None => return None,
    };
    let revision = about.release.revision.as_ref()?;
    match make(repository, places, about, bump, revision) {
        Ok(made) => made,
        Err(why) => Some(MadeTag { line: format!("the version tag could not be made: {why}"), name: None }),
    }
}

/// Puts a release's new name where rollbacks and views look for it: the environment's record. That it cannot be done changes nothing
/// about the deploy; the tag is found in a clone all the same.
pub(crate) async fn name_release<T: Target>(target: &T, about: &VersionTag, made: &MadeTag) {
    let Some((tag, object)) = &made.name else { return };
    for _ in 0..NAMING_TRIES {
        let Ok(mut record) = target.record(&about.environment).await else { return };
        let single = record.current.iter_mut().chain(&mut record.previous);
        let known = single.chain(&mut record.healthy).chain(&mut record.releases);
        for release in known.filter(|release| release.digest == about.release.digest) {
            release.tag.clone_from(tag);
            release.tag_object = Some(object.clone());
        }
        match target.put_record(record).await {
            Err(TargetError::Conflict { .. }) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

fn make(repository: &Path, places: &Places, about: &VersionTag, bump: Bump, revision: &Revision) -> Result<Option<MadeTag>, String> {
    let told = |error: &dyn std::error::Error| crate::store::chain(error);
    let repository = Repository::discover(repository).map_err(|error| told(&error))?;
    let Some(next) = repository.next_version(bump, revision).map_err(|error| told(&error))? else { return Ok(None) };
    let mut intent = Entry::new("tag", Phase::Intent, about.actor.clone());
    intent.app = Some(about.app.clone());
    intent.environment = Some(about.environment.clone());
    intent.run.clone_from(&about.release.run);
    intent.tag = Some(next.tag.clone());
    intent.revision = Some(revision.clone());
    intent.digest = Some(about.release.digest.clone());
    let mut outcome = Entry { id: Entry::new("tag", Phase::Outcome, about.actor.clone()).id, phase: Phase::Outcome, ..intent.clone() };
    outcome.intent_seq = Some(enter(places, intent).map_err(|error| told(&error))?);
    let now = now();
    let tagger =
        Tagger { name: about.actor.login.clone(), email: format!("{}@{}", about.actor.login, about.actor.host), seconds: now.timestamp() };
    let message = format!("{}\n\nReleased to {} as {}\n", next.tag, about.environment, about.release.digest);
    let made = repository.create_annotated_tag(&next.tag, revision, &message, &tagger);
    let answer = match &made {
        Ok(TagMade::Created { object } | TagMade::AlreadyThere { object }) => {
            outcome.tag_object = Some(object.clone());
            outcome.outcome = Some("done".to_owned());
            let line = format!("tagged {} as {}; git push origin {} publishes it", revision.short(), next.tag, next.tag);
            Ok(Some(MadeTag { line, name: Some((next.tag.clone(), object.clone())) }))
        }
        Err(error) => {
            outcome.outcome = Some("failed".to_owned());
            outcome.reason = Some(told(error));
            Err(told(error))
        }
    };
    enter(places, outcome).map_err(|error| told(&error))?;
    answer
}

fn enter(places: &Places, entry: Entry) -> Result<u64, LedgerError> {
    let actor = entry.actor.clone();
    Ledger::open(&LedgerPlaces::of(places), &actor, LEDGER, OnFault::Refuse, now())?.append(entry, now())
}
