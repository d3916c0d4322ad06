//! The door of `hms`.

fn main() {}
