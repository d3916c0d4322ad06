//! `hms report RUN`: a run as one page for the change ticket, or the same as JSON. It reads journals and the ledger, and asks no target.

use std::io::{IsTerminal, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::event::{RolloutEvent, RolloutId, Stamped};
use crate::executor::log_path;
use crate::ledger::{Entry, LedgerPlaces, entries};
use crate::report::{CanaryFacts, CanaryPage, Curves, Page, RunReport, canary_json, curves_json, happened, json_text, page, run_report};
use crate::rollout::folder_of;
use crate::rollout::reader::{RolloutReader, unwatched};
use crate::run::reader::{EngineLife, find};
use crate::store::{now, replace};

use super::arguments::Output;
use super::canary::curves;
use super::environment::Environment;
use super::failure::{Exit, Failure};
use super::follow::Followed;
use super::run_new::Clone;

/// A rollout of the run, with all that its page needs.
struct Rollout {
    reader: RolloutReader,
    events: Vec<Stamped<RolloutEvent>>,
    curves: Curves,
}

/// Writes the report of a run.
pub(crate) fn report(
    environment: &Environment,
    clone: &Clone,
    run: Option<&str>,
    to: Option<&Path>,
    output: Output,
) -> Result<u8, Failure> {
    if to.is_none() && output == Output::Text && std::io::stdout().is_terminal() {
        return Err(
            Failure::new(Exit::Usage, "a page of HTML is nothing to read on a terminal").hint("hms report 42 --to /tmp/run-42.html")
        );
    }
    let listed = find(&clone.folder, run)?;
    let mut followed = Followed::new(&listed.folder, &environment.places);
    followed.poll()?;
    if followed.engine()? == EngineLife::Dead {
        // Or it ended since the journal was read, and said so there first.
        followed.poll()?;
    }
    let log = |job: &crate::event::JobName, number: u32| log_path(&listed.folder.attempt(job, number));
    let report = run_report(followed.state(), &followed.rollouts(), followed.engine()?.word(), &log)
        .ok_or_else(|| Failure::new(Exit::NotCarriedOut, "the run's journal has no beginning"))?;
    let app = followed.state().created.as_ref().map(|created| created.app.clone());
    let title = followed.state().created.as_ref().map(|created| created.title.clone()).unwrap_or_default();
    let mut rollouts = Vec::new();
    for (id, ..) in &followed.state().rollouts {
        if let Some(app) = &app {
            let folder = folder_of(&environment.places.state, app, id);
            let mut reader = RolloutReader::at(&folder);
            let events = reader.poll()?;
            let curves = curves(reader.state(), &folder);
            rollouts.push(Rollout { reader, events, curves });
        }
    }
    let ids: Vec<&RolloutId> = followed.state().rollouts.iter().map(|(id, ..)| id).collect();
    let ledger = about(environment, &report, &ids)?;
    let text = match output {
        Output::Json => format!("{}\n", json_text(&as_json(&report, &rollouts, &ledger)).map_err(unwritable)?),
        Output::Text => {
            let canaries = rollouts.iter().map(|rollout| CanaryPage {
                state: rollout.reader.state(),
                events: &rollout.events,
                curves: &rollout.curves,
                unwatched_since: unwatched(rollout.reader.state(), None, rollout.reader.holder().as_ref(), now()),
            });
            page(&Page {
                run: &report,
                app: app.as_ref().map_or("", |app| app.as_str()),
                title: &title,
                canaries: canaries.collect(),
                ledger: &ledger,
                now: now(),
                tool: concat!("hms ", env!("CARGO_PKG_VERSION")),
            })
        }
    };
    match to {
        Some(path) => {
            replace(path, text.as_bytes())?;
            let _ = writeln!(std::io::stderr(), "hms: wrote {}", path.display());
        }
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(0)
}

/// The ledger's entries that are about the run or its rollouts, and the outcomes of those.
fn about(environment: &Environment, report: &RunReport, rollouts: &[&RolloutId]) -> Result<Vec<Value>, Failure> {
    let of_run = |entry: &&Entry| {
        entry.run.as_ref().is_some_and(|run| run.as_str() == report.run)
            || entry.rollout.as_ref().is_some_and(|rollout| rollouts.contains(&rollout))
    };
    let all = entries(&LedgerPlaces::of(&environment.places))?;
    let found: Vec<u64> = all.iter().filter(of_run).map(|entry| entry.seq).collect();
    let is_about = |entry: &&Entry| of_run(entry) || entry.intent_seq.is_some_and(|intent| found.contains(&intent));
    let values = all.iter().filter(is_about).map(serde_json::to_value);
    values.collect::<Result<_, _>>().map_err(unwritable)
}

fn as_json(report: &RunReport, rollouts: &[Rollout], ledger: &[Value]) -> Value {
    let canaries = rollouts.iter().map(|rollout| {
        let state = rollout.reader.state();
        let holder = rollout.reader.holder();
        let driver = holder.as_ref().map(|holder| (holder.role.as_str(), holder.process.pid));
        let unwatched_since = unwatched(state, None, holder.as_ref(), now());
        let facts = CanaryFacts { state, run_number: Some(report.number), unwatched_since, driver };
        json!({
            "status": canary_json(&facts),
            "happened": happened(&rollout.events),
            "curves": curves_json(&rollout.curves, &state.course),
        })
    });
    json!({"format": 1, "run": report, "canaries": canaries.collect::<Vec<_>>(), "ledger": ledger})
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it")]
fn unwritable(error: serde_json::Error) -> Failure {
    Failure::of(Exit::NotCarriedOut, &error)
}
