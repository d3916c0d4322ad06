//! The local target: the contract, and what becomes of it when its processes are killed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hms::deploy::local::LocalTarget;
use hms::deploy::{ArmName, Effect, Health, ReleaseRecord, Target, TargetError};
use hms::event::{Digest, Drift, ReleaseRef, Weight};
use hms::store::{Signal, is_alive, send_signal};
use serde_json::json;

use super::contract::{Stage, Standby, all};
use super::world::{HMS, World, app, arm, prod, quiet, record, run, start, until, weight};

impl Stage for World {
    type Target = LocalTarget;
    const STANDBY: Standby = Standby::Warm;

    fn target(&self) -> &LocalTarget {
        &self.target
    }

    fn good(&self, name: &str) -> (ReleaseRecord, PathBuf) {
        let tree = self.tree(&[("service.json", &json!({ "version": name }).to_string())]);
        (record(&tree, Some(&format!("exec {HMS} demo-service service.json"))), tree)
    }

    fn bad(&self) -> (ReleaseRecord, PathBuf) {
        let tree = self.tree(&[("package.json", r#"{"scripts":{"start":"echo the variable X is missing; exit 4"}}"#)]);
        (record(&tree, None), tree)
    }

    fn silent(&self) -> (ReleaseRecord, PathBuf) {
        let tree = self.tree(&[("silent", "")]);
        (record(&tree, Some("sleep 300")), tree)
    }
}

#[test]
fn the_contract_is_kept() {
    run(all(World::new));
}

/// Whoever waits for a start hears what it waits for, not the end alone.
#[test]
fn a_start_that_takes_long_is_told_of_meanwhile() {
    run(async {
        let world = World::new();
        let slow = world.place(&[("slow", "")], Some("echo waiting for the database; sleep 300")).await;
        let told = std::sync::Mutex::new(Vec::new());
        let effect = Effect::Start { release: slow, arm: ArmName::Canary, timeout_ms: 7_000 };
        let late = world.target.apply(&prod(), 1, &effect, &|line| told.lock().unwrap().push(line)).await.unwrap_err();
        assert!(matches!(&late, TargetError::StartFailed { reason, .. } if reason.contains("not healthy in time")), "{late}");
        let told = told.into_inner().unwrap();
        let news = told.iter().any(|line| line.contains("does not answer after 5 s") && line.ends_with("waiting for the database"));
        assert!(news, "{told:#?}");
    });
}

#[test]
fn reading_an_app_that_was_never_deployed_starts_nothing() {
    run(async {
        let world = World::new();
        assert_eq!(world.target.record(&prod()).await.unwrap().version, 0);
        assert_eq!(world.target.observe(&prod()).await.unwrap().arms, []);
        assert_eq!(world.target.status().await.unwrap().supervisor, None);
        assert!(world.supervisor().is_none());
        let identity = world.target.identity().await.unwrap();
        assert_eq!((identity.kind.as_str(), identity.name.as_str()), ("local", "this machine"));
        assert_ne!(identity.id, World::new().target.identity().await.unwrap().id, "two places share an identity");
    });
}

#[test]
fn a_supervisor_keeps_nothing_open_of_whoever_started_it() {
    run(async {
        let world = World::new();
        let held = world.folder.path().join("held");
        let file = std::fs::File::create(&held).unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        world.target.put_record(world.target.record(&prod()).await.unwrap()).await.unwrap();
        let folder = format!("/proc/{}/fd", world.supervisor().unwrap().process.pid);
        let open: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap()).collect();
        assert!(open.iter().any(|path| path.ends_with("lock")) && !open.contains(&held), "{open:?}");
    });
}

#[test]
fn a_killed_supervisor_is_started_again_and_adopts_what_lives() {
    run(async {
        let world = World::new();
        let (one, two) = (world.service(json!({"version": "one"})).await, world.service(json!({"version": "two"})).await);
        let address = world.stable_and_canary(&one, &two).await;
        world.apply(1, Effect::Weigh { weight: weight("50%") }).await.unwrap();
        let before = (world.process_of(&one).await.unwrap(), world.process_of(&two).await.unwrap());
        let first = world.supervisor().unwrap();
        send_signal(&first.process, Signal::Kill).unwrap();
        until("the supervisor is dead", async || !is_alive(&first.process)).await;
        assert!(is_alive(&before.0) && is_alive(&before.1), "a release died with its supervisor");

        let observed = world.target.observe(&prod()).await.unwrap();
        assert_eq!((observed.weight, observed.address.as_ref()), (weight("50%"), Some(&address)));
        assert!(observed.arms.iter().all(|arm| arm.health == Health::Healthy && arm.restarts == 0), "{observed:?}");
        assert_eq!((world.process_of(&one).await.unwrap(), world.process_of(&two).await.unwrap()), before);
        assert_ne!(world.supervisor().unwrap().process, first.process);
        until("the proxy answers again", async || get(&address, "/").await.is_ok_and(|(status, _)| status == 200)).await;
        let status = world.target.status().await.unwrap();
        assert_eq!(status.happenings.iter().filter(|happening| happening.text.contains("adopted")).count(), 2, "{status:?}");

        // An adopted release is watched, and its end is seen.
        send_signal(&before.0, Signal::Kill).unwrap();
        until("the adopted release is started again", async || {
            let arms = world.target.observe(&prod()).await.unwrap().arms;
            arm(&arms, ArmName::Stable).is_some_and(|arm| arm.restarts == 1 && arm.health == Health::Healthy)
        })
        .await;
    });
}

#[test]
fn what_died_with_the_supervisor_is_started_again_and_unfinished_starts_are_ended() {
    run(async {
        let world = World::new();
        let one = world.service(json!({"version": "one"})).await;
        world.start(1, &one, ArmName::Canary).await;
        let silent = world.place(&[("silent", "")], Some("sleep 300")).await;
        let target = world.target.clone();
        let stuck = tokio::spawn(async move {
            let effect = Effect::Start { release: silent, arm: ArmName::Standby, timeout_ms: 60_000 };
            target.apply(&prod(), 1, &effect, &quiet).await
        });
        until("the start is under way", async || world.target.observe(&prod()).await.unwrap().arms.len() == 2).await;
        until("both run", async || world.started().len() >= 2).await;
        let first = world.supervisor().unwrap().process;
        let started = world.started();
        let release = world.process_of(&one).await.unwrap();
        send_signal(&first, Signal::Kill).unwrap();
        send_signal(&release, Signal::Kill).unwrap();
        until("both are dead", async || !is_alive(&first) && !is_alive(&release)).await;
        until("the release is started again", async || {
            let arms = world.target.observe(&prod()).await.unwrap().arms;
            arm(&arms, ArmName::Canary).is_some_and(|arm| arm.restarts == 1 && arm.health == Health::Healthy)
        })
        .await;
        // The client asks once more when its supervisor dies, so the stuck start may have begun anew: its first process is gone.
        until("the old start's process is ended", async || started.iter().all(|process| !is_alive(process))).await;
        // A later fence ends the start that the client asked for once more, and so the client.
        world.apply(2, Effect::Withdraw).await.unwrap();
        assert!(stuck.await.unwrap().is_err());
    });
}

#[test]
fn a_killed_release_is_started_again_after_longer_and_longer_waits() {
    run(async {
        let world = World::new();
        let one = world.service(json!({"version": "one"})).await;
        world.start(1, &one, ArmName::Canary).await;
        let mut waits = Vec::new();
        for restarts in 1..=2 {
            let process = world.process_of(&one).await.unwrap();
            let since = Instant::now();
            send_signal(&process, Signal::Kill).unwrap();
            until("its end is seen", async || {
                let arms = world.target.observe(&prod()).await.unwrap().arms;
                arms[0].restarts == restarts || matches!(&arms[0].health, Health::Failing { reason, .. } if reason.contains("signal 9"))
            })
            .await;
            until("it is started again", async || {
                let arms = world.target.observe(&prod()).await.unwrap().arms;
                arms[0].restarts == restarts && arms[0].health == Health::Healthy
            })
            .await;
            waits.push(since.elapsed());
        }
        assert!(waits[0] >= Duration::from_millis(500) && waits[1] >= Duration::from_secs(1), "{waits:?}");
    });
}

#[test]
fn stop_ends_everything_and_a_deploy_brings_it_back_where_it_was() {
    run(async {
        let world = World::new();
        let one = world.service(json!({"version": "one"})).await;
        world.start(1, &one, ArmName::Canary).await;
        let address = world.apply(1, Effect::Promote { release: one.clone() }).await.unwrap().observation.address;
        assert!(world.target.stop(&quiet).await.unwrap());
        assert!(!world.target.stop(&quiet).await.unwrap());
        assert_eq!(world.started(), []);
        let status = world.target.status().await.unwrap();
        assert!(status.stopped && status.supervisor.is_none());
        assert_eq!(world.target.observe(&prod()).await.unwrap().arms, []);
        assert!(world.supervisor().is_none(), "reading started what a person stopped");

        let two = world.service(json!({"version": "two"})).await;
        let observed = world.start(2, &two, ArmName::Canary).await.observation;
        assert_eq!(observed.address, address);
        until("stable is back", async || {
            let arms = world.target.observe(&prod()).await.unwrap().arms;
            arm(&arms, ArmName::Stable).is_some_and(|arm| arm.release == one && arm.health == Health::Healthy)
        })
        .await;
        assert!(world.target.stop(&quiet).await.unwrap());
    });
}

#[test]
fn a_taken_port_is_passed_over_once_and_waited_for_afterwards() {
    run(async {
        let world = World::new();
        let taken = (20_000..32_000).find_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
        let first = taken.local_addr().unwrap();
        let target = LocalTarget::open(&world.places, &app(), HMS.as_ref()).listening_at(first);
        let one = world.service(json!({"version": "one"})).await;
        let observed = target.apply(&prod(), 1, &start(&one, ArmName::Canary), &quiet).await.unwrap().observation;
        let address = observed.address.unwrap();
        assert_ne!(address, format!("http://{first}"));
        let told = target.status().await.unwrap().happenings;
        assert!(told.iter().any(|happening| happening.text.contains("is taken")), "{told:?}");

        let supervisor = world.supervisor().unwrap().process;
        send_signal(&supervisor, Signal::Kill).unwrap();
        until("the supervisor is dead", async || !is_alive(&supervisor)).await;
        let squatter = loop {
            match std::net::TcpListener::bind(address.trim_start_matches("http://")) {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        assert_eq!(target.observe(&prod()).await.unwrap().address, Some(address.clone()));
        until("it says that it waits", async || {
            target.status().await.unwrap().happenings.iter().any(|happening| happening.text.contains("waiting for"))
        })
        .await;
        assert!(!target.status().await.unwrap().environments[0].listening);
        drop(squatter);
        until("it listens there again", async || target.status().await.unwrap().environments[0].listening).await;
    });
}

#[test]
fn a_static_release_is_served_and_a_changed_one_is_not_started() {
    run(async {
        let world = World::new();
        let site = world.place(&[("dist/index.html", "<h1>hello</h1>"), ("dist/a.css", "x{}")], None).await;
        world.start(1, &site, ArmName::Canary).await;
        let applied = world.apply(1, Effect::Weigh { weight: Weight::FULL }).await.unwrap();
        let address = applied.observation.address.unwrap();
        assert_eq!(get(&address, "/").await.unwrap(), (200, "<h1>hello</h1>".to_owned()));
        assert_eq!(get(&address, "/../record.json").await.unwrap().0, 404);

        let one = world.service(json!({"version": "one"})).await;
        std::fs::write(world.app_folder().join("releases").join(one.hex()).join("tree/service.json"), "changed").unwrap();
        for error in [world.target.placed(&one).await.unwrap_err(), world.apply(1, start(&one, ArmName::Standby)).await.unwrap_err()] {
            assert!(matches!(&error, TargetError::ReleaseMissing { why, .. } if why.contains("changed")), "{error}");
        }
        // Placing it again puts it right.
        assert_eq!(world.service(json!({"version": "one"})).await, one);
        world.start(1, &one, ArmName::Standby).await;
    });
}

#[test]
fn a_release_may_write_beside_itself_and_stays_what_its_digest_says() {
    run(async {
        let world = World::new();
        let service = json!({"version": "one"}).to_string();
        let start = format!("echo more >> service.log; exec {HMS} demo-service service.json");
        let one = world.place(&[("service.json", &service), ("service.log", "")], Some(&start)).await;
        world.start(1, &one, ArmName::Canary).await;
        assert!(world.target.placed(&one).await.unwrap().is_some());
        world.apply(1, Effect::Withdraw).await.unwrap();
        until("its folder is removed", async || std::fs::read_dir(world.app_folder().join("work")).unwrap().count() == 0).await;
        assert_eq!(world.started(), []);
    });
}

#[test]
fn a_store_that_cannot_be_written_stops_forward_effects_and_no_return() {
    run(async {
        let world = World::new();
        let (one, two) = (world.service(json!({"version": "one"})).await, world.service(json!({"version": "two"})).await);
        world.stable_and_canary(&one, &two).await;
        world.apply(1, Effect::Weigh { weight: weight("10%") }).await.unwrap();
        // A folder where the new store would be written stands for a full disk; this holds for root too.
        let supervisor = world.supervisor().unwrap().process.pid;
        let block = world.app_folder().join(format!("store.json.{supervisor}.new"));
        std::fs::create_dir(&block).unwrap();
        std::fs::write(block.join("full"), "").unwrap();
        let error = world.apply(1, Effect::Weigh { weight: weight("50%") }).await.unwrap_err();
        assert!(matches!(error, TargetError::Unreachable { .. }), "{error}");
        assert!(matches!(world.target.put_record(world.target.record(&prod()).await.unwrap()).await, Err(TargetError::Unreachable { .. })));
        assert_eq!(world.target.observe(&prod()).await.unwrap().weight, weight("10%"));
        let applied = world.apply(2, Effect::Withdraw).await.unwrap();
        assert_eq!(applied.weight, Weight::ZERO);
        // The record of what is in force already is held until it can be stored, and no write that fails after it takes it away.
        let mut record = world.target.record(&prod()).await.unwrap();
        record.unrecorded = vec![json!({"type": "rollback"})];
        let held = world.target.hold_record(record.clone()).await.unwrap();
        assert!(held.unwritten.is_some() && held.record.version == 1, "{held:?}");
        assert!(matches!(world.target.hold_record(record).await, Err(TargetError::Conflict { found: 1, .. })));
        assert!(matches!(world.target.put_record(held.record.clone()).await, Err(TargetError::Unreachable { .. })));
        assert_eq!(world.target.record(&prod()).await.unwrap(), held.record);
        assert!(world.target.status().await.unwrap().unpersisted.is_some());
        std::fs::remove_dir_all(&block).unwrap();
        until("it is written down", async || world.target.status().await.unwrap().unpersisted.is_none()).await;
        assert_eq!(world.target.put_record(world.target.record(&prod()).await.unwrap()).await.unwrap().version, 2);
        let stored: serde_json::Value = serde_json::from_slice(&std::fs::read(world.app_folder().join("store.json")).unwrap()).unwrap();
        assert_eq!(stored["environments"]["prod"]["record"]["unrecorded"], json!([{"type": "rollback"}]));
    });
}

#[test]
fn a_node_package_is_started_as_npm_would() {
    run(async {
        if std::process::Command::new("node").arg("--version").output().is_err() {
            println!("skipped: there is no node on PATH");
            return;
        }
        let world = World::new();
        let server = "require('http').createServer((_, answer) => answer.end(`${process.env.npm_package_name} ${process.env.HMS_TAG}`))\
                      .listen(process.env.PORT, process.env.HOST)";
        let package = r#"{"name":"shop","scripts":{"prestart":"test -n \"$PORT\"","start":"serve"}}"#;
        let program = "#!/bin/sh\nexec node server.js\n";
        let files = [("package.json", package), ("server.js", server), ("node_modules/.bin/serve", program)];
        let release = world.place(&files, None).await;
        world.start(1, &release, ArmName::Canary).await;
        let address = world.apply(1, Effect::Weigh { weight: Weight::FULL }).await.unwrap().observation.address.unwrap();
        assert_eq!(get(&address, "/").await.unwrap(), (200, "shop v1".to_owned()));
    });
}

/// One request on a connection of its own: status and body.
pub(super) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = address.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(host).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    Ok((head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0), body.to_owned()))
}

/// Is started by the test below, as what a job would start: a client that leaves out every check of its own.
#[test]
#[ignore = "a child of another test"]
fn a_client_in_a_job() {
    let at = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let places = hms::store::Places { state: at("TEST_STATE"), runtime: at("TEST_RUNTIME"), data: at("TEST_DATA") };
    let target = LocalTarget::open(&places, &app(), std::path::Path::new(HMS));
    run(async {
        let record = target.record(&prod()).await.unwrap();
        let put = target.put_record(record).await.unwrap_err();
        assert!(matches!(&put, TargetError::NotPossible { reason } if reason.contains("inside a run")), "{put}");
        let weigh = target.apply(&prod(), 9, &Effect::Weigh { weight: Weight::ZERO }, &quiet).await.unwrap_err();
        assert!(matches!(&weigh, TargetError::NotPossible { reason } if reason.contains("inside a run")), "{weigh}");
        let stop = target.stop(&quiet).await.unwrap_err();
        assert!(matches!(&stop, TargetError::NotPossible { reason } if reason.contains("inside a run")), "{stop}");
    });
}

#[test]
fn the_supervisor_itself_takes_nothing_of_a_job() {
    run(async {
        let world = World::new();
        let release = world.service(json!({"version": "one"})).await;
        world.start(1, &release, ArmName::Canary).await;
        world.apply(1, Effect::Promote { release: release.clone() }).await.unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "deploy::local::a_client_in_a_job", "--ignored", "--nocapture"]);
        child.env("TEST_STATE", &world.places.state).env("TEST_RUNTIME", &world.places.runtime).env("TEST_DATA", &world.places.data);
        child.env("HMS_ATTEMPT_0123", hms::store::mark_value(&world.places.state));
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        assert!(world.supervisor().is_some());
        let status = world.target.status().await.unwrap();
        assert_eq!(status.happenings.iter().filter(|one| one.text.starts_with("refused: ")).count(), 3, "{:?}", status.happenings);
        assert!(world.process_of(&release).await.is_some());
    });
}

