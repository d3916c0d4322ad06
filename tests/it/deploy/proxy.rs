//! The proxy under traffic: an exact split, and no lost request whatever is changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hms::deploy::local::load;
use hms::deploy::{ArmName, Effect, Target};
use hms::event::{Digest, Weight};
use hms::store::{Signal, is_alive, send_signal};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::local::get;
use super::world::{World, prod, quiet, run, until, weight};

async fn two_services(world: &World) -> (Digest, Digest, String) {
    let (one, two) = (world.service(json!({"version": "one"})).await, world.service(json!({"version": "two"})).await);
    let address = world.stable_and_canary(&one, &two).await;
    (one, two, address)
}

/// The value of the counters whose line has all these parts.
async fn counted(world: &World, parts: &[&str]) -> u64 {
    let metrics = world.target.observe(&prod()).await.unwrap().metrics.unwrap();
    let (status, text) = get(metrics.trim_end_matches("/metrics"), "/metrics").await.unwrap();
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn of_ten_thousand_requests_at_one_percent_exactly_one_hundred_go_to_the_canary() {
    run(async {
        let world = World::new();
        let (one, two, address) = two_services(&world).await;
        world.apply(1, Effect::Weigh { weight: weight("1%") }).await.unwrap();
        let report = load(&address, 2000, Duration::from_secs(5), "/", &|_| ()).await.unwrap();
        assert_eq!((report.sent, report.unsent, report.unanswered), (10_000, 0, 0), "{report:?}");
        assert_eq!(report.statuses, [(200, 10_000)].into());
        assert!(report.p50_ms <= report.p95_ms && report.p50_ms.is_some());
        assert_eq!(world.target.observe(&prod()).await.unwrap().served, Some((100, 9_900)));
        let version = |release: &Digest| format!("version=\"{}\"", release.short());
        for (release, expected) in [(&one, 9_900), (&two, 100)] {
            let found = counted(&world, &["hms_requests_total", &version(release), "code=\"200\"", "synthetic=\"true\""]).await;
            assert_eq!(found, expected);
            assert_eq!(counted(&world, &["duration_seconds_count", &version(release)]).await, expected);
            assert_eq!(counted(&world, &["duration_seconds_bucket", &version(release), "le=\"+Inf\""]).await, expected);
        }

        world.apply(1, Effect::Weigh { weight: weight("0.3%") }).await.unwrap();
        load(&address, 1000, Duration::from_secs(1), "/", &|_| ()).await.unwrap();
        assert_eq!(world.target.observe(&prod()).await.unwrap().served, Some((3, 997)));
    });
}

/// Clients of four kinds, until they are told to stop; every request must be answered with 200 and the right body.
struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: tokio::task::JoinSet<Result<(), String>>,
}

type Kept = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

/// What a client sends, again and again.
enum Kind {
    /// Over connections that are kept, with this body.
    Kept(Kept, String, Option<Bytes>),
    /// Over a new connection each time.
    New(String),
}

impl Clients {
    fn of(address: &str) -> Self {
        let mut clients = Self { stop: Arc::default(), answered: Arc::default(), tasks: tokio::task::JoinSet::new() };
        let kept: Kept = Client::builder(TokioExecutor::new()).build_http();
        for _ in 0..2 {
            clients.add(Kind::Kept(kept.clone(), format!("{address}/"), None));
            clients.add(Kind::Kept(kept.clone(), format!("{address}/post"), Some(Bytes::from(vec![b'x'; 100_000]))));
            clients.add(Kind::Kept(kept.clone(), format!("{address}/slow?ms=300"), None));
            clients.add(Kind::New(address.to_owned()));
        }
        clients
    }

