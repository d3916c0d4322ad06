//! The text of a lockfile, and readers of the two notations that a library reads.

use serde::de::DeserializeOwned;

use super::LockfileError;

/// The bytes as text, without a byte order mark.
pub(super) fn of(bytes: &[u8]) -> Result<&str, LockfileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| LockfileError::NotUtf8(error.valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads JSON of a shape.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LockfileError> {
    Ok(serde_json::from_str(of(bytes)?)?)
}

/// Reads TOML of a shape.
pub(super) fn toml<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LockfileError> {
    ::toml::from_str(of(bytes)?).map_err(|error| LockfileError::Toml(error.message().to_owned()))
}