#[test]
fn a_supervisor_that_a_signal_stopped_is_named_at_once() {
    run(async {
        let world = World::new();
        let release = world.service(json!({"version": "one"})).await;
        world.start(1, &release, ArmName::Canary).await;
        world.apply(1, Effect::Promote { release: release.clone() }).await.unwrap();
        assert_eq!(world.target.halted().unwrap(), None);
        let supervisor = world.supervisor().unwrap().process;
        let stopped = || hms::store::is_stopped(&supervisor);
        let kill = |signal: &str| std::process::Command::new("kill").args([signal, &supervisor.pid.to_string()]).status().unwrap();
        assert!(kill("-STOP").success());
        until("the supervisor to be stopped", async || stopped()).await;
        let error = world.apply(2, Effect::Withdraw).await.unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", supervisor.pid)) && error.contains("kill -CONT"), "{error}");
        assert_eq!(world.target.halted().unwrap(), Some(supervisor.clone()));
        // What it wrote down last can be read.
        let status = world.target.clone().from_store().status().await.unwrap();
        assert_eq!(status.environments[0].environment, prod());
        assert!(kill("-CONT").success());
        until("the supervisor to go on", async || !stopped()).await;
        assert!(world.apply(2, Effect::Withdraw).await.is_ok());
    });
}

