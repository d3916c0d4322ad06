//! What a variable of a job may be called.

/// Names that bash keeps for itself: to assign to them ends the script.
const READ_ONLY: [&str; 6] = ["BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"];

/// Whether a shell can export a variable of this name.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    if READ_ONLY.contains(&name) {
        return false;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().next().is_some_and(|first| !first.is_ascii_digit()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_shell_can_export_are_known() {
        assert!(["A", "_a1", "CI_COMMIT_SHA"].into_iter().all(is_variable_name));
        assert!(!["", "1A", "UID", "A-B", "A B", "A=1", "\u{e9}"].into_iter().any(is_variable_name));
    }
}
