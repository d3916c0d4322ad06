//! The scraper against a real HTTP server on loopback.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hms::canary::provider::{Access, ManyScrapes, MetricsScrape, MetricsSettings, PrometheusApi, Provider, ScrapeError};
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
    /// The first bytes of each request.
    asked: Arc<Mutex<Vec<String>>>,
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
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            open.spawn(reply(stream, answer.clone(), Arc::clone(&heard)));
        }
    });
    Server { address, connections, asked, task }
}

async fn reply(mut stream: TcpStream, answer: Answer, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    asked.lock().unwrap().push(request.clone());
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

fn answered(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

/// Raw samples of both arms, as `selector[2m]` is answered.
const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
 {"metric":{"__name__":"hms_requests_total","app":"shop","environment":"prod","version":"a","code":"200","instance":"x"},"values":[[1700000000.25,"90"],[1700000005.25,"99"]]},
 {"metric":{"__name__":"hms_requests_total","app":"shop","environment":"prod","version":"b","code":"503","instance":"x"},"values":[[1700000005.25,"1"]]},
 {"metric":{"__name__":"hms_request_duration_seconds_bucket","app":"shop","environment":"prod","version":"b","le":"0.25","instance":"x"},"values":[[1700000005.25,"1"]]},
 {"metric":{"__name__":"hms_request_duration_seconds_bucket","app":"shop","environment":"prod","version":"b","le":"+Inf","instance":"x"},"values":[[1700000005.25,"1"]]}]}}"#;

fn api<'a>(addresses: impl IntoIterator<Item = &'a str>, accesses: &[Access]) -> Provider {
    Provider::Prometheus(PrometheusApi::new(addresses, proxy_settings(), accesses).unwrap())
}

async fn asked(bytes: Vec<u8>) -> Result<Sample, ScrapeError> {
    let server = serve(Answer::Bytes(bytes)).await;
    api([server.address.as_str()], &[]).scrape(start()).await
}

#[tokio::test]
async fn raw_samples_become_a_sample_at_their_own_time() {
    let server = serve(Answer::Bytes(ok("application/json", MATRIX))).await;
    let sample = api([server.address.as_str()], &[]).scrape(start()).await.unwrap();
    assert_eq!((sample.at.timestamp_millis(), sample.source), (1_700_000_005_250, None));
    assert_eq!(sample.versions["a"].requests[0].value.to_bits(), 99.0_f64.to_bits());
    assert!(sample.versions["b"].requests[0].error, "a first failure stands at 1, and counts");
    assert_eq!(sample.versions["b"].latency[0].counts, [1.0, 1.0]);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1, "one query brings both arms and their durations");
    let request = server.asked.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /api/v1/query?query=%7B__name__%3D%7E%22hms_request_duration_seconds%7C"), "{request}");
    assert!(request.contains("partial_response=false") && !request.to_lowercase().contains("authorization"), "{request}");
}

