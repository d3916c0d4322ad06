//! The walk over the table: dies at the point, looks at the truth, and goes on or back with one command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use hms::rollout::CrashPoint;
use hms::run::reader::EngineLife;

use super::table::{Act, ROWS, Row};
use super::traffic::WITHIN;
use super::world::{World, wait_for};

/// How many worlds live at once: they mostly wait for bake times.
const AT_ONCE: usize = 6;

/// Which of the two ways a walk takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    On,
    Back,
}

/// Everything when `HMS_CRASH_WALK` is `all`, else what takes a bearable time: each point of the first release and of the clean-up,
/// and each effect on and back. `HMS_CRASH_ONLY` takes those whose name has that text in it.
fn walks() -> Vec<(Row, Way)> {
    let all = std::env::var_os("HMS_CRASH_WALK").is_some_and(|value| value == "all");
    let only = std::env::var("HMS_CRASH_ONLY").ok();
    let ways = ROWS.iter().flat_map(|row| [(*row, Way::On), (*row, Way::Back)]);
    ways.filter(|(row, way)| *way == Way::On || row.act.revert(row.newest).is_some())
        .filter(|(row, way)| all || is_representative(row, *way))
        .filter(|(row, way)| only.as_ref().is_none_or(|only| name(row, *way).contains(only.as_str())))
        .collect()
}

fn is_representative(row: &Row, way: Way) -> bool {
    let point = row.point;
    match row.act {
        Act::FirstCanary | Act::FirstPromotion | Act::Fourth => way == Way::On,
        Act::Canary => matches!((point, way), (CrashPoint::BeforeWeigh, Way::Back) | (CrashPoint::AfterWeigh, Way::On)),
        Act::Alone => point == CrashPoint::AfterPromote && way == Way::On,
        Act::Promotion => matches!((point, way), (CrashPoint::BeforePromote, Way::On) | (CrashPoint::AfterPromote, Way::Back)),
        Act::Leave => matches!((point, way), (CrashPoint::BeforeWithdraw, Way::On) | (CrashPoint::AfterWithdraw, Way::Back)),
        Act::Rollback => matches!(point, CrashPoint::BeforeReturn | CrashPoint::AfterReturn),
    }
}

fn name(row: &Row, way: Way) -> String {
    format!("{:?} {} {way:?}", row.act, row.point.name())
}

