//! The Merkle log of control actions: who changed what, when, on what evidence, and proof that nothing was edited.
//!
//! An RFC 6962 tree over lines of canonical JSON. The writer ([`Ledger`]) checks lines, head and pin before each append; the
//! verifier ([`verify`]) shares nothing with it but the hashing. Formats: `docs/decisions.md` 7.

mod entry;
mod files;
mod reader;
mod tree;
mod verify;
mod writer;

pub use entry::{Entry, Evidence, Phase, Shares};
pub use files::{LedgerPlaces, Pin};
pub use reader::{entries, follows, head, predecessors, unresolved};
pub use tree::{Tree, leaf_hash, root_of, verify_consistency, verify_inclusion};
pub use verify::{Finding, Verification, verify};
pub use writer::{Fault, Ledger, LedgerError, OnFault, Relation, keep_unrecorded};
