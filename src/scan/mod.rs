//! (the scan room)
