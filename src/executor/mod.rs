//! (the executor room)
