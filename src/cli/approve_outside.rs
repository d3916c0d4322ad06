//! `hms approve` and `hms override` outside a run: a person's yes, kept in the environment's record at its target, bound to one release
//! and to the policy in force. Ledger first.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::deploy::{AnyTarget, Target, TargetError};
use crate::event::{AppName, Digest, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, Yes, YesKind};
use crate::policy::{Placed, Protection, count_people, same_person};
use crate::store::now;
use crate::text::plain;

use super::arguments::Output;
use super::environment::{Environment, actor};
use super::failure::{Exit, Failure};
use super::place::{Place, Refused, app_of, enter, note_of_release, outside_run, refuse, shown};

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);
/// How often the record is written when somebody else's write came between.
const TRIES: u32 = 8;

/// A yes as it was given.
pub(crate) struct Given<'a> {
    pub(crate) kind: YesKind,
    pub(crate) env: &'a EnvironmentName,
    pub(crate) release: &'a str,
    pub(crate) reason: Option<String>,
    pub(crate) app: Option<&'a AppName>,
}

impl Given<'_> {
    fn verb(&self) -> &'static str {
        match self.kind {
            YesKind::Approval => "hms approve",
            YesKind::Override => "hms override",
        }
    }

    fn entry_kind(&self) -> &'static str {
        match self.kind {
            YesKind::Approval => "approve",
            YesKind::Override => "override",
        }
    }
}

/// Says yes, and gives the exit code.
pub(crate) fn say_yes(given: &Given<'_>, at: Option<&Path>, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find()?;
    let app = app_of(given.app, at)?;
    let digest: Digest = given.release.parse().map_err(|_| {
        Failure::new(Exit::Usage, format!("`{}` is no digest", given.release))
            .hint(format!("a yes names the bytes: sha256: and 64 digits; hms-deploy history --app {app} shows them"))
    })?;
    let about = Refused { verb: given.verb(), app: Some(&app), environment: Some(given.env), digest: Some(&digest) };
    outside_run(&environment, &about)?;
    if given.kind == YesKind::Override && given.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Failure::new(Exit::Usage, "an override needs a reason").hint("--reason TEXT"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(enter_yes(&environment, given, &app, &digest, output))
}

async fn enter_yes(environment: &Environment, given: &Given<'_>, app: &AppName, digest: &Digest, output: Output) -> Result<u8, Failure> {
    let about = Refused { verb: given.verb(), app: Some(app), environment: Some(given.env), digest: Some(digest) };
    let place = Place::find(environment, app, None).await?;
    let Some(policy) = place.record.policy.as_ref() else {
        let refusal = Refusal::new(RefusalKind::Stale, format!("no policy is in force for {app}, so a yes would be bound to none"));
        return Err(refuse(environment, &about, refusal.hint("hms policy accept, or run its pipeline once")));
    };
    let placed = place.resolve(given.env);
    let target = place.target_of(&placed.environment).await?;
    let Some(found) = target.releases().await?.into_iter().find(|found| found.release.digest == *digest) else {
        return Err(Failure::new(Exit::NotCarriedOut, format!("no release with the digest {digest} is at the target of {app}"))
            .hint(format!("hms-deploy history --app {app}")));
    };
    let yes = Yes {
        kind: given.kind,
        actor: actor(given.verb()),
        release: digest.clone(),
        policy_hash: policy.hash.clone(),
        reason: given.reason.clone(),
        at: now(),
    };
    let record = target.record(&placed.environment).await?;
    if !is_said(&record, &yes) {
        let mut entry = note_of_release(given.entry_kind(), yes.actor.clone(), &found.release, &record, target.identity().await?);
        entry.policy_hash = Some(yes.policy_hash.clone());
        entry.reason.clone_from(&given.reason);
        enter(environment, entry, LEDGER)?;
    }
    let record = put_yes(&target, record, &yes).await?;
    report(&record, &placed, &found.release, &yes, output)
}

/// The same person's same yes to the same thing is one.
fn is_said(record: &EnvironmentRecord, yes: &Yes) -> bool {
    record.yeses.iter().any(|said| {
        said.kind == yes.kind && said.release == yes.release && said.policy_hash == yes.policy_hash && same_person(&said.actor, &yes.actor)
    })
}

async fn put_yes(target: &AnyTarget, mut record: EnvironmentRecord, yes: &Yes) -> Result<EnvironmentRecord, Failure> {
    for _ in 0..TRIES {
        if is_said(&record, yes) {
            return Ok(record);
        }
        let environment = record.environment.clone();
        record.yeses.push(yes.clone());
        match target.put_record(record).await {
            Err(TargetError::Conflict { .. }) => record = target.record(&environment).await?,
            answer => return Ok(answer?),
        }
    }
    Err(Failure::new(Exit::NotCarriedOut, "somebody else changes this environment's record all the time").hint("say it again"))
}

fn report(record: &EnvironmentRecord, placed: &Placed, release: &ReleaseRef, yes: &Yes, output: Output) -> Result<u8, Failure> {
    let bound = |said: &&Yes| said.release == yes.release && said.policy_hash == yes.policy_hash;
    let people: Vec<_> = record.yeses.iter().filter(bound).map(|said| &said.actor).collect();
    let given = count_people(&people);
    let wanted = match placed.protection() {
        Protection::Open => 0,
        Protection::Protected { approvals } => usize::try_from(approvals).unwrap_or(usize::MAX).saturating_add(1),
    };
    let mut out = std::io::stdout();
    match output {
        Output::Json => writeln!(
            out,
            "{}",
            json!({
                "format": 1, "environment": placed.environment, "release": release, "kind": yes.kind,
                "policy_hash": yes.policy_hash, "yeses": given, "wanted": wanted,
            })
        )?,
        Output::Text => {
            let word = match yes.kind {
                YesKind::Approval => "approved",
                YesKind::Override => "overridden",
            };
            writeln!(out, "✔ {word} for {}: {}", placed.environment, plain(&shown(release)))?;
            if wanted > 0 {
                writeln!(out, "  {given} of {wanted} yeses from different people, without whoever deploys it")?;
            }
        }
    }
    Ok(0)
}
