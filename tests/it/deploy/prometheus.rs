//! A real Prometheus that scrapes the local target's proxy: the same counts, also after it was killed and came back.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use hms::canary::provider::{MetricsScrape, MetricsSettings, PrometheusApi, Provider};
use hms::canary::{Differ, deltas};
use hms::deploy::{Effect, Target};
use hms::event::Sample;
use serde_json::json;

use super::world::{World, app, prod, run, weight};
use crate::prometheus;

/// Prometheus scrapes once a second, and starts in some.
const BOUND: Duration = Duration::from_mins(1);

fn total(sample: &Sample) -> f64 {
    sample.versions.values().flat_map(|version| &version.requests).map(|series| series.value).sum()
}

/// Asks until the answer has so many requests.
async fn until(provider: &Provider, requests: f64) -> Sample {
    let started = Instant::now();
    loop {
        let answer = provider.scrape(Utc::now()).await;
        match answer {
            Ok(sample) if total(&sample) >= requests => return sample,
            answer => assert!(started.elapsed() < BOUND, "{requests} requests were to come: {answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn send(address: &str, requests: u32) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    for _ in 0..requests {
        assert!(client.get(address).send().await.unwrap().bytes().await.is_ok());
    }
}

#[test]
fn a_real_prometheus_counts_as_the_proxy_does_and_may_come_and_go() {
    run(async {
        let world = World::new();
        let (one, two) = (world.service(json!({"version": "one"})).await, world.service(json!({"version": "two"})).await);
        let proxy = format!("http://{}/", world.stable_and_canary(&one, &two).await.trim_start_matches("http://").trim_end_matches('/'));
        world.apply(1, Effect::Weigh { weight: weight("10%") }).await.unwrap();
        let metrics = world.target.observe(&prod()).await.unwrap().metrics.unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = MetricsSettings::local_proxy(&app(), &prod());
        let host = metrics.trim_start_matches("http://").trim_end_matches("/metrics");
        prometheus::scrapes(world.folder.path(), host);
        let server = prometheus::start(world.folder.path(), port, "1s");
        let api = Provider::Prometheus(PrometheusApi::new([server.address.as_str()], settings.clone(), &[]).unwrap());
        let direct = Provider::Scrape(MetricsScrape::new(&metrics, settings).unwrap());

        send(&proxy, 100).await;
        let first = until(&api, 100.0).await;
        let began = first.at;
        assert!((Utc::now() - began).abs() < TimeDelta::seconds(30), "its own time: {began}");
        let mut differ = Differ::default();
        assert_eq!(differ.next(&first), None);
        send(&proxy, 200).await;
        let second = until(&api, 300.0).await;
        let interval = differ.next(&second).unwrap();
        let seen: f64 = interval.versions.values().map(|delta| delta.requests).sum();
        let canary: Vec<f64> = interval.versions.values().map(|delta| delta.requests).filter(|requests| *requests < 100.0).collect();
        assert_eq!((seen.to_bits(), canary.len()), (200.0_f64.to_bits(), 1), "{interval:?}");
        let now = direct.scrape(Utc::now()).await.unwrap();
        assert_eq!(now.versions.keys().collect::<Vec<_>>(), second.versions.keys().collect::<Vec<_>>());
        assert_eq!(total(&now).to_bits(), total(&second).to_bits());
        for (version, counters) in &now.versions {
            let counted = second.versions[version].latency.iter().map(|series| series.counts.last().copied().unwrap_or(0.0)).sum::<f64>();
            let here = counters.latency.iter().map(|series| series.counts.last().copied().unwrap_or(0.0)).sum::<f64>();
            assert_eq!(counted.to_bits(), here.to_bits(), "{version}");
        }

        // Killed in the middle: no sample, and the reason. What happened meanwhile is in the next one.
        drop(server);
        assert!(api.scrape(Utc::now()).await.unwrap_err().to_string().contains("cannot be read"));
        send(&proxy, 50).await;
        let again = prometheus::start(world.folder.path(), port, "1s");
        let third = until(&api, 350.0).await;
        let gap = differ.next(&third).unwrap();
        assert_eq!(gap.versions.values().map(|delta| delta.requests).sum::<f64>().to_bits(), 50.0_f64.to_bits());

        // What nobody was there to scrape is in its history.
        // A step later, so that the last scrape is within the last step.
        let past = api.history(began, third.at + TimeDelta::seconds(1), TimeDelta::seconds(1)).await.unwrap();
        let all: f64 = deltas(&past).iter().flat_map(|interval| interval.versions.values()).map(|delta| delta.requests).sum();
        assert!(past.len() >= 2 && (all - (total(&third) - 100.0)).abs() < 1.0, "{all} in {} samples", past.len());
        drop(again);
    });
}
