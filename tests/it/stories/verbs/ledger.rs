//! `hms ledger`: what it shows, and what it finds.

use super::World;

/// A world whose ledger has two refusals in it.
fn with_entries() -> World {
    let world = World::new("job:\n  script: 'true'\n");
    assert_eq!(world.hms(&["run", "--headless"]).code, Some(0));
    for _ in 0..2 {
        assert_eq!(world.hms(&["approve", "1", "job"]).code, Some(13));
    }
    world
}

#[test]
fn the_log_tells_who_did_what_and_verify_finds_any_change() {
    let world = with_entries();
    let log = world.hms(&["ledger", "log"]);
    let lines: Vec<&str> = log.out.lines().collect();
    assert_eq!(lines.len(), 3, "{log:?}");
    assert!(lines[0].contains("ledger.create #0") && lines[1].contains("refuse #1") && lines[1].contains("does not wait"), "{log:?}");
    assert!(world.hms(&["ledger", "log", "--env", "prod"]).out.is_empty());
    let json = world.hms(&["ledger", "log", "--output", "json"]);
    let first: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["format"], &first["unresolved"]), (&serde_json::json!(1), &serde_json::json!(false)));
    let said = world.hms(&["ledger", "verify"]);
    assert_eq!(said.code, Some(0), "{said:?}");

    let entries = world.state().join("ledger/entries");
    let good = std::fs::read(&entries).unwrap();
    for at in [0, good.len() / 2, good.len() - 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&entries, bad).unwrap();
        let said = world.hms(&["ledger", "verify"]);
        assert_eq!(said.code, Some(1), "byte {at}: {said:?}");
        assert!(said.out.lines().next().unwrap().starts_with(&format!("{}:", entries.display())), "{said:?}");
    }
    let cut = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    std::fs::write(&entries, &good[..cut]).unwrap();
    let said = world.hms(&["ledger", "verify", "--output", "json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(found["findings"].as_array().unwrap().iter().any(|one| one["what"].as_str().unwrap().contains("cut")), "{found}");
    // It cannot be read at all.
    std::fs::remove_file(&entries).unwrap();
    std::fs::create_dir(&entries).unwrap();
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(3));
}

#[test]
fn a_target_that_holds_a_later_head_shows_that_the_ledger_was_cut() {
    let world = with_entries();
    let head: serde_json::Value = serde_json::from_slice(&std::fs::read(world.state().join("ledger/head")).unwrap()).unwrap();
    let store = |size: u64| {
        let ledger = serde_json::json!({"id": head["id"], "size": size, "root": head["root"]});
        serde_json::json!({"format": 1, "environments": {"prod": {"record": {"ledger": ledger}, "fence": 1, "weight": 0.0}}}).to_string()
    };
    std::fs::create_dir_all(world.state().join("local/shop")).unwrap();
    let path = world.state().join("local/shop/store.json");
    std::fs::write(&path, store(head["size"].as_u64().unwrap())).unwrap();
    let said = world.hms(&["ledger", "verify"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("compared with the record at shop/prod on this machine"), "{said:?}");
    std::fs::write(&path, store(head["size"].as_u64().unwrap() + 1)).unwrap();
    let said = world.hms(&["ledger", "verify"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("shop/prod"), "{said:?}");
    std::fs::write(&path, "{").unwrap();
    let said = world.hms(&["ledger", "verify"]);
    assert!(said.code == Some(0) && said.out.contains("note: not compared with the record of shop"), "{said:?}");
    assert!(!world.state().join("local/shop/lock").exists(), "nothing was started");
}

/// The record at the target is the pin that lies elsewhere: damaged or gone it is a finding, never a pin less.
#[test]
fn a_record_at_the_target_that_cannot_be_compared_is_a_finding() {
    let world = with_entries();
    done_at_the_target(&world);
    let head: serde_json::Value = serde_json::from_slice(&std::fs::read(world.state().join("ledger/head")).unwrap()).unwrap();
    let ledger = serde_json::json!({"id": head["id"], "size": head["size"], "root": head["root"]});
    let store = |record: serde_json::Value| {
        serde_json::json!({"format": 1, "environments": {"prod": {"record": record, "fence": 1, "weight": 0.0}}}).to_string()
    };
    std::fs::create_dir_all(world.state().join("local/shop")).unwrap();
    let path = world.state().join("local/shop/store.json");
    let good = store(serde_json::json!({"ledger": ledger}));
    std::fs::write(&path, &good).unwrap();
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(0));
    for bad in ["{", &good.replace("\"ledger\"", "\"ledgeR\""), &good.replace("\"prod\"", "\"prof\""), &store(serde_json::Value::Null)] {
        std::fs::write(&path, bad).unwrap();
        let said = world.hms(&["ledger", "verify"]);
        assert!(said.code == Some(1) && said.out.contains("the record at shop/prod on this machine"), "{bad}: {said:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(1), "it is gone");
    std::fs::create_dir(&path).unwrap();
    let said = world.hms(&["ledger", "verify", "--output", "json"]);
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &found["sound"]), (Some(1), &serde_json::json!(false)), "it cannot be read: {said:?}");
}

/// What a verdict rested on is bound by its hash: a changed file is found, one that is not here is said.
#[test]
fn evidence_that_was_changed_is_found() {
    use hms::event::Actor;
    use hms::ledger::{Entry, Evidence, Ledger, LedgerPlaces, OnFault, Phase};
    let world = with_entries();
    let places = hms::store::Places { state: world.state(), runtime: world.path("runtime/hms"), data: world.path("home/.local/share/hms") };
    let actor = Actor { uid: 1, login: "n".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "test".to_owned() };
    let patience = std::time::Duration::from_secs(10);
    let mut ledger = Ledger::open(&LedgerPlaces::of(&places), &actor, patience, OnFault::Refuse, hms::store::now()).unwrap();
    let rollout = "01M8H8AAAAAAAAAAAAAAAAAAAA";
    let mut entry = Entry::new("approve", Phase::Note, actor);
    entry.app = Some("shop".parse().unwrap());
    entry.rollout = Some(rollout.parse().unwrap());
    let sha256 = hms::event::Digest::of(b"{}").hex().to_owned();
    entry.evidence = Some(Evidence { sha256, verdict: "PASS".to_owned() });
    ledger.append(entry, hms::store::now()).unwrap();
    drop(ledger);
    let said = world.hms(&["ledger", "verify"]);
    assert!(said.code == Some(0) && said.out.contains("1 entries cite evidence of rollouts that are not here"), "{said:?}");
    let folder = world.state().join("rollouts/shop").join(rollout);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("evidence-1.json"), "{}").unwrap();
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(0));
    // A journal that cannot be read is nothing compared.
    std::fs::write(folder.join("journal"), "no event\nnor this\n").unwrap();
    let said = world.hms(&["ledger", "verify"]);
    assert!(said.code == Some(1) && said.out.contains("cannot be compared") && !said.out.contains("not here"), "{said:?}");
    std::fs::remove_file(folder.join("journal")).unwrap();
    std::fs::write(folder.join("evidence-1.json"), "{ }").unwrap();
    let said = world.hms(&["ledger", "verify"]);
    assert!(said.code == Some(1) && said.out.contains("changed or removed"), "{said:?}");
}

