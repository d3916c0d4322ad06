//! The selectors of series under `.hms`, each checked where it stands: policy keeps them as text, and metrics know what they mean.

use crate::canary::provider::Selector;
use crate::document::Node;
use crate::policy::Problem;

/// The first that selects no metric, with its place. `hms` is the node of `.hms`.
pub(crate) fn check(hms: &Node) -> Result<(), Problem> {
    let Some(metrics) = hms.get("metrics") else { return Ok(()) };
    each(metrics, ".hms.metrics", &["requests", "latency"])?;
    for entry in metrics.get("own").and_then(Node::entries).unwrap_or_default() {
        each(&entry.value, &format!(".hms.metrics.own.{}", entry.key), &["bad", "all", "latency"])?;
    }
    Ok(())
}

fn each(node: &Node, path: &str, keys: &[&str]) -> Result<(), Problem> {
    let said = keys.iter().filter_map(|key| Some((key, node.get(key)?)));
    for (key, node) in said {
        let Some(text) = node.scalar_text() else { continue };
        text.parse::<Selector>().map_err(|error| Problem::new(node.place, format!("`{path}.{key}`: {error}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse;

    #[test]
    fn a_selector_that_selects_nothing_is_told_with_its_place() {
        let read = |text: &str| check(&parse(text.as_bytes()).unwrap());
        assert_eq!(read("metrics: {requests: 'up{a=\"b\"}', own: {x: {bad: up}}}"), Ok(()));
        assert_eq!(read("app: x"), Ok(()));
        for (text, place, why) in [
            ("metrics:\n  requests: rate(up)", (2, 13), "`.hms.metrics.requests`"),
            ("metrics:\n  own:\n    jobs: { all: 'jobs{', bad: jobs }", (3, 18), "`.hms.metrics.own.jobs.all`"),
        ] {
            let problem = read(text).unwrap_err();
            assert_eq!((problem.place.line, problem.place.column), place, "{text}");
            assert!(problem.message.starts_with(why), "{problem}");
        }
    }
}
