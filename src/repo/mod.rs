//! (the repo room)
