//! (the cli room)
