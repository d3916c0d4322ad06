//! A real Prometheus, for tests that ask one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it with what it keeps in that folder. It scrapes every so often what [`scrapes`] says.
pub(crate) fn start(folder: &Path, port: u16, every: &str) -> Prometheus {
    installed();
    let targets = targets(folder);
    if !targets.exists() {
        std::fs::write(&targets, "[]").unwrap();
    }
    let configuration = format!(
        "global: {{scrape_interval: {every}, scrape_timeout: {every}}}\nscrape_configs:\n- job_name: proxy\n  file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]\n",
        targets.display()
    );
    std::fs::write(folder.join("prometheus.yml"), configuration).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Prometheus { child, address: format!("http://127.0.0.1:{port}") }
}

/// Lets the Prometheus of a folder scrape `/metrics` at that host and port.
pub(crate) fn scrapes(folder: &Path, host: &str) {
    std::fs::write(targets(folder), serde_json::json!([{"targets": [host]}]).to_string()).unwrap();
}

fn targets(folder: &Path) -> PathBuf {
    folder.join("prometheus-targets.json")
}

/// The program, from Debian's package when it is not there yet.
fn installed() {
    let is_there = || Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there() {
        let _ = Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "prometheus"]).stdout(Stdio::null()).status();
    }
    assert!(is_there(), "this test needs Prometheus: apt-get install prometheus");
}
