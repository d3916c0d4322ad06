//! Who did it: a person at a terminal, or a process by a name that is never used twice.

use serde::{Deserialize, Serialize};

/// Who asked for something, as well as this machine can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The numeric user id; the only part that the kernel vouches for.
    pub uid: u32,
    /// The login name of that uid, or the number as text.
    pub login: String,
    /// The host's name.
    pub host: String,
    /// The terminal's device, for instance `/dev/pts/3`; none in CI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<String>,
    /// Address and port of the SSH client, from `SSH_CONNECTION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_client: Option<String>,
    /// Which program and verb it came through, for instance `hms approve`.
    pub via: String,
}

/// A process by a name that does not come back: pid, start time, boot id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessName {
    /// The process id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks between boot and the process's start.
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}
