//! The thread that syncs the write-ahead log to the disk.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kv::store::Store;

/// Syncs on an interval, until dropped.
#[derive(Debug)]
pub(crate) struct Syncer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(crate) fn start(store: Arc<Store>, interval: Duration) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let run = move || {
            let mut last = 0;
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let sequence = store.db.latest_sequence_number();
                if sequence == last {
                    store.keep_manifest();
                    continue;
                }
                match store.sync() {
                    Ok(()) => last = sequence,
                    Err(error) => {
                        store.metrics.sync_failures.inc();
                        tracing::error!(%error, "cannot sync the write-ahead log");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("storage-sync".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log panicked");
        }
    }
}
