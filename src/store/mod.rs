//! (the store room)
