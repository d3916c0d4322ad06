//! The scraper against a real HTTP server on loopback.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hms::canary::provider::{MetricsScrape, MetricsSettings, Provider, ScrapeError};
use hms::event::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::start;

/// What the server does with a connection.
#[derive(Clone)]
enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends a chunk of metrics for as long as anyone reads.
    Endless,
    /// Reads and never answers.
    Silence,
    /// `/` redirects to another path of this host; that path answers with the bytes.
    Moved(Vec<u8>),
    /// Redirects to itself.
    Circle,
}

struct Server {
    address: String,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answer: Answer) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let task = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            open.spawn(reply(stream, answer.clone()));
        }
    });
    Server { address, connections, task }
}

async fn reply(mut stream: TcpStream, answer: Answer) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let bytes = match answer {
        Answer::Moved(_) if request.starts_with("GET / ") => redirect("/metrics"),
        Answer::Bytes(bytes) | Answer::Moved(bytes) => bytes,
        Answer::Circle => redirect("/"),
        Answer::Silence => {
            // The client gives up and closes; its end is what this waits for.
            let _closed = stream.read(&mut [0; 1]).await;
            return;
        }
        Answer::Endless => {
            let line = "http_requests_total{version=\"a\",code=\"200\",path=\"/\"} 1\n".repeat(20_000);
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            while sent.is_ok() {
                sent = stream.write_all(line.as_bytes()).await;
            }
            return;
        }
    };
    let _gone = stream.write_all(&bytes).await;
    let _gone = stream.shutdown().await;
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

