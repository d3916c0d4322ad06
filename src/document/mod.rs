//! (the document room)
