//! Synthetic users: bounded load on the demo's service, from the moment a release answers until it is told to end.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::deploy::ArmName;
use crate::deploy::local::{LoadProgress, LocalEnvironment, LocalTarget, load};
use crate::event::Weight;

use super::super::failure::Failure;
use super::world::World;

/// Requests a second: the canary's share of 1 % earns PASS in about 17 s.
pub(super) const RATE: u32 = 2000;
/// How often to look whether there is somebody to ask.
const LOOK: Duration = Duration::from_millis(50);

/// Traffic that goes on until it is ended.
pub(super) struct Traffic {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Option<LoadProgress>>>,
}

impl Traffic {
    /// Starts it; it ends by itself after `bound`.
    pub(super) fn start(world: &World, bound: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let seen: Arc<Mutex<Option<LoadProgress>>> = Arc::default();
        let (target, telling) = (world.target(), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let tell = move |progress: LoadProgress| *telling.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
                let send = async {
                    let Some(address) = address(&target).await else { return };
                    let _ = load(&address, RATE, bound, "/", &tell).await;
                };
                tokio::select! {
                    () = send => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self { stop: Some(stop), thread: Some(thread), seen })
    }

    /// Ends it; what was sent, as it was last told.
    pub(super) fn end(mut self) -> Option<LoadProgress> {
        self.finish();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Where users reach the service, once a release has traffic there. Ended by whoever waits for it.
async fn address(target: &LocalTarget) -> Option<String> {
    loop {
        let status = target.status().await.ok();
        let ready = status.into_iter().flat_map(|status| status.environments).find(|found| found.listening && serves(found));
        if let Some(found) = ready {
            return found.address;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn serves(found: &LocalEnvironment) -> bool {
    found.arms.iter().any(|arm| arm.view.arm == ArmName::Stable || (arm.view.arm == ArmName::Canary && found.weight != Weight::ZERO))
}
