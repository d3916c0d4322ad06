//! The door of `hms-scan`.

fn main() {}
