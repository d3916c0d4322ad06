//! (the run room)
