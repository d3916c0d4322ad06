//! An error with its causes, on one line.

use std::error::Error;

/// The error and all that led to it, the nearest first. A cause that the line before says already is passed over: many libraries repeat
/// theirs.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn every_cause_is_said_once() {
        let disk = || Some(Box::new(Told("no room", None)));
        let told = |what| chain(&Told(what, Some(Box::new(Told("cannot write x: no room", disk())))));
        assert_eq!(told("the ledger is not written"), "the ledger is not written: cannot write x: no room");
        assert_eq!(chain(&Told("alone", None)), "alone");
        assert_eq!(chain(&Told("outer", disk())), "outer: no room");
    }
}
