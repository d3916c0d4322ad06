//! `hms images`: which images of an app its registry has to keep, and an end to the others (`docs/decisions.md` 20.15).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deploy::registry::{
    Credentials, ImageName, KnownImages, Reason, Registry, RegistrySettings, ReleasedImage, Removal, Removed, RetentionPlan, Survey,
    is_own_tag, plan_retention,
};
use crate::deploy::{ReleaseRecord, Target};
use crate::event::{AppName, Digest, EnvironmentRecord, Refusal, RefusalKind};
use crate::ledger::{Entry, LedgerPlaces, Phase, entries};
use crate::policy::Policy;
use crate::rollout::next_back;
use crate::rollout::wired::ClusterName;
use crate::text::plain;

use super::arguments::Output;
use super::environment::{Environment, actor, environment_variable};
use super::failure::{Exit, Failure};
use super::place::{Place, Refused, app_of, enter, outside_run, refuse};

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);

/// Whether anything goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is told what would.
    Look,
    /// It does.
    Remove,
}

/// Tells what stays and what may go, and removes that when it is to.
pub(crate) fn images(app: Option<&AppName>, named: Option<&ClusterName>, act: Act, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let app = app_of(app, None)?;
    let about = Refused { verb: "hms images", app: Some(&app), environment: None, digest: None };
    if act == Act::Remove {
        outside_run(&environment, &about)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let place = Place::find(&environment, &app, named).await?;
        let image = Repository::of(&place)?;
        let mut found = gather(&environment, &app, &place).await?;
        let registry = registry()?;
        let survey = registry.survey(&image.name, &found.known).await.map_err(|error| unanswered(&error))?;
        found.know_own_tags(&survey);
        let mut plan = plan_retention(&found.known, &survey, image.keep);
        let mut there = Vec::new();
        for removal in plan.remove {
            // What nobody has a tag on may be gone long since.
            if !removal.tags.is_empty() || registry.exists(&image.name, &removal.digest).await.map_err(|error| unanswered(&error))? {
                there.push(removal);
            }
        }
        plan.remove = there;
        if act == Act::Look || plan.remove.is_empty() {
            return tell(&image, &plan, &[], &found, output);
        }
        if let Some(why) = &found.unsure {
            let refusal = Refusal::new(RefusalKind::Drifted, format!("nothing is removed while it is not sure what runs: {why}"));
            return Err(refuse(&environment, &about, refusal.hint(format!("hms-deploy status --app {app}"))));
        }
        let listed: Vec<String> = plan.remove.iter().map(|removal| removal.digest.to_string()).collect();
        let entry = |phase| Entry {
            app: Some(app.clone()),
            reason: Some(format!("{}: {}", image.name, listed.join(", "))),
            ..Entry::new("release.remove", phase, actor("hms images"))
        };
        let intent = enter(&environment, entry(Phase::Intent), LEDGER)?;
        let removed = registry.remove_images(&image.name, &plan, &found.known, image.keep).await;
        let (word, answer) = match removed {
            Ok(done) if done.iter().all(|(_, removed)| !matches!(removed, Removed::Failed(_))) => ("done", Ok(done)),
            Ok(done) => ("failed", Ok(done)),
            Err(error) => ("failed", Err(unanswered(&error))),
        };
        enter(&environment, Entry { intent_seq: Some(intent), outcome: Some(word.to_owned()), ..entry(Phase::Outcome) }, LEDGER)?;
        tell(&image, &plan, &answer?, &found, output)
    })
}

/// Where the images are, and how many releases are kept.
struct Repository {
    name: ImageName,
    keep: NonZeroUsize,
}

impl Repository {
    fn of(place: &Place) -> Result<Self, Failure> {
        let none =
            || Failure::new(Exit::Usage, "no registry is in force").hint("registry: {image: HOST/NAME} under .hms, and hms policy accept");
        let stored = place.record.policy.as_ref().ok_or_else(none)?;
        let policy = Policy::from_text(&stored.text).map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?.policy;
        let registry = policy.registry.ok_or_else(none)?;
        let name = registry.image.parse().map_err(|error: crate::event::BadName| Failure::of(Exit::Usage, &error))?;
        let keep = usize::try_from(registry.keep).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        Ok(Self { name, keep })
    }
}