/// Enters that a release got all traffic of this machine's `prod`.
fn done_at_the_target(world: &World) {
    use hms::event::{Actor, TargetIdentity};
    use hms::ledger::{Entry, Ledger, LedgerPlaces, OnFault, Phase};
    let places = hms::store::Places { state: world.state(), runtime: world.path("runtime/hms"), data: world.path("home/.local/share/hms") };
    let actor = Actor { uid: 1, login: "n".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "test".to_owned() };
    let patience = std::time::Duration::from_secs(10);
    let mut ledger = Ledger::open(&LedgerPlaces::of(&places), &actor, patience, OnFault::Refuse, hms::store::now()).unwrap();
    let mut entry = Entry::new("promote", Phase::Intent, actor.clone());
    entry.app = Some("shop".parse().unwrap());
    entry.environment = Some("prod".parse().unwrap());
    entry.target = Some(TargetIdentity { kind: "local".to_owned(), id: "here".to_owned(), name: "this machine".to_owned() });
    let intent = ledger.append(entry.clone(), hms::store::now()).unwrap();
    let id = Entry::new("promote", Phase::Outcome, actor).id;
    let outcome = Entry { id, phase: Phase::Outcome, intent_seq: Some(intent), outcome: Some("done".to_owned()), ..entry };
    ledger.append(outcome, hms::store::now()).unwrap();
}

#[test]
fn a_new_ledger_is_begun_only_where_one_is_gone() {
    let world = with_entries();
    let said = world.hms(&["ledger", "new", "--reason", "because"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    std::fs::remove_dir_all(world.state().join("ledger")).unwrap();
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(1), "a pin says that there was one");
    let said = world.hms(&["ledger", "new", "--reason", "the disk died"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let log = world.hms(&["ledger", "log"]);
    assert!(log.out.contains("follows ") && log.out.contains("“the disk died”"), "{log:?}");
}

#[test]
fn an_intent_without_an_end_is_shown_as_unresolved() {
    use hms::event::Actor;
    use hms::ledger::{Entry, Ledger, LedgerPlaces, OnFault, Phase};
    let world = with_entries();
    let places = hms::store::Places { state: world.state(), runtime: world.path("runtime/hms"), data: world.path("home/.local/share/hms") };
    let actor = Actor { uid: 1, login: "n".to_owned(), host: "h".to_owned(), tty: None, ssh_client: None, via: "test".to_owned() };
    let mut ledger =
        Ledger::open(&LedgerPlaces::of(&places), &actor, std::time::Duration::from_secs(10), OnFault::Refuse, hms::store::now()).unwrap();
    let mut entry = Entry::new("deploy", Phase::Intent, actor);
    entry.environment = Some("prod".parse().unwrap());
    ledger.append(entry, hms::store::now()).unwrap();
    drop(ledger);
    let log = world.hms(&["ledger", "log", "--env", "prod"]);
    assert!(log.out.contains("UNRESOLVED"), "{log:?}");
    assert_eq!(world.hms(&["ledger", "verify"]).code, Some(0));
    let doctor = world.hms(&["doctor"]);
    assert!(doctor.out.contains("begun and not ended"), "{doctor:?}");
}
