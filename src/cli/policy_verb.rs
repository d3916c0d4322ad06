//! `hms policy`: what is in force, how a commit differs, and putting a commit's policy in force.

use std::io::{BufRead, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::deploy::Target;
use crate::event::{AppName, AppRecord, Digest, EnvironmentName, Refusal, RefusalKind};
use crate::ledger::{LedgerPlaces, entries};
use crate::policy::{Difference, Policy, apply_floors, difference, resolve_environment};
use crate::rollout::wired::{Asker, Home, accept, home_of, known_elsewhere, moved_from};
use crate::store::now;
use crate::text::plain;

use super::arguments::{Output, PolicyVerb};
use super::environment::{Environment, actor, is_interactive};
use super::failure::{Exit, Failure};
use super::freeze::{freeze_json, frozen_line, next_line};
use super::ledger_verb::outside_runs;
use super::pipeline_file::read_settings;
use super::place::targets;
use super::run_new::Clone;

/// How many digits of a hash a person types to accept it.
const TYPED: usize = 12;

/// Carries out a verb of policy.
pub(crate) fn policy(environment: &Environment, at: Option<&Path>, verb: PolicyVerb, output: Output) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match verb {
            PolicyVerb::Show { app } => show(environment, at, app, output).await,
            PolicyVerb::Accept { hash, reference, reason } => {
                let asked = Asked { hash, reference, reason };
                take(environment, at, &asked, output).await
            }
        }
    })
}

/// What `hms policy accept` was given.
struct Asked {
    hash: Option<String>,
    reference: Option<String>,
    reason: Option<String>,
}

/// A commit's policy.
pub(super) struct Commits {
    pub(super) commit: String,
    pub(super) app: AppName,
    pub(super) policy: Policy,
}

impl Commits {
    pub(super) fn find(clone: &Clone, reference: &str) -> Result<Self, Failure> {
        let resolved = clone.repository.resolve(reference)?;
        let commit = resolved.revision.short().to_owned();
        let Some(bytes) = clone.repository.read_file_at(&resolved.revision, Path::new(".hms-ci.yml"))? else {
            return Err(Failure::new(Exit::Usage, format!("the commit {commit} has no .hms-ci.yml")).hint("write one, and commit it"));
        };
        let settings = read_settings(".hms-ci.yml", &bytes, &mut std::io::stderr())?;
        Ok(Self { commit, app: clone.app(&settings), policy: settings.policy })
    }
}

