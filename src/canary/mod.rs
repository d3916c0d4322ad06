//! (the canary room)