    fn add(&mut self, kind: Kind) {
        let (stop, answered) = (Arc::clone(&self.stop), Arc::clone(&self.answered));
        self.tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                match &kind {
                    Kind::Kept(client, url, body) => exchange(client, url, body.clone()).await?,
                    Kind::New(address) => match get(address, "/").await {
                        Ok((200, _)) => {}
                        other => return Err(format!("a new connection: {other:?}")),
                    },
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }

    /// How many requests were answered, all of them well.
    async fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

async fn exchange(client: &Kept, url: &str, body: Option<Bytes>) -> Result<(), String> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let request = hyper::Request::builder().method(method).uri(url).body(Full::new(body.clone().unwrap_or_default())).unwrap();
    let response = client.request(request).await.map_err(|error| format!("{method} {url}: {error:?}"))?;
    let status = response.status();
    let bytes = response.into_body().collect().await.map_err(|error| format!("{method} {url}: {error:?}"))?.to_bytes();
    let whole = match &body {
        Some(sent) => bytes == *sent,
        None if url.contains("slow") => bytes.ends_with(b"end\n"),
        None => bytes.starts_with(b"{"),
    };
    if status == 200 && whole { Ok(()) } else { Err(format!("{method} {url}: {status}, {} bytes", bytes.len())) }
}

#[test]
fn nothing_is_lost_over_a_hundred_weights_promotions_returns_and_retirements() {
    run(async {
        let world = World::new();
        let (one, two, address) = two_services(&world).await;
        let clients = Clients::of(&address);
        for change in 0..100u16 {
            let weight = Weight::from_thousandths(change * 37 % 1001).unwrap();
            assert_eq!(world.apply(1, Effect::Weigh { weight }).await.unwrap().weight, weight);
            let before = clients.answered.load(Ordering::Relaxed);
            until("requests go on", async || clients.answered.load(Ordering::Relaxed) > before + 5).await;
        }
        for _ in 0..3 {
            world.apply(1, Effect::Promote { release: two.clone() }).await.unwrap();
            world.apply(1, Effect::Return { release: one.clone() }).await.unwrap();
            world.start(1, &two, ArmName::Canary).await;
            world.apply(1, Effect::Weigh { weight: weight("50%") }).await.unwrap();
            let before = clients.answered.load(Ordering::Relaxed);
            until("requests go on", async || clients.answered.load(Ordering::Relaxed) > before + 20).await;
            world.apply(1, Effect::Withdraw).await.unwrap();
            world.start(1, &two, ArmName::Canary).await;
        }
        world.apply(1, Effect::Promote { release: two }).await.unwrap();
        world.apply(1, Effect::Retire { release: one }).await.unwrap();
        until("what left is stopped", async || world.target.status().await.unwrap().environments[0].leaving.is_empty()).await;
        assert!(clients.end().await > 500);
        assert_eq!(counted(&world, &["hms_requests_total", "code=\"50"]).await, 0);
    });
}

#[test]
fn an_open_response_ends_whole_after_its_release_lost_the_traffic() {
    run(async {
        let world = World::new();
        let (one, two, address) = two_services(&world).await;
        world.apply(1, Effect::Promote { release: two.clone() }).await.unwrap();
        let process = world.process_of(&two).await.unwrap();
        let slow = tokio::spawn(async move { get(&address, "/slow?ms=3000").await });
        until("it is open", async || {
            let arms = world.target.status().await.unwrap().environments.remove(0).arms;
            arms.iter().any(|arm| arm.view.release == two && arm.in_flight == 1)
        })
        .await;
        let since = Instant::now();
        world.apply(2, Effect::Return { release: one }).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(1));
        let (status, body) = slow.await.unwrap().unwrap();
        assert_eq!(status, 200);
        assert!(body.contains("end"), "{body}");
        assert!(since.elapsed() > Duration::from_secs(2));
        until("it is stopped", async || !is_alive(&process)).await;
    });
}

#[test]
fn what_a_dead_canary_cannot_take_goes_to_stable_and_counts_against_it() {
    run(async {
        let world = World::new();
        let (_, two, address) = two_services(&world).await;
        world.apply(1, Effect::Weigh { weight: Weight::FULL }).await.unwrap();
        send_signal(&world.process_of(&two).await.unwrap(), Signal::Kill).unwrap();
        until("it is seen dead", async || world.process_of(&two).await.is_none()).await;
        let kept: Kept = Client::builder(TokioExecutor::new()).build_http();
        exchange(&kept, &format!("{address}/post"), Some(Bytes::from_static(b"a body"))).await.unwrap();
        exchange(&kept, &format!("{address}/"), None).await.unwrap();
        let version = format!("version=\"{}\"", two.short());
        assert_eq!(counted(&world, &["hms_requests_total", &version, "code=\"502\"", "synthetic=\"false\""]).await, 2);
        assert_eq!(counted(&world, &["hms_requests_total", "code=\"200\""]).await, 2);
    });
}

#[test]
fn an_environment_without_a_stable_release_says_so() {
    run(async {
        let world = World::new();
        let one = world.service(json!({"version": "one"})).await;
        let address = world.start(1, &one, ArmName::Canary).await.observation.address.unwrap();
        assert_eq!(get(&address, "/").await.unwrap().0, 503);
        world.apply(1, Effect::Weigh { weight: Weight::FULL }).await.unwrap();
        assert_eq!(get(&address, "/").await.unwrap().0, 200);
        // A second environment of the app has an address of its own.
        let other = "preview".parse().unwrap();
        let effect = super::world::start(&one, ArmName::Canary);
        let observed = world.target.apply(&other, 1, &effect, &quiet).await.unwrap().observation;
        assert_ne!(observed.address, Some(address));
    });
}

#[test]
fn a_changed_protocol_goes_through_and_ends_with_its_client() {
    run(async {
        let world = World::new();
        let (one, _, address) = two_services(&world).await;
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        drop(stream);
        let version = format!("version=\"{}\"", one.short());
        until("it is counted", async || counted(&world, &["hms_requests_total", &version, "code=\"101\""]).await == 1).await;
    });
}
