//! Kill -9 of every process of hms, at every named point and between: what is so afterwards, and which one command goes on.
//!
//! `table` says what must be so; `walk` makes it happen with the real programs; `kills` has the deaths that are at no named point.

mod kills;
mod table;
mod traffic;
mod walk;
mod world;
