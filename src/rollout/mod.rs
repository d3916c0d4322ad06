//! (the rollout room)