/// A record that says which release is there, as the driver writes it.
async fn recorded(world: &World, release: &Digest) {
    let mut record = world.target.record(&prod()).await.unwrap();
    let tag = "v1".to_owned();
    record.current = Some(ReleaseRef { digest: release.clone(), revision: None, tag, tag_object: None, run: None });
    record.fence += 1;
    world.target.put_record(record).await.unwrap();
}

#[test]
fn what_runs_beside_the_record_is_told_and_what_was_adopted_is_not() {
    run(async {
        let world = World::new();
        let (one, two) = (world.service(json!({"version": "one"})).await, world.service(json!({"version": "two"})).await);
        world.start(1, &one, ArmName::Canary).await;
        world.apply(1, Effect::Promote { release: one.clone() }).await.unwrap();
        let drift = async || world.target.drift(&prod()).await.unwrap();
        assert_eq!(drift().await, [], "nothing was recorded: that is adopted, and no drift");
        recorded(&world, &one).await;
        assert_eq!(drift().await, []);

        // Somebody gives the traffic to another release past hms, and leaves it beside a canary.
        world.start(2, &two, ArmName::Standby).await;
        world.apply(2, Effect::Return { release: two.clone() }).await.unwrap();
        assert_eq!(drift().await, [Drift::Stable { recorded: one.clone(), found: Some(two.clone()) }]);
        world.start(2, &one, ArmName::Canary).await;
        world.apply(2, Effect::Weigh { weight: weight("5%") }).await.unwrap();
        let canary = Drift::Canary { found: Some(one.clone()), weight: weight("5%") };
        assert_eq!(drift().await, [Drift::Stable { recorded: one.clone(), found: Some(two.clone()) }, canary]);
        world.apply(2, Effect::Withdraw).await.unwrap();

        recorded(&world, &two).await;
        assert_eq!(drift().await, []);
        let file = world.app_folder().join("releases").join(two.hex()).join("tree/service.json");
        std::fs::write(&file, "{}").unwrap();
        let found = drift().await;
        let [Drift::Changed { release, what }] = found.as_slice() else { panic!("{found:?}") };
        assert!(*release == two && what.starts_with("its bytes were changed: they are sha256:"), "{what}");
        assert_eq!(drift().await, found, "the same at each look");
        let mut record = world.target.record(&prod()).await.unwrap();
        record.adopted.clone_from(&found);
        world.target.put_record(record).await.unwrap();
        assert_eq!(drift().await, []);

        world.target.stop(&|_| ()).await.unwrap();
        assert_eq!(drift().await, [], "a target that a person stopped");
    });
}
