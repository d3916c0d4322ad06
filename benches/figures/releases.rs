//! Five releases at 1 % of 200 requests a second, each measured by a Prometheus of its own: what is said of each, and when.
//!
//! Real time and the whole program, a quarter of an hour of it: only when it is asked for by name. The five go side by side.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::Answer;
use crate::table::Row;
use crate::world::{HMS, World, succeed};

/// How long one release may take, of the whole of it.
const PATIENCE: Duration = Duration::from_mins(25);
const RATE: &str = "200";
/// When after its first weight the outage begins, and how long it lasts.
const OUTAGE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(90));

const PIPELINE: &str = r"stages: [build, scan, canary, prod]
.hms:
  app: shop
  start: exec HMS demo-service service.json
  local: {listen: '127.0.0.1:0'}
  metrics:
    prometheus: http://127.0.0.1:PORT
    requests: hms_requests_total
    latency: hms_request_duration_seconds
    own: {client_errors: {status: 4xx, slo: 5%}}
  canary: {bake: 2m, on_hold: 20m, slo: {error_rate: 1%, p95: 250ms}}
build: {script: mkdir -p dist && cp service.json dist/, artifacts: dist/}
scan: {script: scan dist/ --fail-on high}
canary: {needs: [scan], script: hms-deploy --env canary --traffic 1%}
prod: {when: manual, needs: [canary], script: hms-deploy --env prod --tag $CI_COMMIT_SHA}
";

/// What every release here does when nothing is wrong with it: 0.2 % errors, 1 % slower than 250 ms.
const USUAL: &str = r#""latency_ms":5,"slow_rate":0.01,"slow_ms":400,"outage":"OUTAGE""#;

struct Case {
    name: &'static str,
    /// What it does beside the usual.
    service: &'static str,
    expected: &'static str,
    outage: bool,
}

