//! (the console room)
