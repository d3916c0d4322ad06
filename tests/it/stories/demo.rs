//! `hms demo --headless`, for real: it tells its story, leaves no process, and writes nothing outside its own folder.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The demo's own bound is longer; a test that takes so long has failed.
const BOUND: Duration = Duration::from_mins(3);

/// What must be said on standard output, in this order.
const STORY: [&str; 16] = [
    "shortened in its .hms, and nothing else: bake 3s",
    "1. A first release",
    "$ hms run --headless",
    "▶ CANARY ✔ 100% traffic healthy",
    "$ hms approve 1 prod --wait",
    "▶ PROD   ✔",
    "2. A good release",
    "▶ CANARY ✔ 1% traffic healthy",
    "PASS at 1 %, measured at the proxy",
    "$ hms approve 2 prod --wait",
    "3. A bad release",
    "▶ CANARY ✘",
    "prod was not touched",
    "$ hms ledger verify",
    "✔ the ledger is as it was written",
    "✔ the demo came out as it was told",
];

#[test]
fn the_demo_tells_its_story_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let parent = tempfile::Builder::new().prefix("d").tempdir_in("/tmp").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hms"))
        .args(["demo", "--output", "json"])
        .env("HOME", home.path())
        .env("TMPDIR", parent.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("HMS_STATE_HOME")
        .env_remove("HMS_DATA_HOME")
        .env_remove("HMS_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let notices = std::thread::spawn(move || {
        let mut text = String::new();
        pipes.1.read_to_string(&mut text).map(|_| text)
    });
    let results = std::thread::spawn(move || {
        let mut text = String::new();
        pipes.0.read_to_string(&mut text).map(|_| text)
    });
    let end = Instant::now() + BOUND;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > end {
            // It is asked to end, so that it cleans up after itself.
            let name = hms::store::name_of(child.id()).unwrap();
            hms::store::send_signal(&name, hms::store::Signal::Term).unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let (said, beside) = (results.join().unwrap().unwrap(), notices.join().unwrap().unwrap());
    let whole = format!("{said}\n---\n{beside}");
    assert_eq!(status.map(|status| status.code()), Some(Some(0)), "{whole}");
    // Each line of the story is a value, and its end is one.
    let values: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbered = values.iter().zip(1u64..).all(|(value, seq)| value["format"] == 1 && value["seq"] == seq && value["time"].is_string());
    let last = values.last().map(|value| (value["type"].clone(), value["exit_code"].clone()));
    assert!(numbered && last == Some(("DemoEnded".into(), 0.into())), "{whole}");
    let told: Vec<&str> = values.iter().filter_map(|value| value["text"].as_str()).collect();
    let told = told.join("\n");
    let mut rest = told.as_str();
    for line in STORY {
        let at = rest.find(line).unwrap_or_else(|| panic!("`{line}` is not said, or not in its place:\n{whole}"));
        rest = &rest[at + line.len()..];
    }
    assert_eq!(entries(home.path()), Vec::<String>::new(), "HOME was written to");
    assert_eq!(entries(parent.path()), Vec::<String>::new(), "its folder is not gone");
    assert_eq!(processes_of(parent.path()), Vec::<u32>::new(), "something still runs");
}

fn demo_in(home: &Path, parent: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hms"));
    command.args(["demo", "--headless"]).env("HOME", home).env("TMPDIR", parent).env_remove("HMS_CONFIG").env_remove("XDG_CONFIG_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whoever is killed cannot clean up: the next demo does, and leaves alone what it cannot know to be a dead one's.
#[test]
fn what_a_killed_demo_left_is_removed_by_the_next_one() {
    let home = tempfile::tempdir().unwrap();
    let parent = tempfile::Builder::new().prefix("d").tempdir_in("/tmp").unwrap();
    let mut first = demo_in(home.path(), parent.path()).spawn().unwrap();
    // Until its target runs, which outlives it.
    let left = wait_for("a process of the demo's", || {
        let folder = entries(parent.path()).pop()?;
        let others = processes_of(&parent.path().join(&folder));
        (!others.is_empty()).then_some(folder)
    });
    hms::store::send_signal(&hms::store::name_of(first.id()).unwrap(), hms::store::Signal::Kill).unwrap();
    first.wait().unwrap();
    // Like a demo's, and nobody's that can be known: a kept one, and somebody's own.
    let others = ["hms-demo-abcdefghij", "hms-demo-notes"];
    for other in others {
        let folder = parent.path().join(other);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    let mut second = demo_in(home.path(), parent.path()).spawn().unwrap();
    let mut said = std::io::BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    hms::store::send_signal(&hms::store::name_of(second.id()).unwrap(), hms::store::Signal::Term).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    second.wait().unwrap();
    assert!(line.contains(&left) && line.contains("it is removed, and nothing of it runs any more"), "{line}{rest}");
    let mut kept = entries(parent.path());
    kept.sort();
    assert_eq!(kept, others, "{line}{rest}");
    assert_eq!(processes_of(&parent.path().join(&left)), Vec::<u32>::new());
}

fn entries(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Every process whose environment names the folder in which the demo's own folder was.
fn processes_of(folder: &Path) -> Vec<u32> {
    let path = folder.to_str().unwrap().as_bytes();
    let names = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(path.len()).any(|part| part == path)
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(names).collect()
}
