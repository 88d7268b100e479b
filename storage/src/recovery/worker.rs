//! The thread that seals: a round now and then, in small steps with pauses between them.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::recovery::Db;

/// For each moment of work so many moments of rest: at most a quarter of one core.
const REST: u32 = 3;
/// A step that took long is no reason to rest for ever.
const REST_MAX: Duration = Duration::from_secs(2);

/// Seals until dropped.
#[derive(Debug)]
pub(crate) struct Sealer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Sealer {
    fn drop(&mut self) {
        self.stop.take();
        let Some(thread) = self.thread.take() else { return };
        // The last to hold the database may be the round itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that seals panicked");
        }
    }
}

impl Db {
    /// Has a thread of the database's own call [`Db::seal`] by the system's clock, until [`Db::close`]. It works a quarter
    /// of the time at most.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start_sealing(self: &Arc<Self>) -> io::Result<()> {
        let (stop, stopped) = channel::<()>();
        let every = Duration::from_millis(u64::from(self.bucket_ms() / 6).clamp(1000, 300_000));
        let db = Arc::downgrade(self);
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && round(&db, &stopped).is_continue() {}
        };
        let thread = std::thread::Builder::new().name("storage-seal".to_owned()).spawn(run)?;
        self.seal_with(Sealer { stop: Some(stop), thread: Some(thread) });
        Ok(())
    }
}

fn round(db: &Weak<Db>, stopped: &Receiver<()>) -> ControlFlow<()> {
    let Some(db) = db.upgrade() else { return ControlFlow::Break(()) };
    let mut pace = |took: Duration| {
        let rest = (took * REST).min(REST_MAX);
        if stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    if let Err(error) = db.seal_paced(model::time::now_ms(), &mut pace) {
        db.count_seal_failure();
        tracing::error!(%error, "cannot turn rows into pages; they stay as they are until the next round");
    }
    ControlFlow::Continue(())
}
