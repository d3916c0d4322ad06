//! (the text room)
