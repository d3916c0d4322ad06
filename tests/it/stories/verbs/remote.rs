//! `include: remote`: fetched over TLS, held to its `integrity`, kept by digest, and never fetched again for a run that is there.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::World;

/// An authority of these tests and a server's certificate and key of it, for 127.0.0.1, made for them and used nowhere else; valid from
/// 2020 to 2120.
const AUTHORITY: &str = "MIIBdjCCARugAwIBAgIBATAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZhdXRob3JpdHkgb2YgdGhlIHRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAhMR8wHQYDVQQDDBZhdXRob3JpdHkgb2YgdGhlIHRlc3RzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGLmP90OiXxc1W9B76y9/A1XA+DuDXm440PZBawaM3qTkxRG4bKet8kEqy2vu5wf4Sx64jXPk3YH79cxz2+3VvaNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFD042sMjoYBFF3Qn6uAky++gGqW7MAoGCCqGSM49BAMCA0kAMEYCIQDpDtIcKxs5Lc3HUfU7sqdX5ZIeYb8qva1xKyQuH2bBzAIhAI6hlf7e4wFgDAFkxg6Y6IOzOhRIoxgeE4ROXTjSJYRN";
const CERTIFICATE: &str = "MIIBojCCAUmgAwIBAgIBAjAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZhdXRob3JpdHkgb2YgdGhlIHRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAeMRwwGgYDVQQDDBNzZXJ2ZXIgb2YgdGhlIHRlc3RzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqyMy575Qo+qykwQb99nYI1old/2uzy1aZWRRhcw5eRfuCvVeswFSO9Kqa/arqoLdxRkktFj+gvVFsOSpxOOWBqNzMHEwDwYDVR0RBAgwBocEfwAAATAJBgNVHRMEAjAAMBMGA1UdJQQMMAoGCCsGAQUFBwMBMB0GA1UdDgQWBBRyvfa+pBtsTDmNRvoTbeT+0J/b1TAfBgNVHSMEGDAWgBQ9ONrDI6GARRd0J+rgJMvvoBqluzAKBggqhkjOPQQDAgNHADBEAiB4waBmypR8nn2CWme/WQnQ/QsevLNAarRuQaIwjjyyLwIgP5Qp8iaiRd0iUmKfL3f/EjfR8rCFxd+3vfFHxKboF1k=";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgnPF6gO+DZ1OyFkqwamvdSiiGH/BbLBRPBOuV6h2ykuihRANCAASrIzLnvlCj6rKTBBv32dgjWiV3/a7PLVplZFGFzDl5F+4K9V6zAVI70qpr9quqgt3FGSS0WP6C9UWw5KnE45YG";

/// What a path answers: the whole of an HTTP response's head but its length, and its body.
type Pages = BTreeMap<String, (String, String)>;

/// A server with TLS on loopback.
struct Server {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    pages: Pages,
    asked: Vec<String>,
    ended: bool,
}

