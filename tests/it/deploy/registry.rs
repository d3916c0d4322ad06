//! Registries: a real one on loopback (distribution's, as Debian has it), and servers that answer badly on purpose.

mod answers;
mod asking;
mod image;
mod login;
mod retention;
mod server;
mod token_server;
mod world;
