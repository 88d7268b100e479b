//! The background worker: a round now and then, in small steps with pauses between them.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::compaction::pace::Pace;

/// For each unit of work so many units of rest: at most a quarter of one core.
const REST: u32 = 3;
/// A step that took long is no reason to rest for ever.
const REST_MAX: Duration = Duration::from_secs(2);

/// Works until dropped.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Calls `round` on an interval, until it breaks. It is given what to call between two steps.
    pub(super) fn start(
        every: Duration,
        mut round: impl FnMut(&mut Pace<'_>) -> ControlFlow<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let run = move || {
            let mut pace = |took: Duration| {
                // To stop ends a pause early.
                let rest = (took * REST).min(REST_MAX);
                if stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && round(&mut pace).is_continue() {}
        };
        let thread = std::thread::Builder::new().name("storage-compact".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.take();
        let Some(thread) = self.thread.take() else { return };
        // The last to hold the database may be the round itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread of background work panicked");
        }
    }
}
