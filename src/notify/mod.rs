//! Telling people who do not look: a command or a POST for each notice, beside whoever does the work.
//!
//! Nothing waits for it but the end of a process, and that for a bounded time. A notice is sent when its event was written, which happens
//! once, so that no engine that takes a run up again tells it twice; one that was killed in between is not told (`docs/decisions.md` 22.3).
//! Where to is the operator's alone: a repository that named a command or an address could run and send what it likes as the engine.
//!
//! Names `event` and `policy` (its settings), no other room. `command` and `post` are one way each.

mod command;
mod post;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Notice;
use crate::policy::{NotifySink, NotifyWay};

/// Notices that wait at one sink; more are left out, and that is said.
const WAITING: usize = 32;
/// The most that one process sends to one sink.
const MOST: usize = 200;
/// How often a notice is tried, and the pause before each further time.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// Between two looks at what is still under way.
const LOOK: Duration = Duration::from_millis(20);

/// Is told when a notice is over: with a sentence the first time that a sink failed.
pub type Over = Arc<dyn Fn(Option<String>) + Send + Sync>;

/// Sends notices beside its owner.
#[derive(Clone)]
pub struct Notifier {
    sinks: Vec<Sink>,
    under_way: Arc<AtomicUsize>,
    over: Over,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").field("sinks", &self.sinks.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Sink {
    settings: NotifySink,
    queue: SyncSender<Notice>,
    taken: Arc<AtomicUsize>,
    said: Said,
}

/// What went wrong is said once a sink.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<bool>>);

impl Said {
    fn once(&self, sentence: String) -> Option<String> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!std::mem::replace(&mut *said, true)).then_some(sentence)
    }
}

impl Notifier {
    /// Starts a thread for each sink; none for none.
    #[must_use]
    pub fn start(sinks: &[NotifySink], over: Over) -> Self {
        let under_way = Arc::new(AtomicUsize::new(0));
        let start = |settings: &NotifySink| {
            let (queue, notices) = sync_channel(WAITING);
            let said = Said::default();
            let (settings_there, said_there, over_there) = (settings.clone(), said.clone(), Arc::clone(&over));
            let under_way_there = Arc::clone(&under_way);
            // It ends with its sender, and each notice of its in a bounded time.
            std::thread::spawn(move || serve(&settings_there, &notices, &under_way_there, &said_there, &over_there));
            Sink { settings: settings.clone(), queue, taken: Arc::new(AtomicUsize::new(0)), said }
        };
        Self { sinks: sinks.iter().map(start).collect(), under_way, over }
    }

    /// Hands a notice to every sink that wants its kind. Never blocks.
    pub fn send(&self, notice: &Notice) {
        for sink in self.sinks.iter().filter(|sink| sink.settings.on.contains(&notice.event)) {
            let full = |what: &str| (self.over)(sink.said.once(format!("{}: {what}; the rest is not told", sink.settings.way)));
            if sink.taken.fetch_add(1, Ordering::Relaxed) >= MOST {
                full("too many notices");
                continue;
            }
            self.under_way.fetch_add(1, Ordering::AcqRel);
            match sink.queue.try_send(notice.clone()) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.under_way.fetch_sub(1, Ordering::AcqRel);
                    full("it is slower than what happens");
                }
            }
        }
    }

    /// Whether any notice is on its way.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Waits until all are over, so long at the most; for the end of a process.
    pub fn finish(&self, bound: Duration) {
        let end = Instant::now() + bound;
        while self.is_at_work() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }
}

fn serve(sink: &NotifySink, notices: &Receiver<Notice>, under_way: &AtomicUsize, said: &Said, over: &Over) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    while let Ok(notice) = notices.recv() {
        let sent = runtime.block_on(deliver(sink, &notice));
        under_way.fetch_sub(1, Ordering::AcqRel);
        over(sent.err().and_then(|why| said.once(format!("{} could not be told of {}: {why}", sink.way, notice.message))));
    }
}

/// Tries a few times. What a server refuses for good (4xx) is not tried again.
async fn deliver(sink: &NotifySink, notice: &Notice) -> Result<(), String> {
    let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
    let mut last = String::new();
    for turn in 0..TRIES {
        if turn > 0 {
            tokio::time::sleep(PAUSE * turn).await;
        }
        let one = async {
            match &sink.way {
                NotifyWay::Command(argv) => command::run(argv, &body, TRY).await,
                NotifyWay::Post { url, bearer_file, ca } => {
                    post::send(url, bearer_file.as_deref(), ca.as_deref(), &notice.id, body.clone(), TRY).await
                }
            }
        };
        match tokio::time::timeout(TRY + PAUSE, one).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Trouble::ForGood(why))) => return Err(why),
            Ok(Err(Trouble::ForNow(why))) => last = why,
            Err(_) => last = format!("no answer within {} s", TRY.as_secs()),
        }
    }
    Err(format!("{last} ({TRIES} tries)"))
}

/// Why one try failed. Neither repeats what a server or a command said: it may hold anything.
enum Trouble {
    ForNow(String),
    ForGood(String),
}
