//! Free loopback ports, from below the range that the system gives to outgoing connections (32768 and up,
//! `/proc/sys/net/ipv4/ip_local_port_range`), so that none of those takes one between the choice and its use.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::random::Random;

const FIRST: usize = 20_000;
const COUNT: usize = 12_000;
const TRIES: usize = 200;

/// A loopback port that nobody listens at now.
pub(super) fn free_port() -> io::Result<u16> {
    let mut random = Random::new();
    (0..TRIES)
        .filter_map(|_| u16::try_from(FIRST + random.below(COUNT)).ok())
        .find(|port| is_free(*port))
        .ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// Whether a loopback port can be listened at now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}