fn ok(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

const PROXY: &str = "# TYPE hms_requests_total counter
hms_requests_total{app=\"shop\",environment=\"prod\",version=\"71aa0c9\",code=\"200\"} 9900
hms_requests_total{app=\"shop\",environment=\"prod\",version=\"8c4f2d3\",code=\"500\",synthetic=\"true\"} 3
hms_requests_total{app=\"shop\",environment=\"test\",version=\"8c4f2d3\",code=\"500\"} 77
hms_request_duration_seconds_bucket{app=\"shop\",environment=\"prod\",version=\"8c4f2d3\",le=\"0.25\"} 2
hms_request_duration_seconds_bucket{app=\"shop\",environment=\"prod\",version=\"8c4f2d3\",le=\"+Inf\"} 3
hms_request_duration_seconds_sum{app=\"shop\",environment=\"prod\",version=\"8c4f2d3\"} 0.4
hms_request_duration_seconds_count{app=\"shop\",environment=\"prod\",version=\"8c4f2d3\"} 3
";

fn proxy_settings() -> MetricsSettings {
    MetricsSettings::local_proxy(&"shop".parse().unwrap(), &"prod".parse().unwrap())
}

async fn scrape(server: &Server) -> Result<Sample, ScrapeError> {
    Provider::Scrape(MetricsScrape::new(&server.address, proxy_settings()).unwrap()).scrape(start()).await
}

async fn scraped(bytes: Vec<u8>) -> Result<Sample, ScrapeError> {
    scrape(&serve(Answer::Bytes(bytes)).await).await
}

/// The whole chain of causes, as a door prints it.
fn told(error: &ScrapeError) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| Error::source(*cause));
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn the_local_proxys_metrics_become_a_sample() {
    let sample = scraped(ok("text/plain; version=0.0.4", PROXY)).await.unwrap();
    assert_eq!(sample.at, start());
    let canary = &sample.versions["8c4f2d3"];
    assert_eq!(canary.requests.len(), 1, "another environment's requests are not ours");
    assert!(canary.requests[0].error);
    assert_eq!(canary.synthetic, Some(3.0));
    assert_eq!(canary.latency[0].counts, [2.0, 3.0]);
    assert_eq!(sample.versions["71aa0c9"].latency, []);
    let json = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<Sample>(&json).unwrap(), sample);
}

#[tokio::test]
async fn open_metrics_is_understood_by_its_content_type() {
    let body =
        "hms_requests_total{app=\"shop\",environment=\"prod\",version=\"a\",code=\"200\"} 5 1700000000.25 # {trace_id=\"x\"} 1\n# EOF\n";
    let sample = scraped(ok("application/openmetrics-text; version=1.0.0; charset=utf-8", body)).await.unwrap();
    assert_eq!(sample.at.timestamp_millis(), 1_700_000_000_250);
}

#[tokio::test]
async fn bad_answers_are_told_apart() {
    let status = scraped(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()).await.unwrap_err();
    assert!(told(&status).ends_with("answered 503 Service Unavailable"), "{}", told(&status));
    let page = scraped(ok("text/html", &format!("hms_up 1\na 1 1 \u{1b}[31m{}\n", "x".repeat(5000)))).await.unwrap_err();
    assert!(told(&page).contains("the metrics are malformed: line 2: \"\\u{1b}[31mxxx"), "{}", told(&page));
    assert!(told(&page).len() < 200, "a page is not repeated in a message");
    let mut bytes = ok("text/plain", "a{x=\"?\"} 1\n");
    let place = bytes.iter().rposition(|byte| *byte == b'?').unwrap();
    bytes[place] = 0xff;
    assert!(matches!(scraped(bytes).await, Err(ScrapeError::NotText(_))));
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\nconnection: close\r\n\r\n{PROXY}");
    assert!(matches!(scraped(half.into_bytes()).await, Err(ScrapeError::Unreachable { .. })));
    assert!(matches!(scraped(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()).await, Err(ScrapeError::Unreachable { .. })));
}

#[tokio::test]
async fn a_dead_address_is_told_with_its_cause() {
    let server = serve(Answer::Silence).await;
    let address = server.address.clone();
    drop(server);
    // The port is free once the task that held it is gone.
    for _ in 0..1000 {
        if TcpStream::connect(address.trim_start_matches("http://")).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let error = MetricsScrape::new(&address, proxy_settings()).unwrap().scrape(start()).await.unwrap_err();
    assert!(told(&error).contains("cannot be read") && told(&error).contains("refused"), "{}", told(&error));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = serve(Answer::Silence).await;
    let error = tokio::time::timeout(std::time::Duration::from_secs(20), scrape(&server)).await.expect("bounded").unwrap_err();
    assert!(matches!(error, ScrapeError::TimedOut(_)), "{}", told(&error));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let error = scrape(&serve(Answer::Endless).await).await.unwrap_err();
    assert!(matches!(error, ScrapeError::TooLarge(_)), "{}", told(&error));
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let moved = serve(Answer::Moved(ok("text/plain", PROXY))).await;
    assert_eq!(scrape(&moved).await.unwrap().versions.len(), 2);
    let elsewhere = serve(Answer::Bytes(ok("text/plain", PROXY))).await;
    let error = scraped(redirect(&elsewhere.address)).await.unwrap_err();
    assert!(told(&error).contains("redirects to another host"), "{}", told(&error));
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0, "it was never asked");
    let circle = serve(Answer::Circle).await;
    let error = scrape(&circle).await.unwrap_err();
    assert!(told(&error).contains("in circles"), "{}", told(&error));
    assert!(circle.connections.load(Ordering::SeqCst) <= 5);
}

#[test]
fn addresses_with_credentials_or_other_schemes_are_refused() {
    for bad in ["", "metrics", "ftp://127.0.0.1/metrics", "file:///etc/passwd", "http://user:secret@127.0.0.1/metrics", "http://"] {
        let error = MetricsScrape::new(bad, proxy_settings()).unwrap_err();
        assert!(matches!(error, ScrapeError::BadAddress(_)), "{bad}");
        assert!(!error.to_string().contains("secret"));
    }
    assert!(MetricsScrape::new("https://metrics.example.gov/metrics", proxy_settings()).is_ok());
}
