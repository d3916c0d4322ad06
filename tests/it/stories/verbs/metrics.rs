//! `hms metrics doctor`: what a page has, and which of the user's own metrics are there.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use super::World;

const PAGE: &str = "\
http_requests_total{version=\"a\",code=\"200\"} 90
http_requests_total{version=\"a\",code=\"404\"} 10
http_requests_total{version=\"b\",code=\"200\"} 5
http_request_duration_seconds_bucket{version=\"a\",le=\"0.1\"} 90
http_request_duration_seconds_bucket{version=\"a\",le=\"+Inf\"} 100
jobs_total{version=\"a\",result=\"done\"} 7
jobs_total{version=\"a\",result=\"failed\"} 2
";

/// Answers so many requests with the page.
fn serve(requests: usize) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/metrics", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let _read = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", PAGE.len());
            stream.write_all(format!("{head}{PAGE}").as_bytes()).unwrap();
        }
    });
    (address, server)
}

fn pipeline(own: &str) -> String {
    format!(".hms:\n  metrics: {{scrape: ADDRESS, own: {{{own}}}}}\nbuild: {{script: 'true'}}\n")
}

#[test]
fn the_doctor_tells_which_of_ones_own_metrics_are_there() {
    let (address, server) = serve(4);
    let own = "client_errors: {status: 4xx, slo: 5%}, jobs: {all: jobs_total, bad: 'jobs_total{result=\"failed\"}', slo: 1%}";
    let world = World::new(&pipeline(own).replace("ADDRESS", &address));
    let said = world.hms(&["metrics", "doctor"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "✔ client libraries: http_requests_total with 3 series",
        "✔ client_errors, at most 5.0 %\n    a: 10 of 100\n    b: 0 of 5\n",
        "✔ jobs, at most 1.0 %\n    a: 2 of 9\n    b: 0 of 0\n",
    ] {
        assert!(said.out.contains(line), "{line}: {said:?}");
    }
    // A name that is nowhere is no metric without bad events.
    let wrong = "jobs: {all: jobs_total, bad: jobs_faild_total, slo: 1%}, late: {latency: jobs_seconds, slower_than: 1s, slo: 1%}";
    std::fs::write(world.path("repo/.hms-ci.yml"), pipeline(wrong).replace("ADDRESS", "http://127.0.0.1:1/metrics")).unwrap();
    let said = world.hms(&["metrics", "doctor", "--scrape", &address, "--output", "json"]);
    server.join().unwrap();
    assert_eq!(said.code, Some(3), "{said:?}");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["own"][0]["lacks"][0], "a: requests come without `jobs`", "{told:#}");
    assert_eq!(told["own"][1]["lacks"][1], "b: requests come without `late`", "{told:#}");
    // Before any of it: a selector that is none, with its place.
    std::fs::write(
        world.path("repo/.hms-ci.yml"),
        pipeline("x: {latency: 'rate(x)', slower_than: 1s, slo: 1%}").replace("ADDRESS", "http://h/m"),
    )
    .unwrap();
    let said = world.hms(&["validate"]);
    assert!(said.code == Some(2) && said.out.contains(".hms-ci.yml:2:52: error: `.hms.metrics.own.x.latency`: `rate(x)`"), "{said:?}");
}
