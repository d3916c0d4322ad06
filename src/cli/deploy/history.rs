//! `hms-deploy history`: what was released where, newest first, as the rollouts' journals on this host and the target's record tell it.

use std::io::Write;

use chrono::{DateTime, Local, Utc};
use serde_json::{Value, json};

use crate::cli::arguments::Output;
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::cli::place::{Place, app_of, notice};
use crate::deploy::Target;
use crate::event::{AppName, EnvironmentName, ReleaseRef, RolloutId, RolloutKind, RolloutOutcome, RolloutState};
use crate::rollout::wired::ClusterName;
use crate::rollout::{folder_of, reader};
use crate::text::plain;

use super::arguments;
use super::standing::time;

/// One line of the past.
struct Row {
    at: Option<DateTime<Utc>>,
    environment: EnvironmentName,
    release: ReleaseRef,
    /// None for what is known by the record alone.
    rollout: Option<(RolloutId, RolloutKind, String)>,
    outcome: String,
    /// For a canary that was taken back: the rollout that it was.
    undoes: Option<RolloutId>,
}

/// Tells it, and gives the exit code.
pub(super) fn history(place: &arguments::Place, output: Output) -> Result<u8, Failure> {
    let environment = Environment::find_whatever_the_operator_wrote(&mut |text| notice(&text))?;
    let app = app_of(place.app.as_ref(), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(rows(&environment, &app, place.target.as_ref(), place.env.as_ref()))?;
    let mut out = std::io::stdout();
    if output == Output::Json {
        let rows: Vec<Value> = rows.iter().map(as_json).collect();
        writeln!(out, "{}", json!({"format": 1, "app": app, "history": rows}))?;
        return Ok(0);
    }
    if rows.is_empty() {
        return Err(
            Failure::new(Exit::NotCarriedOut, format!("nothing of {app} was ever deployed here")).hint("name another app with --app")
        );
    }
    for row in rows.iter().filter(|row| !is_told_by_its_end(row, &rows)) {
        let at = row.at.map_or_else(|| "–".to_owned(), |at| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string());
        let revision = row.release.revision.as_ref().map_or("–", |revision| revision.short());
        writeln!(
            out,
            "{at:<19}  {:<10} {:<14} {:<12} {revision:<8}  {}",
            row.environment,
            row.outcome,
            plain(&row.release.tag),
            row.release.digest
        )?;
    }
    Ok(0)
}

async fn rows(
    environment: &Environment,
    app: &AppName,
    named: Option<&ClusterName>,
    env: Option<&EnvironmentName>,
) -> Result<Vec<Row>, Failure> {
    let place = Place::find(environment, app, named).await?;
    let wanted = env.map(|name| place.resolve(name).environment);
    let mut rows = Vec::new();
    for rollout in reader::rollouts(&environment.places.state, app)? {
        // A journal that cannot be read hides no other.
        let Ok(Some(state)) = reader::read(&folder_of(&environment.places.state, app, &rollout)) else { continue };
        rows.extend(row_of(&rollout, &state));
    }
    let known = match &wanted {
        Some(name) => vec![(name.clone(), place.target_of(name).await?)],
        None => place.environments().await?,
    };
    for (name, target) in known {
        let record = target.record(&name).await?;
        let kept = record.current.iter().chain(&record.previous).chain(&record.healthy).chain(&record.releases).chain(&record.origin);
        for release in kept {
            // A version's tag is made after the journal that names the release was written.
            for row in rows.iter_mut().filter(|row| row.environment == name && row.release.digest == release.digest) {
                row.release.tag.clone_from(&release.tag);
            }
            let told = |row: &Row| row.environment == name && row.release.digest == release.digest;
            if !rows.iter().any(told) {
                let outcome = "released elsewhere".to_owned();
                rows.push(Row { at: None, environment: name.clone(), release: release.clone(), rollout: None, outcome, undoes: None });
            }
        }
    }
    rows.retain(|row| wanted.as_ref().is_none_or(|wanted| *wanted == row.environment));
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    Ok(rows)
}

fn row_of(rollout: &RolloutId, state: &RolloutState) -> Option<Row> {
    let created = state.created.as_ref()?;
    let outcome = match state.ended {
        Some((outcome, _)) => ended(outcome, created.kind),
        None if state.has_weight() => "canary",
        None => "open",
    };
    // A journal of an abort is about what stayed; people look for what was taken back.
    let release = match (created.kind, &created.previous) {
        (RolloutKind::Abort, Some(gone)) => gone.clone(),
        (RolloutKind::Abort | RolloutKind::Release | RolloutKind::Rollback, _) => created.release.clone(),
    };
    Some(Row {
        at: state.ended.map(|(_, at)| at).or(state.created_at),
        environment: created.environment.clone(),
        release,
        rollout: Some((rollout.clone(), created.kind, created.actor.login.clone())),
        outcome: outcome.to_owned(),
        undoes: created.supersedes.clone().filter(|_| created.kind == RolloutKind::Abort),
    })
}

/// A canary that was taken back is one thing to a person, and two rollouts.
fn is_told_by_its_end(row: &Row, rows: &[Row]) -> bool {
    let Some((id, RolloutKind::Release, _)) = &row.rollout else { return false };
    rows.iter().any(|other| other.undoes.as_ref() == Some(id) && other.release.digest == row.release.digest)
}

fn ended(outcome: RolloutOutcome, kind: RolloutKind) -> &'static str {
    match (outcome, kind) {
        (RolloutOutcome::Promoted, _) => "promoted",
        (RolloutOutcome::RolledBack, RolloutKind::Rollback) => "reverted to",
        (RolloutOutcome::RolledBack, RolloutKind::Release | RolloutKind::Abort) => "taken back",
        (RolloutOutcome::Failed, _) => "failed",
        (RolloutOutcome::Refused, _) => "refused",
        (RolloutOutcome::Cancelled, _) => "cancelled",
        (RolloutOutcome::Superseded, _) => "superseded",
    }
}

fn as_json(row: &Row) -> Value {
    let rollout = row.rollout.as_ref();
    json!({
        "at": row.at.map(time),
        "environment": row.environment,
        "tag": row.release.tag,
        "revision": row.release.revision,
        "digest": row.release.digest,
        "run": row.release.run,
        "outcome": row.outcome,
        "rollout": rollout.map(|(id, ..)| id),
        "kind": rollout.map(|(_, kind, _)| kind),
        "by": rollout.map(|(.., by)| by),
    })
}
