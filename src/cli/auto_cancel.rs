//! A new run asks the older ones of its ref to make way; each engine decides by its own file and state (`docs/decisions.md` 15.21).

use std::time::Duration;

use chrono::TimeDelta;

use crate::event::{Command, RefType, RunCreated};
use crate::repo::Repository;
use crate::run::RunFolder;
use crate::run::control::{ControlRequest, Reply, command};
use crate::run::reader::{RunReader, engine_of, list};
use crate::store::now;

use super::environment::actor;

/// How long an engine may take to answer; a run does not wait for another one's.
const PATIENCE: Duration = Duration::from_secs(2);
/// Older runs are left alone, as GitLab does.
const OLDEST: TimeDelta = TimeDelta::days(7);

/// Asks, and gives what was ended, in a sentence each. Only runs whose engine lives are asked: the others wait for people, or are over.
pub(super) fn make_way(folder: &RunFolder, created: &RunCreated) -> Vec<String> {
    let Some(reference) = &created.ref_name else { return Vec::new() };
    let full = match created.ref_type {
        Some(RefType::Branch) => format!("refs/heads/{reference}"),
        Some(RefType::Tag) => format!("refs/tags/{reference}"),
        None => reference.clone(),
    };
    let head = Repository::discover(&created.repository).ok().and_then(|found| found.resolve(&full).ok());
    let mut said = Vec::new();
    for older in list(&folder.repository()).unwrap_or_default().into_iter().filter(|older| older.number < created.number) {
        let Ok(Some(socket)) = engine_of(&older.folder).map(|holder| holder.and_then(|holder| holder.socket)) else { continue };
        let mut reader = RunReader::new(&older.folder);
        if reader.poll().is_err() {
            continue;
        }
        let young = reader.state().created_at.is_some_and(|at| now() - at < OLDEST);
        let Some(there) = reader.state().created.as_ref().filter(|_| young) else { continue };
        let is_head = head.as_ref().is_some_and(|head| head.revision == there.revision);
        let same_ref = there.ref_name.as_ref() == Some(reference) && there.ref_type == created.ref_type;
        if !same_ref || there.revision == created.revision || is_head {
            continue;
        }
        let command_said = Command::MakeWay { number: created.number, revision: created.revision.clone() };
        let request = ControlRequest { id: ulid::Ulid::generate().to_string(), command: command_said, actor: actor("auto_cancel") };
        if let Ok(Some(Reply::Accepted { message })) = command(&socket, &request, PATIENCE) {
            said.push(message);
        }
    }
    said
}
