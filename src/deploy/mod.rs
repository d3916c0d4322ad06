//! (the deploy room)
