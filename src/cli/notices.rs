//! Telling people who do not look, for a program that drives a rollout by itself: what goes wrong is said on standard error.

use std::sync::Arc;
use std::time::Duration;

use crate::notify::Notifier;
use crate::rollout::Hear;

use super::environment::Environment;

/// How long a program stays for the last notices.
const STAY: Duration = Duration::from_secs(10);

/// A notifier of the operator's, and what a driver tells it with.
pub(crate) struct Notices(Notifier);

impl Notices {
    /// `complain` is told once for each place that cannot be told.
    pub(crate) fn start(environment: &Environment, complain: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let over = move |trouble: Option<String>| {
            if let Some(text) = trouble {
                complain(&text);
            }
        };
        Self(Notifier::start(&environment.operator.notify, Arc::new(over)))
    }

    pub(crate) fn hear(&self) -> Hear {
        let notifier = self.0.clone();
        Hear::by(move |notice| notifier.send(notice))
    }
}

/// The last notices are waited for, a while.
impl Drop for Notices {
    fn drop(&mut self) {
        self.0.finish(STAY);
    }
}
