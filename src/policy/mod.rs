//! (the policy room)