impl Server {
    fn start() -> Self {
        let der = |text: &str| STANDARD.decode(text).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(der(CERTIFICATE))], PrivateKeyDer::Pkcs8(der(KEY).into()))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (config, theirs) = (Arc::new(config), shared.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if theirs.lock().unwrap().ended {
                    return;
                }
                // A client that goes away is its own affair.
                let _ = serve(&config, stream, &theirs);
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    fn page(&self, path: &str, body: &str) {
        self.answer(path, "HTTP/1.1 200 OK\r\n", body);
    }

    fn answer(&self, path: &str, head: &str, body: &str) {
        self.shared.lock().unwrap().pages.insert(path.to_owned(), (head.to_owned(), body.to_owned()));
    }

    fn asked(&self, path: &str) -> usize {
        self.shared.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }

    fn end(&mut self) {
        self.shared.lock().unwrap().ended = true;
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(config: &Arc<rustls::ServerConfig>, stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(super::PATIENCE))?;
    let connection = rustls::ServerConnection::new(config.clone()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head).into_owned();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let missing = || ("HTTP/1.1 404 Not Found\r\n".to_owned(), String::new());
    let (head, body) = {
        let mut shared = shared.lock().unwrap();
        shared.asked.push(path.clone());
        shared.pages.get(&path).cloned().unwrap_or_else(missing)
    };
    write!(stream, "{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// A world whose operator lets this server in.
fn world(server: &Server, pipeline: &str) -> World {
    let world = World::new(pipeline);
    let folder = world.path("home/.config/hms");
    std::fs::create_dir_all(&folder).unwrap();
    let authority = folder.join("ca.pem");
    std::fs::write(&authority, format!("-----BEGIN CERTIFICATE-----\n{AUTHORITY}\n-----END CERTIFICATE-----\n")).unwrap();
    let config = format!("includes: {{remote: [{{origin: \"{}\", ca: {}}}]}}\n", server.origin(), authority.display());
    std::fs::write(folder.join("config.yml"), config).unwrap();
    world
}

fn integrity(body: &str) -> String {
    let digest = hms::event::Digest::of(body.as_bytes());
    let byte = |at: usize| u8::from_str_radix(&digest.hex()[at * 2..at * 2 + 2], 16).unwrap();
    format!("sha256-{}", STANDARD.encode((0..32).map(byte).collect::<Vec<u8>>()))
}

#[test]
fn a_pinned_file_is_fetched_once_and_used_without_its_server() {
    let mut server = Server::start();
    let body = "far: {script: [echo from-far]}\n";
    server.page("/ci/a.yml", body);
    let pipeline =
        format!("include: [{{remote: '{}', integrity: '{}'}}]\nnear: {{script: 'true'}}\n", server.url("/ci/a.yml"), integrity(body));
    let world = world(&server, &pipeline);
    let said = world.hms(&["validate"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!format!("{}{}", said.out, said.err).contains("integrity"), "{said:?}");
    server.end();
    let listed = world.hms(&["list"]);
    assert!(listed.out.contains("far") && listed.out.contains("near"), "{listed:?}");
    assert_eq!(server.asked("/ci/a.yml"), 1);
    let run = world.hms(&["run", "--headless"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(world.run_folder(1).join("plan.json")).unwrap()).unwrap();
    let digest = hms::event::Digest::of(body.as_bytes()).to_string();
    assert_eq!(plan["fetched"], serde_json::json!([{"address": server.url("/ci/a.yml"), "digest": digest, "pinned": true}]));
}

#[test]
fn a_file_that_is_not_pinned_is_warned_about_and_a_retry_uses_the_very_bytes() {
    let mut server = Server::start();
    let world = world(&server, "near: {script: 'true'}\n");
    let flag = world.path("flag");
    let body = format!("far: {{script: [test -e '{}', echo first-bytes]}}\n", flag.display());
    server.page("/a.yml", &body);
    world.commit(&format!("include: {}\n", server.url("/a.yml")), "two");
    let said = world.hms(&["validate"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = format!("{}{}", said.out, said.err);
    assert!(
        told.contains(".hms-ci.yml:1:10: warning: ") && told.contains("has no `integrity`") && told.contains(&integrity(&body)),
        "{told}"
    );
    let run = world.hms(&["run", "--headless"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    std::fs::write(&flag, "").unwrap();
    server.page("/a.yml", "far: {script: [exit 9]}\n");
    let retried = world.hms(&["retry", "1", "--wait"]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert!(world.hms(&["logs", "far"]).out.contains("first-bytes"));
    server.end();
    let bytes = world.path("repo/.git/hms/includes").join(hms::event::Digest::of(body.as_bytes()).hex());
    assert_eq!(std::fs::read_to_string(bytes).unwrap(), body);
}

#[test]
fn a_kept_file_is_not_asked_for_again_before_its_time() {
    let server = Server::start();
    server.page("/a.yml", "far: {script: x}\n");
    let entry = |cache: &str| format!("include: [{{remote: '{}', cache: {cache}}}]\n", server.url("/a.yml"));
    let world = world(&server, &entry("1 day"));
    for _ in 0..3 {
        assert_eq!(world.hms(&["validate"]).code, Some(0));
    }
    assert_eq!(server.asked("/a.yml"), 1);
    std::fs::write(world.path("repo/.hms-ci.yml"), entry("false")).unwrap();
    for _ in 0..2 {
        assert_eq!(world.hms(&["validate"]).code, Some(0));
    }
    assert_eq!(server.asked("/a.yml"), 3);
}

#[test]
fn what_cannot_be_had_is_told_with_its_place_and_the_way_out() {
    let mut server = Server::start();
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\n");
    server.page("/good.yml", "far: {script: x}\n");
    server.answer("/moved.yml", &redirect("/good.yml"), "");
    server.answer("/plain.yml", &redirect("http://files.example.org/good.yml"), "");
    server.answer("/away.yml", &redirect("https://files.example.org/good.yml"), "");
    server.answer("/round.yml", &redirect("/round.yml"), "");
    server.page("/large.yml", &"#".repeat((1 << 20) + 1));
    server.page("/near.yml", "include: [other.yml]\n");
    let origin = server.origin();
    let one = |path: &str, more: &str| format!("{{remote: '{origin}{path}'{more}}}");
    let wrong = format!(", integrity: '{}'", integrity("something else"));
    let table = [
        (one("/moved.yml", &format!(", integrity: '{}'", integrity("far: {script: x}\n"))), None),
        (one("/good.yml", &wrong), Some("is not what its `integrity` says")),
        (one("/gone.yml", ""), Some("its server answers 404")),
        (one("/plain.yml", ""), Some("files.example.org, without TLS")),
        (one("/away.yml", ""), Some("does not name https://files.example.org")),
        (one("/round.yml", ""), Some("redirects more than 5 times")),
        (one("/large.yml", ""), Some("larger than 1048576 bytes")),
        (one("/near.yml", ""), Some("has no files beside it")),
        ("https://files.example.org/a.yml".to_owned(), Some("the operator's file does not name https://files.example.org")),
    ];
    let world = world(&server, "near: {script: 'true'}\n");
    let said = |entry: &str| {
        std::fs::write(world.path("repo/.hms-ci.yml"), format!("include: [{entry}]\nnear: {{script: x}}\n")).unwrap();
        world.hms(&["validate"])
    };
    for (entry, expected) in table {
        let said = said(&entry);
        let told = format!("{}{}", said.out, said.err);
        match expected {
            None => assert_eq!(said.code, Some(0), "{told}"),
            Some(part) => {
                assert_eq!(said.code, Some(2), "{entry}: {told}");
                assert!(told.contains(part) && told.contains(":1:"), "{entry}: {told}");
            }
        }
    }
    server.end();
    let offline = said(&one("/good.yml", ""));
    let told = format!("{}{}", offline.out, offline.err);
    assert_eq!(offline.code, Some(2), "{told}");
    for part in [&format!(".hms-ci.yml:1:20: error: `{origin}/good.yml` cannot be included: it cannot be fetched"), "commit a copy of it"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn loopback_is_not_reached_unless_the_operator_says_so() {
    let server = Server::start();
    server.page("/a.yml", "far: {script: x}\n");
    let world = World::new(&format!("include: {}\nnear: {{script: x}}\n", server.url("/a.yml")));
    let said = world.hms(&["validate"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(format!("{}{}", said.out, said.err).contains("this machine itself"), "{said:?}");
    assert_eq!(server.asked("/a.yml"), 0);
}
