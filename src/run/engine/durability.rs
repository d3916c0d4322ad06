//! Which events of a run must have reached the disk before what follows from them (`docs/decisions.md` 3.4). One table.

use crate::event::RunEvent;
use crate::store::Durability;

/// How an event is appended.
pub(super) fn durability(event: &RunEvent) -> Durability {
    match event {
        RunEvent::RunCreated(_)
        | RunEvent::GateAnswered { .. }
        | RunEvent::InterruptionAnswered { .. }
        | RunEvent::JobRetried { .. }
        | RunEvent::CancelRequested { .. }
        | RunEvent::JobCancelRequested { .. }
        | RunEvent::ArtifactsExpired { .. }
        | RunEvent::ArtifactsKept { .. }
        | RunEvent::ReleaseMade { .. }
        | RunEvent::RolloutLinked { .. }
        | RunEvent::DeployEnded { .. }
        | RunEvent::HoldOverridden { .. }
        | RunEvent::Parked { .. }
        | RunEvent::RunEnded { .. }
        | RunEvent::AttemptStarting { guarded: true, .. } => Durability::Synced,
        RunEvent::AttemptStarting { guarded: false, .. }
        | RunEvent::EngineStarted { .. }
        | RunEvent::JournalRepaired { .. }
        | RunEvent::NoticeGiven { .. }
        | RunEvent::JobQueued { .. }
        | RunEvent::GateReached { .. }
        | RunEvent::JobScheduled { .. }
        | RunEvent::ResourceAwaited { .. }
        | RunEvent::ResourceTaken { .. }
        | RunEvent::JobSkipped { .. }
        | RunEvent::AttemptStarted { .. }
        | RunEvent::AttemptReattached { .. }
        | RunEvent::AttemptEnded { .. }
        | RunEvent::ScanReported { .. }
        | RunEvent::CommandRefused { .. }
        | RunEvent::Unknown => Durability::Written,
    }
}
