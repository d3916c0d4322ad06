//! Users: requests all along, none of which may fail, and a count of who answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The requests that a measurement counts, of which the other user takes turns: so a share of 10 % is measured within 6 points.
const COUNTED: u32 = 400;
pub(super) const WITHIN: f64 = 0.06;

/// What a user who never stops saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answered: u64,
    pub(super) failed: Vec<String>,
}

/// A user who never stops. Before the first release there is nothing to see; from the first answer on each request must be answered.
pub(super) struct Traffic {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Traffic {
    pub(super) fn start(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                match get(address) {
                    Ok(_) => seen.answered += 1,
                    Err(why) if seen.answered > 0 => seen.failed.push(why),
                    Err(_) => {}
                }
                // The pace of a few hundred requests a second, not a wait for anything.
                std::thread::sleep(Duration::from_millis(3));
            }
            seen
        });
        Self { over, thread }
    }

    pub(super) fn stop(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Which version answers.
pub(super) fn get(address: SocketAddr) -> Result<String, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(|error| error.to_string())?;
    let request = b"GET / HTTP/1.1\r\nHost: shop\r\nhms-synthetic: 1\r\nConnection: close\r\n\r\n";
    stream.write_all(request).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(answer.lines().next().unwrap_or("no answer at all").to_owned());
    }
    let start = body.find("\"version\":\"").ok_or_else(|| format!("no version in {body}"))? + "\"version\":\"".len();
    Ok(body[start..].split('"').next().unwrap_or_default().to_owned())
}

/// The share of answers that come from `version`, by counting; none when nobody answers.
pub(super) fn share(address: SocketAddr, version: &str) -> Option<f64> {
    get(address).ok()?;
    let end = Instant::now() + Duration::from_secs(20);
    let mut of_it = 0;
    for _ in 0..COUNTED {
        assert!(Instant::now() < end, "the proxy is too slow to be counted");
        of_it += u32::from(get(address).is_ok_and(|found| found == version));
    }
    Some(f64::from(of_it) / f64::from(COUNTED))
}