async fn show(environment: &Environment, at: Option<&Path>, app: Option<AppName>, output: Output) -> Result<u8, Failure> {
    // With an app named, the repository only adds the comparison.
    let commits = match (Clone::find(at).and_then(|clone| Commits::find(&clone, "HEAD")), &app) {
        (Ok(commits), Some(app)) => (commits.app == *app).then_some(commits),
        (Ok(commits), None) => Some(commits),
        (Err(_), Some(_)) => None,
        (Err(failure), None) => return Err(failure),
    };
    let Some(app) = app.or_else(|| commits.as_ref().map(|commits| commits.app.clone())) else {
        return Err(Failure::new(Exit::Usage, "which app?").hint("hms policy show --app NAME"));
    };
    let commit_policy = commits.as_ref().map(|commits| &commits.policy);
    let record = targets(environment, &app).home(commit_policy).await?.app_record().await?;
    let stored = record.policy.as_ref().map(|accepted| Policy::from_text(&accepted.text)).transpose();
    let stored = stored.map_err(|error| Failure::of(Exit::NotCarriedOut, &error))?;
    let (held, floors) =
        apply_floors(&stored.as_ref().map_or_else(Policy::default, |stored| stored.policy.clone()), &environment.operator.floors);
    let differences = match (&stored, &commits) {
        (Some(stored), Some(commits)) => difference(&stored.policy, &commits.policy),
        (None, _) | (_, None) => Vec::new(),
    };
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        let in_force = record.policy.as_ref().zip(stored.as_ref()).map(|(accepted, stored)| {
            json!({
                "hash": accepted.hash, "accepted_at": accepted.accepted_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                "by": accepted.by, "text": accepted.text, "unknown": stored.unknown,
            })
        });
        let commit = commits
            .as_ref()
            .map(|commits| json!({"commit": commits.commit, "hash": commits.policy.hash(), "differences": as_json(&differences)}));
        writeln!(
            out,
            "{}",
            json!({"format": 1, "app": app, "in_force": in_force, "commit": commit, "floors": floors, "freeze": freeze_json(&held.freeze, now())})
        )?;
        return Ok(0);
    }
    match (&record.policy, &stored) {
        (Some(accepted), Some(stored)) => {
            let by = &accepted.by;
            writeln!(out, "in force for {app}: {}", accepted.hash)?;
            let when = accepted.accepted_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            writeln!(out, "accepted {when} by {}", plain(&format!("{}@{} ({})", by.login, by.host, by.via)))?;
            writeln!(out, "{}", pretty(&accepted.text))?;
            for key in &stored.unknown {
                writeln!(out, "✘ {} is not known to this hms: it deploys nothing under this policy", plain(key))?;
            }
        }
        (None, _) | (_, None) => {
            writeln!(out, "no policy is in force for {app} at this machine yet: the first deploy takes its commit's on first use")?;
        }
    }
    for floor in &floors {
        writeln!(out, "the operator's floor holds: {}", plain(floor))?;
    }
    for line in [frozen_line(&held.freeze, now()), next_line(&held.freeze, now())].into_iter().flatten() {
        writeln!(out, "{line}")?;
    }
    if let Some(commits) = &commits {
        tell_difference(
            &mut out,
            &commits.commit,
            &commits.policy.hash(),
            record.policy.as_ref().map(|accepted| &accepted.hash),
            &differences,
        )?;
    }
    Ok(0)
}

fn tell_difference(
    out: &mut dyn Write,
    commit: &str,
    commits: &Digest,
    in_force: Option<&Digest>,
    differences: &[Difference],
) -> std::io::Result<()> {
    match in_force {
        None => writeln!(out, "the policy of {commit} is {commits}"),
        Some(hash) if hash == commits => writeln!(out, "the policy of {commit} is the one in force"),
        Some(_) => {
            writeln!(out, "the policy of {commit} is {commits}; it has no effect until `hms policy accept`, and would change:")?;
            for one in differences {
                let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
                writeln!(out, "  {}: {} → {}", plain(&one.path), plain(&word(&one.from)), plain(&word(&one.to)))?;
            }
            if differences.is_empty() {
                writeln!(out, "  nothing that this hms knows: the text is of another version")?;
            }
            Ok(())
        }
    }
}

fn as_json(differences: &[Difference]) -> Vec<Value> {
    // Values are JSON texts already.
    let value = |text: &Option<String>| text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    differences.iter().map(|one| json!({"path": one.path, "from": value(&one.from), "to": value(&one.to)})).collect()
}

/// Canonical JSON on many lines, for people.
fn pretty(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let lines = value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned());
    lines.lines().map(plain).collect::<Vec<_>>().join("\n")
}

