//! The door of `hms-deploy`.

fn main() {}
