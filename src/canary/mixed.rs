//! Two versions that report as one: labels beside the version's own that say so.
//!
//! A label that should tell the arms apart may not (a track, a service, a workload whose old pods still serve). Their requests cannot
//! be told apart then, and a canary that is judged by another release's would be judged by nobody's.

use std::collections::BTreeMap;

/// Labels that tell a version where they are, as exporters and meshes name them.
const TELLING: [&str; 14] = [
    "version",
    "app_version",
    "app_kubernetes_io_version",
    "service_version",
    "destination_version",
    "destination_canonical_revision",
    "image",
    "image_id",
    "container_image",
    "revision",
    "git_commit",
    "commit",
    "pod_template_hash",
    "rollouts_pod_template_hash",
];

/// What the series that grew say of their version.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    first: BTreeMap<&'a str, &'a str>,
    mixed: Option<String>,
}

impl<'a> Told<'a> {
    /// Takes a series that grew, by its labels as text.
    pub(super) fn take(&mut self, key: &'a str) {
        for (label, value) in labels(key).filter(|(label, value)| TELLING.contains(label) && !is_protocol(value)) {
            let first = *self.first.entry(label).or_insert(value);
            if first != value && self.mixed.is_none() {
                self.mixed = Some(format!("two versions report as one: {label} is {first} and {value}"));
            }
        }
    }

    /// Two versions that were found.
    pub(super) fn mixed(self) -> Option<String> {
        self.mixed
    }
}

/// `version="HTTP/1.1"` is another thing.
fn is_protocol(value: &str) -> bool {
    value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http/"))
}

/// The labels of a series' key, values as they stand between their quotes.
fn labels(key: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = key;
    std::iter::from_fn(move || {
        let (label, after) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = after.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        })?;
        let (value, left) = after.split_at(end);
        rest = left.get(1..)?.trim_start_matches(',');
        Some((label, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_their_text() {
        let read = |key| labels(key).collect::<Vec<_>>();
        assert_eq!(read(r#"a="1",b="x\"y,c=\"",@="http://h/""#), [("a", "1"), ("b", r#"x\"y,c=\""#), ("@", "http://h/")]);
        assert_eq!(read(""), []);
        assert_eq!(read("no label"), []);
        assert_eq!(read(r#"a="open"#), []);
    }

    #[test]
    fn two_values_of_a_telling_label_are_two_versions() {
        let told = |keys: &[&'static str]| {
            let mut told = Told::default();
            for key in keys {
                told.take(key);
            }
            told.mixed()
        };
        assert_eq!(told(&[r#"code="200",image="a:1""#, r#"code="500",image="a:1""#, r#"code="200",pod="x""#]), None);
        let two = told(&[r#"code="200",image="a:1""#, r#"code="500",image="a:2""#]);
        assert_eq!(two.as_deref(), Some("two versions report as one: image is a:1 and a:2"));
        assert_eq!(told(&[r#"version="HTTP/1.1""#, r#"version="HTTP/2""#]), None);
    }
}
