//! (the report room)
