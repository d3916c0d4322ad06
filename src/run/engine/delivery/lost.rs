//! Canaries that were taken back after they had passed: the engine writes down what follows from that.

use super::super::{Engine, EngineError};
use crate::run::lost::{consequences, gone, lost};

impl Engine {
    /// Tells the run that a canary which had passed or was held was taken back, and closes the gates that waited for a yes to it.
    pub(in crate::run::engine) fn close_lost_gates(&mut self) -> Result<(), EngineError> {
        let Some(app) = self.state.created.as_ref().map(|created| created.app.clone()) else { return Ok(()) };
        let state = &self.setup.places.state;
        let rollout = |id: &_| crate::rollout::reader::read(&crate::rollout::folder_of(state, &app, id)).ok().flatten();
        // A driver of this engine's finds out by itself who took its place.
        for lost in lost(&self.state, &|id| gone(&rollout(id)?, None)) {
            for event in consequences(&self.state, &lost) {
                self.record(event)?;
            }
        }
        Ok(())
    }
}
