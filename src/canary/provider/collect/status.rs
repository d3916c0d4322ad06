//! Statuses of requests, as people and proxies write them.

/// Whether a status is a server's error; none when it is no status. 0 is what proxies write when the client went away.
pub(super) fn is_error(status: &str) -> Option<bool> {
    if let Ok(code) = status.parse::<u16>() {
        return (code < 1000).then_some((500..600).contains(&code));
    }
    let (class, rest) = status.split_at_checked(1)?;
    let is_class = ("1"..="5").contains(&class) && rest.eq_ignore_ascii_case("xx");
    is_class.then_some(class == "5")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_people_write_them() {
        for (status, error) in
            [("200", Some(false)), ("500", Some(true)), ("599", Some(true)), ("5xx", Some(true)), ("4XX", Some(false)), ("0", Some(false))]
        {
            assert_eq!(is_error(status), error, "{status}");
        }
        for bad in ["", "error", "6xx", "5x", "-1", "5000", "é"] {
            assert_eq!(is_error(bad), None, "{bad}");
        }
    }
}