#[test]
fn at_every_point_the_truth_is_told_and_one_command_goes_on_or_back() {
    let left = Mutex::new(walks());
    let failed: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((row, way)) = left.lock().unwrap().pop() else { return };
                    let began = std::time::Instant::now();
                    let walked = catch_unwind(AssertUnwindSafe(|| walk(&row, way)));
                    eprintln!("{} {:?}", name(&row, way), began.elapsed());
                    if let Err(why) = walked {
                        let why = why.downcast_ref::<String>().cloned().or_else(|| why.downcast_ref::<&str>().map(ToString::to_string));
                        failed.lock().unwrap().push(format!("{}: {}", name(&row, way), why.unwrap_or_default()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} walks failed:\n{}", failed.len(), failed.join("\n\n"));
}

fn walk(row: &Row, way: Way) {
    let mut world = World::new(row.act.shape());
    die(&world, row);
    truth(&world, row);
    match way {
        Way::On => on(&world, row),
        Way::Back => back(&world, row),
    }
    world.ledger_verifies();
    let jobs = if row.act == Act::Fourth { ["build", "prod"] } else { ["build", "canary"] };
    for job in jobs {
        assert_eq!(world.count(job, row.act.run()), 1, "{job} did not run just once");
    }
    world.nobody_noticed();
}

/// Brings the world to the act and has the process die in it.
fn die(world: &World, row: &Row) {
    let point = Some(row.point.name());
    let shape = row.act.shape();
    let run = row.act.run();
    match row.act {
        Act::FirstCanary => {
            world.commit("1");
            world.hms_dying_at(point, &["run", "--detach"]).code(0);
        }
        Act::FirstPromotion => {
            world.commit("1");
            world.hms(&["run", "--headless", "--no-linger"]).code(10);
            world.hms_dying_at(point, &["approve", "1", "prod"]).code(0);
        }
        Act::Canary => {
            world.release("1", "1", shape);
            world.commit("2");
            world.hms_dying_at(point, &["run", "--detach"]).code(0);
        }
        Act::Promotion => {
            world.release("1", "1", shape);
            world.commit("2");
            world.hms(&["run", "--headless", "--no-linger"]).code(10);
            world.hms_dying_at(point, &["approve", "2", "prod"]).code(0);
        }
        Act::Alone => {
            world.release("1", "1", shape);
            world.commit("2");
            world.hms(&["run", "--headless", "--no-linger"]).code(10);
            assert!(wait_for(|| world.run(run).1 == EngineLife::Parked), "it does not park: {}", world.engine_log(run));
            let promote = ["hms-deploy", "--env", "prod", "--promote", &world.candidate(), "--app", "shop"];
            assert_eq!(world.hms_dying_at(point, &promote).code, None, "it was not killed");
            return;
        }
        Act::Leave => {
            world.release("1", "1", shape);
            world.commit("2");
            world.hms_dying_at(point, &["run", "--detach", "--no-linger"]).code(0);
        }
        Act::Rollback => {
            world.release("1", "1", shape);
            world.release("2", "2", shape);
            let said = world.hms_dying_at(point, &["rollback", "--env", "prod"]).code(3);
            assert!(said.notices.contains("say it again"), "{}", said.notices);
            return;
        }
        Act::Fourth => {
            for number in ["1", "2", "3"] {
                world.release(number, number, shape);
            }
            world.commit("4");
            world.hms_dying_at(point, &["run", "--detach"]).code(0);
        }
    }
    world.until_dead(run);
}

/// What is told is what is so.
fn truth(world: &World, row: &Row) {
    let share = world.share(row.act.run());
    match (share, row.newest) {
        (None, None) => {}
        (Some(share), Some(expected)) => assert!((share - f64::from(expected) / 100.0).abs() < WITHIN, "users get {share}"),
        (share, expected) => panic!("users get {share:?}, and should get {expected:?}"),
    }
    assert_eq!(world.open_intents(), row.open);
    world.ledger_verifies();
    let canary = canary_weight(row);
    if row.point != CrashPoint::Created {
        let standing = world.standing();
        let told = standing["weight"]["applied"].as_f64().unwrap_or(0.0);
        assert!((told - canary).abs() < 1e-9, "the target says {told}, and it is {canary}: {standing}");
    }
    if row.act == Act::Rollback {
        return;
    }
    let status = world.status(row.act.run());
    assert_eq!(status["engine"], if row.act == Act::Alone { "parked" } else { "dead" });
    let told = status["rollouts"].as_array().and_then(|all| all.last()?["weight"]["applied"].as_f64()).unwrap_or(0.0);
    // The run tells its release's own share: the canary's, and all of it once promoted.
    let own = f64::from(row.newest.unwrap_or(0)) / 100.0;
    assert!((told - own).abs() < 1e-9, "the run says {told}, and it is {own}: {status}");
    if canary > 0.0 {
        assert_eq!(status["rollouts"].as_array().unwrap().last().unwrap()["watched"], false, "{status}");
    }
}

/// The canary's weight at the target: of what users get, what is not stable's.
fn canary_weight(row: &Row) -> f64 {
    let after = |first: CrashPoint| ROWS.iter().position(|other| other.act == row.act && other.point == first);
    let own = ROWS.iter().position(|other| other.act == row.act && other.point == row.point);
    let share = f64::from(row.newest.unwrap_or(0)) / 100.0;
    match row.act {
        Act::FirstCanary | Act::Canary | Act::Leave => share,
        Act::FirstPromotion | Act::Promotion | Act::Alone if own < after(CrashPoint::AfterPromote) => share,
        Act::FirstPromotion | Act::Promotion | Act::Alone | Act::Rollback | Act::Fourth => 0.0,
    }
}

fn on(world: &World, row: &Row) {
    let (command, exit, then) = row.act.finish();
    let said = world.say(command);
    assert_eq!(said.code, Some(exit), "{command}: {}\n{}\n{}", said.out, said.notices, world.engine_log(row.act.run()));
    // At a gate the command comes back while the engine still puts the rollout in order.
    assert!(wait_for(|| world.open_intents().is_empty()), "open after {command}: {:?}", world.open_intents());
    let share = world.share(row.act.run()).expect("somebody answers");
    assert!((share - f64::from(then) / 100.0).abs() < WITHIN, "users get {share} after {command}");
    if exit == 10 {
        world.hms(&["approve", row.act.run(), "prod", "--wait"]).code(0);
        assert_eq!(world.share(row.act.run()), Some(1.0), "after approval");
        assert_eq!(world.count("prod", row.act.run()), 1);
        assert_eq!(world.open_intents(), Vec::<String>::new(), "after approval");
    }
    assert!(wait_for(|| world.standing()["slot"].is_null()), "{}", world.standing());
    let standing = world.standing();
    assert_eq!(standing["weight"]["applied"], 0.0, "{standing}");
}

fn back(world: &World, row: &Row) {
    let command = row.act.revert(row.newest).unwrap();
    let said = world.say(command);
    assert_eq!(said.code, Some(0), "{command}: {}\n{}", said.out, said.notices);
    assert_eq!(world.share(row.act.run()), Some(0.0), "after {command}: {}", said.out);
    let standing = world.standing();
    assert_eq!(standing["weight"]["applied"], 0.0, "{standing}");
    assert!(standing["slot"].is_null(), "{standing}");
    assert_eq!(world.open_intents(), Vec::<String>::new(), "after {command}");
}