#[tokio::test]
async fn answers_of_the_api_that_are_no_answers_are_told_apart() {
    let json = |body: &str| ok("application/json", body);
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    assert!(asked(json(empty)).await.unwrap().versions.is_empty());
    for (bytes, says) in [
        (
            json(&MATRIX.replace("\"data\"", "\"warnings\":[\"store x: no answer\"],\"data\"")),
            "warns, so its answer may lack something: store x: no answer",
        ),
        (
            json(r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#),
            "does not answer as Prometheus's query API does: parse error",
        ),
        (
            answered("422 Unprocessable Entity", "application/json", r#"{"status":"error","error":"query timed out\u0007"}"#),
            "answered 422 Unprocessable Entity: query timed out",
        ),
        (answered("401 Unauthorized", "text/plain", "no"), "it wants credentials: name them for this origin in the operator's file"),
        (answered("500 Internal Server Error", "text/html", "<html>"), "answered 500 Internal Server Error"),
        (ok("text/html", "<html>log in</html>"), "its JSON cannot be read"),
        (json(&MATRIX.replace("matrix", "vector")), "it answers with a vector instead of a matrix"),
        (json(r#"{"status":"success"}"#), "it answers without data"),
        (json(&MATRIX.replace("\"99\"", "\"NaN\"")), "NaN is no count"),
        (json(&MATRIX.replace("\"99\"", "\"-3\"")), "-3 is no count"),
        (json(&MATRIX.replace("\"code\":\"503\",", "")), "errors cannot be told"),
        (json(&MATRIX.replace("version", "revision")), "which should tell the version"),
        (json(&MATRIX[..MATRIX.len() / 2]), "its JSON cannot be read"),
    ] {
        let error = asked(bytes).await.unwrap_err();
        assert!(told(&error).contains(says), "{says}: {}", told(&error));
        assert!(!told(&error).contains('\u{7}'), "{}", told(&error));
    }
}

#[tokio::test]
async fn credentials_go_to_their_origin_and_to_no_other() {
    let (mine, other) =
        (serve(Answer::Bytes(ok("application/json", MATRIX))).await, serve(Answer::Bytes(ok("application/json", MATRIX))).await);
    let accesses = [Access::to(&mine.address).unwrap().basic("hms", "s3cret").unwrap().header("X-Scope-OrgID", "shop").unwrap()];
    api([mine.address.as_str()], &accesses).scrape(start()).await.unwrap();
    api([other.address.as_str()], &accesses).scrape(start()).await.unwrap();
    let heard = |server: &Server| server.asked.lock().unwrap().join("\n").to_lowercase();
    assert!(
        heard(&mine).contains("authorization: basic ag1zonmzy3jlda==") && heard(&mine).contains("x-scope-orgid: shop"),
        "{}",
        heard(&mine)
    );
    assert!(!heard(&other).contains("authorization") && !heard(&other).contains("orgid"), "{}", heard(&other));
    let refused = serve(Answer::Bytes(answered("401 Unauthorized", "text/plain", "no"))).await;
    let accesses = [Access::to(&refused.address).unwrap().bearer("s3cret").unwrap()];
    let error = api([refused.address.as_str()], &accesses).scrape(start()).await.unwrap_err();
    assert!(told(&error).contains("does not take the credentials") && !told(&error).contains("s3cret"), "{}", told(&error));
    let moved = serve(Answer::Bytes(redirect(&other.address))).await;
    let accesses = [Access::to(&moved.address).unwrap().bearer("s3cret").unwrap()];
    let error = api([moved.address.as_str()], &accesses).scrape(start()).await.unwrap_err();
    assert!(told(&error).contains("redirects to another host") && other.connections.load(Ordering::SeqCst) == 1, "{}", told(&error));
}

#[tokio::test]
async fn several_servers_are_asked_in_order_and_never_continued_by_each_other() {
    let (broken, good) = (
        serve(Answer::Bytes(answered("503 Service Unavailable", "text/plain", ""))).await,
        serve(Answer::Bytes(ok("application/json", MATRIX))).await,
    );
    let both = api([broken.address.as_str(), good.address.as_str()], &[]);
    let sample = both.scrape(start()).await.unwrap();
    assert_eq!(sample.source, Some(format!("{}/api/v1/", good.address)));
    assert_eq!(broken.connections.load(Ordering::SeqCst), 1);
    let none = api([broken.address.as_str(), broken.address.as_str()], &[]).scrape(start()).await.unwrap_err();
    assert!(told(&none).starts_with("none of the 2 servers") && told(&none).contains("503"), "{}", told(&none));
    assert!(PrometheusApi::new([], proxy_settings(), &[]).is_err());
}

#[tokio::test]
async fn several_endpoints_are_one_sample_or_none() {
    let (one, two) = (serve(Answer::Bytes(ok("text/plain", PROXY))).await, serve(Answer::Bytes(ok("text/plain", PROXY))).await);
    let scrapes = |addresses: [&str; 2]| Provider::Scrapes(ManyScrapes::new(addresses, &proxy_settings(), &[]).unwrap());
    let sample = scrapes([&one.address, &two.address]).scrape(start()).await.unwrap();
    let canary = &sample.versions["8c4f2d3"];
    assert_eq!((canary.requests.len(), canary.latency.len(), canary.synthetic), (2, 2, Some(6.0)));
    assert_ne!(canary.requests[0].key, canary.requests[1].key);
    let half = serve(Answer::Bytes(answered("500 Internal Server Error", "text/plain", ""))).await;
    assert!(scrapes([&one.address, &half.address]).scrape(start()).await.is_err());
}
