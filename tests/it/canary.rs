//! Tests of canary: the judge's rules by tables, its laws by properties, its error levels by simulation, and the scraper against
//! a real server.

#[cfg(test)]
mod judge;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod world;
