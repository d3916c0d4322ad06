//! `when: delayed`: scheduled, started when its time has come by whichever engine lives then, or at once by a person.

use super::{World, kill, wait_for};

fn world(start_in: &str) -> World {
    let world = World::new("x:\n  script: 'true'\n");
    let said = world.path("said");
    let pipeline = format!(
        "first:\n  stage: build\n  script: echo first >> {0}\nlater:\n  when: delayed\n  start_in: {start_in}\n  script: echo later >> {0}\n\
         after:\n  stage: deploy\n  script: echo after >> {0}\n",
        said.display()
    );
    world.commit(&pipeline, "two");
    world
}

fn scheduled(world: &World) -> serde_json::Value {
    wait_for("the job to be scheduled", || Some(world.job("1", "later")).filter(|job| job["status"] == "scheduled"))
}

/// The times that the journal gives to the job.
fn times(world: &World) -> Vec<String> {
    let journal = std::fs::read_to_string(world.run_folder(1).join("journal")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["type"] == "JobScheduled").map(|event| event["at"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_delayed_job_waits_and_what_comes_after_it_waits_too() {
    let world = world("1 second");
    let said = world.hms(&["run", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("▶ LATER  … starts by itself at "), "{said:?}");
    assert_eq!(world.read("said"), "first\nlater\nafter\n");
    assert_eq!(times(&world).len(), 1);
}

#[test]
fn its_time_outlives_a_killed_engine() {
    let world = world("2 seconds");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    let job = scheduled(&world);
    assert!(job["starts_at"].is_string() && job["why"].as_str().unwrap().starts_with("starts by itself at"), "{job}");
    kill(&World::holder(&world.run_folder(1).join("lock")).unwrap());
    assert_eq!(world.read("said"), "first\n");
    let said = world.hms(&["run", "--resume", "1", "--headless"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "first\nlater\nafter\n");
    assert_eq!(times(&world).len(), 1, "the next engine waits for the same time");
}

#[test]
fn a_person_starts_it_at_once() {
    let world = world("1 week");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    scheduled(&world);
    let said = world.hms(&["approve", "1", "later", "--wait"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(world.read("said"), "first\nlater\nafter\n");
    assert_eq!(world.hms(&["approve", "1", "later"]).code, Some(13));
}

#[test]
fn a_cancel_does_away_with_it() {
    let world = world("1 week");
    assert_eq!(world.hms(&["run", "--detach"]).code, Some(0));
    scheduled(&world);
    let said = world.hms(&["cancel", "1", "--wait"]);
    assert_eq!(said.code, Some(130), "{said:?}");
    assert_eq!((world.job("1", "later")["status"].as_str(), world.read("said").as_str()), (Some("skipped"), "first\n"));
    assert!(world.job("1", "later")["starts_at"].is_null());
}