const CASES: [Case; 5] = [
    Case { name: "healthy (0.2 % errors)", service: r#""error_rate":0.002"#, expected: "PASS", outage: false },
    Case { name: "5 % errors", service: r#""error_rate":0.05"#, expected: "ROLLBACK", outage: false },
    Case { name: "a slow tail (20 % take 400 ms)", service: r#""error_rate":0.002,"slow_rate":0.2"#, expected: "ROLLBACK", outage: false },
    Case {
        name: "20 % of requests answered 404, no other error",
        service: r#""error_rate":0.2,"error_status":404"#,
        expected: "ROLLBACK",
        outage: false,
    },
    Case { name: "healthy, and an outage of both arms for 90 s", service: r#""error_rate":0.002"#, expected: "PASS", outage: true },
];

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let threads = CASES.map(|case| std::thread::spawn(move || judged(&case).map_err(|error| format!("{}: {error}", case.name))));
    threads.into_iter().map(|thread| Ok(thread.join().map_err(|_| "a release's thread panicked")??)).collect()
}

/// A child that is ended with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn judged(case: &Case) -> Answer<Row> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let world = World::new(&PIPELINE.replace("PORT", &port.to_string()).replace("HMS", HMS))?;
    let told = releases(&world, case, port);
    // Whatever came of it, nothing that was started stays.
    let stopped = world.hms(&["local", "stop", "--app", "shop"]).output();
    let row = told?;
    stopped?;
    Ok(row)
}

fn releases(world: &World, case: &Case, port: u16) -> Answer<Row> {
    let outage = world.at("outage");
    let usual = USUAL.replace("OUTAGE", &outage.to_string_lossy());
    commit(world, &format!(r#"{{"version":"1","error_rate":0.002,{usual}}}"#))?;
    let _prometheus = prometheus(world, port)?;
    let mut first = Running(world.hms(&["run", "--headless"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let started = Instant::now();
    let (store, targets) = (world.at("home/.local/state/hms/local/shop/store.json"), world.at("targets.json"));
    let address = until(started, "the proxy's metrics", || {
        let stored: Value = serde_json::from_slice(&std::fs::read(&store).ok()?).ok()?;
        stored["environments"]["prod"]["weight"].as_f64().filter(|weight| *weight > 0.0)?;
        stored["metrics"].as_str().map(str::to_owned)
    })?;
    std::fs::write(&targets, serde_json::json!([{"targets": [address]}]).to_string())?;
    let load = ["local", "load", "--app", "shop", "--rps", RATE, "--for", "40m"];
    let _load = Running(world.hms(&load).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    until(started, "the first release's end", || first.0.try_wait().ok()?)?;
    succeed(&mut world.hms(&["approve", "1", "prod", "--wait"]))?;

    let line = format!(r#"{{"version":"2",{},{usual}}}"#, case.service);
    // What is said twice of a service would be refused.
    commit(world, &if case.service.contains("slow_rate") { line.replace(r#""slow_rate":0.01,"#, "") } else { line })?;
    let mut second = Running(world.hms(&["run", "--headless", "--no-linger"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let started = Instant::now();
    let began = until(started, "the canary's weight", || watch_began(world))?;
    if case.outage {
        std::thread::sleep(OUTAGE.0);
        std::fs::write(&outage, "")?;
        std::thread::sleep(OUTAGE.1);
        std::fs::remove_file(&outage)?;
    }
    let end = until(started, "the second release's end", || second.0.try_wait().ok()?)?;
    let (class, at, reason, held) = last_word(world, began)?;
    let elapsed = (at - began).num_seconds();
    let during = held.map(|reason| format!("; meanwhile HOLD: {reason}")).filter(|_| case.outage).unwrap_or_default();
    let measured =
        format!("{class} after {} min {:02} s (exit {}): {reason}{during}", elapsed / 60, elapsed % 60, end.code().unwrap_or(-1));
    Ok(Row::to_reach(case.name, measured, case.expected, class == case.expected))
}

fn commit(world: &World, service: &str) -> Answer<()> {
    std::fs::write(world.repository().join("service.json"), service)?;
    succeed(world.command("git").args(["add", "-A"]))?;
    succeed(world.command("git").args(["commit", "-q", "-m", "a release"])).map(drop)
}

fn prometheus(world: &World, port: u16) -> Answer<Running> {
    let targets = world.at("targets.json");
    let configuration = format!(
        "global: {{scrape_interval: 5s}}\nscrape_configs:\n- job_name: proxy\n  file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n",
        targets.display()
    );
    std::fs::write(&targets, "[]")?;
    std::fs::write(world.at("prometheus.yml"), configuration)?;
    let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    let child = Command::new("prometheus")
        .arg(option("config.file", world.at("prometheus.yml")))
        .arg(option("storage.tsdb.path", world.at("tsdb")))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("Prometheus does not start ({error}): apt-get install prometheus"))?;
    Ok(Running(child))
}

/// Waits until something is there.
fn until<T>(started: Instant, what: &str, mut look: impl FnMut() -> Option<T>) -> Answer<T> {
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {what}").into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines of the newest rollout's journal.
fn journal(world: &World) -> Option<Vec<Value>> {
    let rollouts = std::fs::read_dir(world.at("home/.local/state/hms/rollouts/shop")).ok()?;
    let newest = rollouts.flatten().map(|entry| entry.path()).max()?;
    let text = std::fs::read_to_string(Path::new(&newest).join("journal")).ok()?;
    Some(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn time_of(line: &Value) -> Option<DateTime<Utc>> {
    line["time"].as_str()?.parse().ok()
}

/// When the second release's watch began.
fn watch_began(world: &World) -> Option<DateTime<Utc>> {
    let lines = journal(world)?;
    let began = lines.iter().find(|line| line["type"] == "WatchStarted" && line["absolute_only"] == false)?;
    time_of(began)
}

/// The word, when it was first said, why, and the last reason of a HOLD that tells of more than gathering.
fn last_word(world: &World, began: DateTime<Utc>) -> Answer<(String, DateTime<Utc>, String, Option<String>)> {
    let lines = journal(world).ok_or("the journal is gone")?;
    let words = lines.iter().filter(|line| line["type"] == "VerdictReached" && time_of(line).is_some_and(|time| time >= began));
    let words: Vec<&Value> = words.collect();
    let text = |line: &Value, key: &str| line["verdict"][key].as_str().unwrap_or_default().to_owned();
    let last = words.last().ok_or("no verdict was reached")?;
    let class = text(last, "class");
    let first = words.iter().rev().take_while(|line| text(line, "class") == class).last().ok_or("no verdict was reached")?;
    let held = words.iter().rev().map(|line| text(line, "reason")).find(|reason| reason.contains("both") || reason.contains("incident"));
    Ok((class, time_of(first).ok_or("a verdict without a time")?, text(first, "reason"), held))
}