fn registry() -> Result<Registry, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new(Exit::NotCarriedOut, crate::store::chain(error));
    let credentials = Credentials::of_docker(environment_variable).map_err(|error| failed(&error))?;
    Registry::new(credentials, RegistrySettings::default()).map_err(|error| failed(&error))
}

fn unanswered(error: &crate::deploy::registry::RegistryError) -> Failure {
    let failure = Failure::of(Exit::NotCarriedOut, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What is known of the app's images.
struct Found {
    known: KnownImages,
    /// Why it is not sure that what runs is what records say.
    unsure: Option<String>,
}

impl Found {
    /// A tag that hms pushes under is its own, also where the release's record is gone.
    fn know_own_tags(&mut self, survey: &Survey) {
        let released: BTreeSet<Digest> = self.known.released.iter().map(|image| image.digest.clone()).collect();
        let own = survey.tags.iter().filter(|(tag, digest)| is_own_tag(tag) && released.contains(digest));
        self.known.released.extend(own.map(|(tag, digest)| ReleasedImage { tag: tag.clone(), digest: digest.clone() }));
    }
}

async fn gather(environment: &Environment, app: &AppName, place: &Place) -> Result<Found, Failure> {
    let mut records: BTreeMap<Digest, ReleaseRecord> = BTreeMap::new();
    let mut found = Found { known: KnownImages::default(), unsure: None };
    let mut named: Vec<Digest> = Vec::new();
    let mut running: Vec<Digest> = Vec::new();
    for (name, target) in place.environments().await? {
        records.extend(target.releases().await?.into_iter().map(|record| (record.release.digest.clone(), record)));
        let record = target.record(&name).await?;
        running.extend(target.observe(&name).await?.arms.into_iter().map(|view| view.release));
        named.extend(needed(&record));
        let drift = target.drift(&name).await?;
        if let Some(drift) = drift.first().or(record.adopted.first()) {
            found.unsure = Some(format!("{name}: {drift}"));
        }
    }
    let images = |release: &Digest| images_of(records.get(release), release);
    found.known.running = running.iter().flat_map(images).collect();
    found.known.rollback_targets = named.iter().flat_map(images).collect();
    let ledger = entries(&LedgerPlaces::of(&environment.places))?;
    let released =
        ledger.iter().rev().filter(|entry| entry.app.as_ref() == Some(app) && ["deploy", "promote"].contains(&entry.kind.as_str()));
    for entry in released {
        let Some(digest) = &entry.digest else { continue };
        let record = records.get(digest);
        let revision = entry.revision.as_ref();
        let of_commit = [revision.map(ToString::to_string), entry.tag.clone(), revision.map(|revision| revision.short().to_owned())];
        let own = record.into_iter().flat_map(|record| &record.images).filter_map(|image| image.tag.clone());
        let tags: Vec<String> = of_commit.into_iter().flatten().chain(own).collect();
        for image in images_of(record, digest) {
            found.known.released.extend(tags.iter().map(|tag| ReleasedImage { tag: tag.clone(), digest: image.clone() }));
        }
    }
    Ok(found)
}

/// Releases that an environment's record names as what it has, had, or would go back to, once and once more.
fn needed(record: &EnvironmentRecord) -> Vec<Digest> {
    let held = record.slot.as_ref().map(|slot| slot.release.clone());
    let one = record.current.as_ref().and_then(|current| next_back(record, current, &|_| true));
    let two = one.as_ref().and_then(|one| next_back(record, one, &|_| true));
    let named = record.current.iter().chain(&record.previous).chain(&record.origin).cloned().chain(held).chain(one).chain(two);
    named.map(|release| release.digest).chain(record.returned_to.clone()).collect()
}

/// The images of a release: by its record, else the one that it is named by.
fn images_of(record: Option<&ReleaseRecord>, release: &Digest) -> Vec<Digest> {
    let images = record.map(|record| record.images.as_slice()).unwrap_or_default();
    let digests = images.iter().filter_map(|image| image.reference.rsplit_once('@')?.1.parse().ok());
    if images.is_empty() { vec![release.clone()] } else { digests.collect() }
}

fn reason(why: &Reason) -> String {
    match why {
        Reason::Runs => "it runs".to_owned(),
        Reason::RollbackTarget => "an environment has it, had it, or could go back to it".to_owned(),
        Reason::Recent { place } => format!("newest but {}", place.saturating_sub(1)),
        Reason::OtherTags { tags } => format!("others know it as {}", tags.join(", ")),
        Reason::PartOf { index } => format!("a part of {}", index.short()),
    }
}

fn became(removed: &Removed) -> String {
    match removed {
        Removed::Gone => "removed".to_owned(),
        Removed::WasNotThere => "was gone already".to_owned(),
        Removed::Stays => "stays: it came to be needed, or its tags changed".to_owned(),
        Removed::Failed(error) => format!("stays: {}", crate::store::chain(error)),
    }
}

fn tell(image: &Repository, plan: &RetentionPlan, done: &[(Removal, Removed)], found: &Found, output: Output) -> Result<u8, Failure> {
    let failed = done.iter().any(|(_, removed)| matches!(removed, Removed::Failed(_)));
    let code = if failed { Exit::Failed.code() } else { 0 };
    let mut out = std::io::stdout();
    let of = |removal: &Removal| done.iter().find(|(one, _)| one.digest == removal.digest).map(|(_, removed)| became(removed));
    if output == Output::Json {
        let kept: Vec<Value> =
            plan.keep.iter().map(|kept| json!({"digest": kept.digest, "tags": kept.tags, "reason": reason(&kept.why)})).collect();
        let gone: Vec<Value> =
            plan.remove.iter().map(|removal| json!({"digest": removal.digest, "tags": removal.tags, "result": of(removal)})).collect();
        let value = json!({"format": 1, "image": image.name.to_string(), "keep": image.keep, "kept": kept, "remove": gone,
            "foreign": plan.foreign, "unsure": found.unsure, "exit_code": code});
        writeln!(out, "{value}")?;
        return Ok(code);
    }
    writeln!(out, "{}: {} images of releases, the newest {} are kept", image.name, plan.keep.len() + plan.remove.len(), image.keep)?;
    for kept in &plan.keep {
        writeln!(out, "  keep    {}  {}  ({})", kept.digest.short(), plain(&kept.tags.join(" ")), plain(&reason(&kept.why)))?;
    }
    for removal in &plan.remove {
        let word = of(removal).unwrap_or_else(|| "would go".to_owned());
        writeln!(out, "  remove  {}  {}  ({})", removal.digest.short(), plain(&removal.tags.join(" ")), plain(&word))?;
    }
    if !plan.foreign.is_empty() {
        writeln!(out, "  tags of others, which are left alone: {}", plain(&plan.foreign.join(" ")))?;
    }
    if let Some(why) = &found.unsure {
        writeln!(out, "  it is not sure what runs, and nothing would be removed: {}", plain(why))?;
    }
    if done.is_empty() && !plan.remove.is_empty() {
        writeln!(std::io::stderr(), "Hint: hms images --remove")?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ReleaseRef;

    #[test]
    fn a_release_without_a_record_is_the_image_that_it_is_named_by() {
        let release = Digest::of(b"image");
        assert_eq!(images_of(None, &release), std::slice::from_ref(&release));
        let mut record = EnvironmentRecord::empty("shop".parse().unwrap(), "prod".parse().unwrap());
        let named =
            |tag: &str| ReleaseRef { digest: Digest::of(tag.as_bytes()), revision: None, tag: tag.to_owned(), tag_object: None, run: None };
        record.current = Some(named("v2"));
        record.healthy = ["v2", "v1"].map(named).to_vec();
        record.returned_to = Some(release.clone());
        let needed = needed(&record);
        assert!([named("v1").digest, named("v2").digest, release].iter().all(|digest| needed.contains(digest)), "{needed:?}");
    }
}
