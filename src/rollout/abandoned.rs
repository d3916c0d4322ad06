//! Intents that a driver left open when it was killed, closed by whoever changes the environment next: what followed from them can
//! be told from then on only by what is there. An intent whose driver lives is that driver's to close.

use std::path::Path;
use std::sync::Arc;

use super::ports::{ActionResult, Patience, Recorder};
use super::reader;
use super::steps::{blocking, failed};
use crate::event::{AppName, EnvironmentName, RolloutId};

/// Closes them; what cannot be written stays open, and is shown as unresolved. `own` is the rollout that does it, `rollouts` the
/// folder in which this host keeps the app's rollouts: of one that is not there nothing is known, and nothing is said.
pub(super) async fn close(recorder: &Arc<dyn Recorder>, rollouts: &Path, app: &AppName, environment: &EnvironmentName, own: &RolloutId) {
    let (asked, of, within) = (Arc::clone(recorder), app.clone(), environment.clone());
    let open = blocking(Patience::Rollback, move || asked.open_intents(&of, &within)).await.unwrap_or_default();
    for (rollout, seq) in open {
        let folder = rollouts.join(rollout.to_string());
        if rollout == *own || !folder.is_dir() || reader::holder(&folder).is_some() {
            continue;
        }
        let message = format!("its driver ended before it could say how it went; rollout {own} goes on from what is there");
        let (asked, outcome) = (Arc::clone(recorder), failed(ActionResult::Resolved, message));
        let _ = blocking(Patience::Rollback, move || asked.outcome(seq, &outcome, Patience::Rollback)).await;
    }
}
