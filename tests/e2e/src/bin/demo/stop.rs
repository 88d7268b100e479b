//! Signals that ask the demo to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How often somebody who waits looks at other things.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether one has come.
#[derive(Debug)]
pub(crate) struct Stop {
    is_asked: Arc<AtomicBool>,
    told: Receiver<()>,
}

impl Stop {
    /// From here on Ctrl-C, SIGTERM and the end of the terminal are heard instead of ending the process.
    pub(crate) fn listen() -> Self {
        let (tell, told) = mpsc::channel();
        let is_asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_asked);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let entered = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupt, mut terminate, mut hang_up] = kinds.map(|kind| signal(kind).unwrap());
        drop(entered);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                    _ = hang_up.recv() => (),
                }
            });
            flag.store(true, Ordering::Relaxed);
            tell.send(()).ok();
        });
        Self { is_asked, told }
    }

    /// Says at any time whether one has come.
    pub(crate) fn flag(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let is_asked = Arc::clone(&self.is_asked);
        move || is_asked.load(Ordering::Relaxed)
    }

    /// Waits a moment: has one come?
    pub(crate) fn wait(&self) -> bool {
        self.told.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout)
    }
}