async fn take(environment: &Environment, at: Option<&Path>, asked: &Asked, output: Output) -> Result<u8, Failure> {
    let who = actor("hms policy accept");
    outside_runs(environment, &who, "policy accept")?;
    let clone = Clone::find(at)?;
    let commits = Commits::find(&clone, asked.reference.as_deref().unwrap_or("HEAD"))?;
    let hash = commits.policy.hash();
    let targets = targets(environment, &commits.app);
    let known = targets.known_home(Some(&commits.policy)).await?;
    let target = targets.home(Some(&commits.policy)).await?;
    let record = target.app_record().await?;
    // Where it was last by the ledger and where it is now may be two clusters of one name: then a yes is what is missing.
    let here = target.identity().await?;
    let known_here = entries(&LedgerPlaces::of(&environment.places))?;
    let has_moved = known_elsewhere(&known_here, &commits.app, &here).is_some()
        || moved_from(&known_here, &commits.app, &EnvironmentName::prod(), &here).is_some();
    if !has_moved && record.policy.as_ref().is_some_and(|accepted| accepted.hash == hash) {
        let mut out = std::io::stdout().lock();
        match output {
            Output::Text => writeln!(out, "the policy of {} is in force already: {hash}", commits.commit)?,
            Output::Json => writeln!(out, "{}", json!({"format": 1, "app": commits.app, "hash": hash, "accepted": false}))?,
        }
        return Ok(0);
    }
    let stored = record.policy.as_ref().and_then(|accepted| Policy::from_text(&accepted.text).ok()).map(|stored| stored.policy);
    let differences = stored.map(|stored| difference(&stored, &commits.policy)).unwrap_or_default();
    // What is about to change is a notice: the result is that it is in force.
    let mut notices = std::io::stderr();
    tell_difference(&mut notices, &commits.commit, &hash, record.policy.as_ref().map(|accepted| &accepted.hash), &differences)?;
    agree(asked, &hash, &mut notices)?;
    let who_asks = Asker {
        actor: who,
        floors: environment.operator.floors.clone(),
        ledger: LedgerPlaces::of(&environment.places),
        repository: clone.repository.first_commit()?,
    };
    let accepted: AppRecord = accept(&target, &who_asks, &commits.policy, asked.reason.as_deref(), record).await?;
    let there = home_of(&commits.policy);
    if there != known {
        // It moves with `prod`: kept at both, and looked for at the new place from here on.
        let moved = targets.of(&commits.policy, &resolve_environment(&commits.policy, &EnvironmentName::prod())).await?;
        let record = moved.app_record().await?;
        accept(&moved, &who_asks, &commits.policy, asked.reason.as_deref(), record).await?;
    }
    if there != Home::Local || known != Home::Local {
        targets.remember(&there)?;
    }
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => {
            writeln!(
                out,
                "✔ policy {} is in force for {}; verdicts and yeses under the one before do not count",
                hash.short(),
                accepted.app
            )?;
        }
        Output::Json => writeln!(out, "{}", json!({"format": 1, "app": accepted.app, "hash": hash, "accepted": true}))?,
    }
    Ok(0)
}

/// A person says which policy is meant: by the flag, or by typing the beginning of its hash.
fn agree(asked: &Asked, hash: &Digest, notices: &mut dyn Write) -> Result<(), Failure> {
    if let Some(given) = &asked.hash {
        let given = given.trim().trim_start_matches("sha256:");
        if given == hash.hex() {
            return Ok(());
        }
        return Err(refused(asked, hash, format!("--hash {} is not the policy of that commit, which is {hash}", plain(given))));
    }
    if !is_interactive() {
        return Err(refused(asked, hash, "without a terminal the policy that was looked at must be named".to_owned()));
    }
    let beginning = hash.hex().get(..TYPED).unwrap_or_default();
    write!(notices, "Put it in force? Type the first {TYPED} digits of its hash ({beginning}): ")?;
    notices.flush()?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed)?;
    let typed = typed.trim().trim_start_matches("sha256:");
    if typed.len() >= TYPED && hash.hex().starts_with(typed) {
        return Ok(());
    }
    Err(refused(asked, hash, "that is not its hash; nothing was changed".to_owned()))
}

fn refused(asked: &Asked, hash: &Digest, message: String) -> Failure {
    // Quoted for a POSIX shell: a ref's name is anybody's text, and the line is there to be pasted.
    let reference = asked.reference.as_ref().map(|name| format!(" --ref '{}'", name.replace('\'', r"'\''"))).unwrap_or_default();
    Refusal::new(RefusalKind::Stale, message).hint(format!("hms policy accept{reference} --hash {hash}")).into()
}
