//! The threads that scrape. Each waits for, fetches, reads and stores the targets that fall to it by itself: handing a page
//! to another thread and waking up again costs more than reading a small one.

use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Bodies up to this size are read on the thread that fetched them, bytes: less than a millisecond's work.
pub(crate) const READ_HERE_BYTES: usize = 256 << 10;

/// Runtimes of one thread each; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads {
    handles: Vec<Handle>,
    _running: Vec<oneshot::Sender<()>>,
}

impl Threads {
    /// So many threads; with none, everything runs where it is asked for.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let (mut handles, mut running) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for i in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (sender, ended) = oneshot::channel::<()>();
            handles.push(runtime.handle().clone());
            running.push(sender);
            thread::Builder::new().name(format!("scrape-{i}")).spawn(move || {
                // An error says that the sender is gone, which is the end.
                runtime.block_on(ended).ok();
                // What still reads a large body ends by itself.
                runtime.shutdown_background();
            })?;
        }
        Ok(Self { handles, _running: running })
    }

    /// Where a target with this hash is scraped.
    pub(crate) fn of(&self, hash: u64) -> Handle {
        match self.handles.len() {
            0 => Handle::current(),
            n => self.handles[(hash % n as u64) as usize].clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_keep_their_thread_and_share_all_of_them() {
        let threads = Threads::start(2).unwrap();
        let ran_on = |hash| {
            let (sender, receiver) = std::sync::mpsc::channel();
            threads.of(hash).spawn(async move { sender.send(thread::current().id()).unwrap() });
            receiver.recv().unwrap()
        };
        assert_eq!(ran_on(4), ran_on(6));
        assert_ne!(ran_on(4), ran_on(7));
        assert_ne!(ran_on(4), thread::current().id());
    }
}
