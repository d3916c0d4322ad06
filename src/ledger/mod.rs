//! (the ledger room)
