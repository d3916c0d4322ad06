//! The local target's proxy: whether one in a hundred is one in a hundred, and what it adds to a request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use hms::deploy::local::LocalTarget;
use hms::deploy::release::digest_of_tree;
use hms::deploy::{ArmName, Effect, ReleaseRecord, Target};
use hms::event::{AppName, Digest, EnvironmentName, ReleaseRef};
use hms::store::Places;

use crate::Answer;
use crate::spread::Spread;
use crate::table::Row;
use crate::world::HMS;

const REQUESTS: u32 = 10_000;
/// Of so many requests at 1 %, so many are the canary's, and at most one more or less.
const CANARY: u32 = REQUESTS / 100;

pub(crate) fn measure() -> Answer<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let places = Places { state: at("state"), runtime: at("runtime"), data: at("data") };
    for place in [&places.state, &places.runtime, &places.data] {
        hms::store::make_private_folder(place)?;
    }
    let target = LocalTarget::open(&places, &"shop".parse::<AppName>()?, Path::new(HMS)).listening_at("127.0.0.1:0".parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(arranged(&target, folder.path())).and_then(|(proxy, direct)| {
        let requests = alternate(&proxy, &direct)?;
        let served = runtime.block_on(target.observe(&"prod".parse()?))?.served;
        rows(&requests, served)
    });
    // Whatever came of it, nothing that was started stays.
    runtime.block_on(target.stop(&|_| ()))?;
    measured
}

/// Two releases behind the proxy, the second a canary of 1 %: the proxy's address, and stable's own.
async fn arranged(target: &LocalTarget, folder: &Path) -> Answer<(String, String)> {
    let prod: EnvironmentName = "prod".parse()?;
    let (stable, canary) = (place(target, folder, "stable").await?, place(target, folder, "canary").await?);
    let start = |release: &Digest| Effect::Start { release: release.clone(), arm: ArmName::Canary, timeout_ms: 15_000 };
    for effect in [start(&stable), Effect::Promote { release: stable.clone() }, start(&canary), Effect::Weigh { weight: "1%".parse()? }] {
        target.apply(&prod, 1, &effect, &|_| ()).await?;
    }
    let status = target.status().await?;
    let environment = status.environments.into_iter().find(|found| found.environment == prod).ok_or("prod is not there")?;
    let arm = environment.arms.iter().find(|arm| arm.view.release == stable).ok_or("stable does not run")?;
    let address = environment.address.ok_or("the proxy does not listen")?;
    Ok((address.trim_start_matches("http://").to_owned(), format!("127.0.0.1:{}", arm.port)))
}

async fn place(target: &LocalTarget, folder: &Path, version: &str) -> Answer<Digest> {
    let tree = folder.join(version);
    std::fs::create_dir_all(tree.join("dist"))?;
    std::fs::write(tree.join("dist/index.html"), format!("<title>{version}</title>"))?;
    let (digest, files, bytes) = digest_of_tree(&tree)?;
    let record = ReleaseRecord {
        must_be_scanned: std::collections::BTreeMap::new(),
        images: Vec::new(),
        format: 1,
        release: ReleaseRef { digest: digest.clone(), revision: None, tag: version.to_owned(), tag_object: None, run: None },
        app: "shop".parse()?,
        created_at: hms::store::now(),
        files,
        bytes,
        start: None,
        scan: None,
    };
    target.place(&record, &tree).await?;
    Ok(digest)
}

/// What a client saw.
struct Requests {
    proxied: Vec<Duration>,
    direct: Vec<Duration>,
    of_canary: u32,
}

/// One request to the proxy, one to the release, and so on, each over a connection that is kept.
fn alternate(proxy: &str, direct: &str) -> Answer<Requests> {
    let (mut proxy, mut direct) = (Connection::open(proxy)?, Connection::open(direct)?);
    let mut requests = Requests { proxied: Vec::new(), direct: Vec::new(), of_canary: 0 };
    for _ in 0..REQUESTS {
        let (elapsed, body) = proxy.get()?;
        requests.proxied.push(elapsed);
        requests.of_canary += u32::from(body.contains("canary"));
        let (elapsed, _) = direct.get()?;
        requests.direct.push(elapsed);
    }
    Ok(requests)
}

fn rows(requests: &Requests, served: Option<(u64, u64)>) -> Answer<Vec<Row>> {
    let (canary, stable) = served.ok_or("the target does not say what it served")?;
    let (proxied, direct) = (Spread::of(requests.proxied.iter().copied()), Spread::of(requests.direct.iter().copied()));
    let two = |spread: &Spread| format!("{:.0} / {:.0} µs", spread.at(500) * 1000.0, spread.at(950) * 1000.0);
    let over = |thousandths| (proxied.at(thousandths) - direct.at(thousandths)) * 1000.0;
    let exact = requests.of_canary.abs_diff(CANARY) <= 1 && canary == u64::from(requests.of_canary);
    Ok(vec![
        Row::to_reach(
            format!("{REQUESTS} requests at 1 %"),
            format!("{} answered by the canary; hms says {canary} of {}", requests.of_canary, canary + stable),
            format!("{CANARY} ± 1, and hms says so"),
            exact,
        ),
        Row::plain("a request straight to the release, p50 / p95", two(&direct)),
        Row::plain("the same through the proxy, p50 / p95", two(&proxied)),
        Row::plain("the proxy over it, p50 / p95", format!("{:.0} / {:.0} µs", over(500), over(950))),
    ])
}

/// A kept connection (HTTP/1.1, RFC 9112).
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(host: &str) -> Answer<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// One request and its whole answer, which must be a 200.
    fn get(&mut self) -> Answer<(Duration, String)> {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let started = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(format!("{} answered {status:?}", self.host).into());
        }
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.ok_or("an answer without a length")?];
        self.stream.read_exact(&mut body)?;
        Ok((started.elapsed(), String::from_utf8(body)?))
    }

    fn line(&mut self) -> Answer<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}
