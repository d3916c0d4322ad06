//! Tests of canary: the judge's rules by tables, its laws by properties, its error levels by simulation, sample files by their
//! verdicts, and the scraper against a real server.

#[cfg(test)]
mod bad_data;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod world;
