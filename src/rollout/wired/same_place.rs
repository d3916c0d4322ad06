//! Whether an environment is still where this ledger has it (`docs/decisions.md` 20.1): a context that was bent to another cluster keeps its
//! name, and is not followed. Pure.

use super::force::FIRST_USE;
use crate::event::{AppName, EnvironmentName, Refusal, RefusalKind, TargetIdentity};
use crate::ledger::Entry;

/// Where the newest entry has this environment, when that is another cluster or namespace and nobody accepted a policy for the move since.
#[must_use]
pub fn moved_from<'a>(
    entries: &'a [Entry],
    app: &AppName,
    environment: &EnvironmentName,
    here: &TargetIdentity,
) -> Option<&'a TargetIdentity> {
    let place = |entry: &'a Entry| entry.target.as_ref().filter(|target| target.kind == KUBERNETES && entry.app.as_ref() == Some(app));
    let (at, there) = entries.iter().enumerate().rev().find_map(|(at, entry)| {
        let there = place(entry).filter(|_| entry.environment.as_ref() == Some(environment))?;
        Some((at, there))
    })?;
    if here.kind != KUBERNETES || there.id == here.id {
        return None;
    }
    // Where the policy is kept is named by its acceptance: at the old place it is about something else.
    let agreed = |entry: &'a Entry| {
        let is_for_it = place(entry).is_some_and(|target| target.id != there.id);
        entry.kind == ACCEPTANCE && entry.reason.as_deref() != Some(FIRST_USE) && is_for_it
    };
    if entries.get(at..).into_iter().flatten().any(agreed) { None } else { Some(there) }
}

/// Where the ledger has the app on a cluster, when it never was at this one: a policy is not taken on first use there.
#[must_use]
pub fn known_elsewhere<'a>(entries: &'a [Entry], app: &AppName, here: &TargetIdentity) -> Option<&'a TargetIdentity> {
    let known = || entries.iter().filter(|entry| entry.app.as_ref() == Some(app)).filter_map(|entry| entry.target.as_ref());
    if here.kind != KUBERNETES || known().any(|target| target.id == here.id) {
        return None;
    }
    known().rfind(|target| target.kind == KUBERNETES)
}

/// What whoever asked is told.
#[must_use]
pub(super) fn elsewhere(app: &AppName, there: &TargetIdentity, here: &TargetIdentity) -> Refusal {
    let message = format!(
        "{app} was last at {} ({}) by this ledger, and {} leads to another place now ({})",
        there.name, there.id, here.name, here.id
    );
    Refusal::new(RefusalKind::Stale, message).hint("look at the kubeconfig's contexts; when the place did move: hms policy accept")
}

const KUBERNETES: &str = "kubernetes";
const ACCEPTANCE: &str = "policy.accept";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Actor;
    use crate::ledger::Phase;

    fn at(id: &str) -> TargetIdentity {
        TargetIdentity { kind: KUBERNETES.to_owned(), id: format!("{id}/irs"), name: "onprem-east/irs".to_owned() }
    }

    fn entry(kind: &str, environment: Option<&str>, place: &str, reason: Option<&str>) -> Entry {
        let actor = Actor { uid: 1, login: "ada".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "hms".to_owned() };
        let mut entry = Entry::new(kind, Phase::Note, actor);
        entry.app = Some("shop".parse().unwrap());
        entry.environment = environment.map(|name| name.parse().unwrap());
        entry.target = Some(at(place));
        entry.reason = reason.map(str::to_owned);
        entry
    }

    fn moved(entries: &[Entry], here: &str) -> Option<String> {
        let (app, prod) = ("shop".parse().unwrap(), "prod".parse().unwrap());
        moved_from(entries, &app, &prod, &at(here)).map(|there| there.id.clone())
    }

    #[test]
    fn a_bent_context_is_found_by_the_clusters_identity_until_somebody_says_that_the_place_moved() {
        let mut ledger = vec![entry("policy.accept", None, "one", Some(FIRST_USE)), entry("deploy", Some("prod"), "one", None)];
        assert_eq!(moved(&[], "two"), None, "nothing is known of it");
        assert_eq!(moved(&ledger, "one"), None);
        assert_eq!(moved(&ledger, "two").as_deref(), Some("one/irs"));
        ledger.push(entry("deploy", Some("staging"), "two", None));
        assert_eq!(moved(&ledger, "two").as_deref(), Some("one/irs"), "another environment is another matter");
        ledger.push(entry("policy.accept", None, "one", None));
        ledger.push(entry("policy.accept", None, "two", Some(FIRST_USE)));
        assert_eq!(moved(&ledger, "two").as_deref(), Some("one/irs"), "neither a change at the old place nor a first use is a yes");
        ledger.push(entry("policy.accept", None, "two", Some("the cluster was replaced")));
        assert_eq!(moved(&ledger, "two"), None);
        ledger.push(entry("deploy", Some("prod"), "two", None));
        assert_eq!(moved(&ledger, "one").as_deref(), Some("two/irs"));
    }

    #[test]
    fn a_cluster_that_never_was_the_apps_is_no_place_of_first_use() {
        let app: AppName = "shop".parse().unwrap();
        let ledger = [entry("deploy", Some("prod"), "one", None)];
        assert_eq!(known_elsewhere(&ledger, &app, &at("one")), None);
        assert_eq!(known_elsewhere(&ledger, &app, &at("two")), Some(&at("one")));
        assert_eq!(known_elsewhere(&ledger, &"other".parse().unwrap(), &at("two")), None);
        assert!(elsewhere(&app, &at("one"), &at("two")).hint.unwrap().contains("hms policy accept"));
    }
}
