//! Who says yes, to what, and what makes a yes void.

use std::time::Duration;

use hms::event::{Actor, Command, Facts, VerdictClass};
use hms::run::control::{ControlRequest, Reply, command};

use super::world::{World, pipeline};

fn ask(world: &World, what: Command, actor: Actor) -> Reply {
    let socket = world.engine("1").expect("an engine").socket.expect("its socket");
    let request = ControlRequest { id: ulid::Ulid::generate().to_string(), actor, command: what };
    command(&socket, &request, Duration::from_secs(10)).unwrap().expect("an answer")
}

fn somebody_else() -> Actor {
    Actor { uid: 4711, login: "ada".to_owned(), host: "elsewhere".to_owned(), tty: None, ssh_client: None, via: "test".to_owned() }
}

fn approve(facts: Facts) -> Command {
    Command::Approve { job: "prod".parse().unwrap(), facts, reason: None, variables: std::collections::BTreeMap::new() }
}

#[track_caller]
fn refusal(reply: Reply) -> String {
    let Reply::Refused { refusal } = reply else { panic!("not refused: {reply:?}") };
    refusal.message
}

#[test]
fn a_yes_counts_once_and_names_what_it_rests_on() {
    let world = World::new(&pipeline(&[("approvals: 0", "approvals: 1")]));
    let users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let digest = |text: &str| Some(hms::event::Digest::of(text.as_bytes()));
    let stale = [
        (Facts { candidate: digest("x"), ..Facts::default() }, "the release is "),
        (Facts { current: digest("x"), ..Facts::default() }, "the environment holds none now"),
        (Facts { policy_hash: digest("x"), ..Facts::default() }, "the policy in force is "),
        (Facts { verdict: Some(VerdictClass::Hold), ..Facts::default() }, "the verdict is PASS now, not HOLD"),
    ];
    for (facts, first) in stale {
        let told = refusal(ask(&world, approve(facts), somebody_else()));
        assert!(told.starts_with(first), "{told}");
    }
    let refused = world.entries("refuse").len();
    assert_eq!(refused, 4, "each refusal is in the ledger");
    let said = world.hms_ends(13, &["approve", "1", "prod", "--variable", "MORE=--supersede"]);
    assert!(said.err.contains("each must say yes to the same"), "{said:#?}");
    let said = world.hms_ends(0, &["approve", "1", "prod"]);
    assert!(said.out.contains("1 more yes"), "{said:#?}");
    let waiting = world.status("1")["waiting"].clone();
    assert_eq!(waiting[0]["yeses"].as_array().unwrap().len(), 1, "{waiting:#}");
    let said = world.hms_ends(13, &["approve", "1", "prod"]);
    assert!(said.err.contains("has said yes already"), "{said:#?}");
    // Who asks is what the kernel says, not what the request says.
    let told = refusal(ask(&world, approve(Facts::default()), somebody_else()));
    assert!(told.contains("has said yes already"), "{told}");
    assert_eq!(world.job("1", "prod")["status"], "manual");
    drop(users);
}

#[test]
fn another_artifact_is_another_release_and_needs_its_own_verdict_and_yes() {
    let counts = world_file("count");
    let build = format!("script: echo x >> {counts}; mkdir -p dist && cp {counts} dist/n &&");
    let world = World::new(&pipeline(&[("script: mkdir -p dist &&", &build)]));
    let _users = world.users();
    world.hms_ends(10, &["run", "--headless"]);
    let first = world.status("1")["release"]["digest"].clone();
    world.hms_ends(10, &["retry", "1", "build", "--wait"]);
    // A yes to what was judged is none to what is there now: production takes neither.
    let said = world.hms_ends(13, &["approve", "1", "prod", "--wait"]);
    assert!(said.out.contains("▶ PROD   ✘ refused") && said.out.contains("is not this release"), "{said:#?}");
    assert!(world.store()["environments"]["prod"]["stable"].is_null());
    // The new bytes are scanned and judged, and wait for a yes of their own.
    for job in ["scan", "canary"] {
        world.hms_ends(13, &["retry", "1", job, "--wait"]);
        assert_eq!(world.job("1", job)["status"], "success");
    }
    world.hms_ends(10, &["retry", "1", "prod", "--wait"]);
    let second = world.status("1")["release"]["digest"].clone();
    assert_ne!(first, second);
    world.approve("1");
    assert_eq!(world.store()["environments"]["prod"]["record"]["current"]["digest"], second);
    let _ = std::fs::remove_file(counts);
}

/// A file outside of every world, because a world's place is not known before its pipeline.
fn world_file(name: &str) -> String {
    std::env::temp_dir().join(format!("hms-{name}-{}", ulid::Ulid::generate())).display().to_string()
}
