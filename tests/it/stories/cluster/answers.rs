//! Bad answers of the API server: a proxy between hms and the real one gives them, and what is asked besides goes through.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use super::*;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// What the API server says.
    Real,
    /// An error of that status, and after how many seconds to ask again.
    Error(u16, Option<u32>),
    /// The API server does it, and its answer is lost: the connection ends.
    Lost,
    /// The first half of what the API server says.
    Half,
    /// None, for as long as the client waits.
    Never,
}

type Rule = Box<dyn FnMut(&str, &str, u32) -> Answer + Send>;

/// A proxy on loopback, with a kubeconfig whose context `hms-test` leads to it.
struct Proxy {
    rule: Arc<Mutex<Rule>>,
    given: Arc<Mutex<BTreeMap<String, u32>>>,
    kubeconfig: PathBuf,
    /// kubectl's own proxy has the credentials.
    behind: Child,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    async fn start(cluster_folder: &Path) -> Self {
        let mut behind = Command::new(cluster_folder.join("kubectl"))
            .args(["proxy", "--port=0", "--reject-paths=^$", "--disable-filter=true"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(behind.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "hms-test",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", listener.local_addr().unwrap())}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "hms-test", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_, _, _| Answer::Real)));
        let given = Arc::new(Mutex::new(BTreeMap::new()));
        let task = tokio::spawn(serve(listener, address, Arc::clone(&rule), Arc::clone(&given)));
        Self { rule, given, kubeconfig, behind, task, _folder: folder }
    }

    /// From here on each request is answered so: by its method, its path, and how often that was asked for before.
    fn answer(&self, rule: impl FnMut(&str, &str, u32) -> Answer + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
        self.given.lock().unwrap().clear();
    }

    /// How many bad answers were given, by method and what they were.
    fn given(&self) -> BTreeMap<String, u32> {
        self.given.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        let _ = self.behind.kill();
        let _ = self.behind.wait();
    }
}

async fn serve(listener: tokio::net::TcpListener, address: String, rule: Arc<Mutex<Rule>>, given: Arc<Mutex<BTreeMap<String, u32>>>) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let asked: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (client, address, rule) = (client.clone(), address.clone(), Arc::clone(&rule));
        let (given, asked) = (Arc::clone(&given), Arc::clone(&asked));
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (client, address, rule) = (client.clone(), address.clone(), Arc::clone(&rule));
                let (given, asked) = (Arc::clone(&given), Arc::clone(&asked));
                async move {
                    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                    let before = {
                        let mut asked = asked.lock().unwrap();
                        let times = asked.entry(format!("{method} {path}")).or_default();
                        *times += 1;
                        *times - 1
                    };
                    let answer = (rule.lock().unwrap())(&method, &path, before);
                    if answer != Answer::Real {
                        *given.lock().unwrap().entry(format!("{method} {answer:?}")).or_default() += 1;
                    }
                    answered(request, answer, &client, &address).await
                }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// No answer at all is an error of the service: hyper ends the connection.
async fn answered(
    request: Request<Incoming>,
    answer: Answer,
    client: &Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    address: &str,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let ended = |why: &str| std::io::Error::other(why.to_owned());
    if let Answer::Error(code, after) = answer {
        let mut body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "Made", "message": "made by the test"});
        if let Some(seconds) = after {
            body["details"] = json!({"retryAfterSeconds": seconds});
        }
        let response = Response::builder().status(code).header("content-type", "application/json");
        return Ok(response.body(Full::new(Bytes::from(body.to_string()))).unwrap());
    }
    if answer == Answer::Never {
        std::future::pending::<Infallible>().await;
    }
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    head.uri = format!("http://{address}{path}").parse().unwrap();
    head.headers.remove("host");
    let body = body.collect().await.map_err(|_| ended("the client went"))?.to_bytes();
    let real = client.request(Request::from_parts(head, Full::new(body))).await.map_err(|error| ended(&error.to_string()))?;
    let (mut head, body) = real.into_parts();
    let body = body.collect().await.map_err(|_| ended("the server went"))?.to_bytes();
    head.headers.remove("transfer-encoding");
    head.headers.remove("content-length");
    match answer {
        Answer::Lost => Err(ended("lost")),
        // As a proxy that was cut off tells it: all of the length, half of the bytes.
        Answer::Half => Ok(Response::from_parts(head, Full::new(body.slice(..body.len() / 2)))),
        Answer::Real | Answer::Error(..) | Answer::Never => Ok(Response::from_parts(head, Full::new(body))),
    }
}

#[test]
#[ignore = "needs a cluster: tests/cluster/README.md says how to run it"]
fn a_rollback_gets_through_bad_answers_and_what_cannot_be_read_is_never_healthy() {
    let cluster_folder = folder();
    let _gateway = GATEWAY.write().unwrap_or_else(PoisonError::into_inner);
    run(bad_answers(&cluster_folder));
}

async fn bad_answers(cluster_folder: &Path) {
    let (cluster, traffic, _ada) = released(cluster_folder).await;
    let proxy = Proxy::start(cluster_folder).await;
    let grace = Person::new(proxy.kubeconfig.clone());
    let target = format!("hms-test/{}", cluster.namespace);
    let place = ["--app", &cluster.namespace, "--target", &target];
    let home = grace.at("home");
    let status = async || grace.hms(DEPLOY, &home, &[&["status"], &place[..]].concat()).await;

    let bad: [(Answer, &str); 5] = [
        (Answer::Error(401, None), "does not accept the credential (401)"),
        (Answer::Error(403, None), "made by the test"),
        (Answer::Error(500, None), "the API server failed (500)"),
        (Answer::Never, "did not answer within 10 s"),
        (Answer::Half, "broke off"),
    ];
    for (answer, expected) in bad {
        proxy.answer(move |_, _, _| answer);
        let (code, told) = status().await;
        assert_eq!(code, 3, "{answer:?}: {told}");
        assert!(told.contains(expected) && !told.contains("healthy"), "{answer:?}: {told}");
        assert!(!proxy.given().is_empty());
    }
    proxy.answer(|method, _, before| match (method, before) {
        ("GET", 0) => Answer::Error(429, Some(1)),
        ("GET", 1) => Answer::Half,
        _ => Answer::Real,
    });
    let (code, told) = status().await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("origin") && told.contains("v1"), "{told}");

    // Each read fails now and then. The writes of route and workload: somebody else was faster, the server failed, the answer was lost.
    proxy.answer(|method, path, before| match method {
        "GET" if before % 7 == 3 => Answer::Error(500, None),
        "PATCH" if path.contains("/httproutes/") || path.contains("/deployments/") => match before {
            0 | 1 => Answer::Error(409, None),
            2 => Answer::Error(500, None),
            3 => Answer::Lost,
            _ => Answer::Real,
        },
        _ => Answer::Real,
    });
    let (code, told) = grace.hms(DEPLOY, &home, &[&["rollback", "--env", "prod"], &place[..]].concat()).await;
    let given = proxy.given();
    assert_eq!(code, 0, "{told}\n{given:?}");
    assert!(told.contains("✔ Reverted to tag v1"), "{told}");
    for met in ["GET Error(500, None)", "PATCH Error(409, None)", "PATCH Error(500, None)", "PATCH Lost"] {
        assert!(given.contains_key(met), "{met} was never given: {given:?}");
    }
    let image = cluster.kubectl(&["get", "deployment", "shop", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    assert_eq!(image, "127.0.0.1:5000/app:v1");
    answers_again(&traffic, "v1").await;
    let answers = traffic.end().await;
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["two", "v1"], "a request was lost: {answers:?}");
}
