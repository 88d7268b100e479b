//! Work on threads of the runtime that the runtime is not told of. Telling it (`block_in_place`) wakes another thread for each
//! request, which costs more than a short query does.
//!
//! A thread that is at work may have been the one that waits for sockets and timers, and then nobody does. So while there is
//! work, a thread of its own looks each millisecond and has the runtime wake another one, which waits for them from then on. (Go's
//! `sysmon` does the same for threads that block in system calls.) Some threads of the runtime are never worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

/// So many threads of the runtime are left to everything else.
pub(crate) const THREADS_LEFT: usize = 2;
/// How often it is looked whether there is work.
const TICK: Duration = Duration::from_millis(1);
/// Without work for so many ticks, the thread that looks waits until there is some.
const TICKS_IDLE: usize = 100;

/// The work on threads of one runtime.
#[derive(Debug)]
pub(crate) struct InPlace {
    shared: Arc<Shared>,
    /// Threads that may be at work at once.
    most: usize,
    watcher: Thread,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

/// Work that runs.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl InPlace {
    /// For the runtime of the caller.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new() -> std::io::Result<Self> {
        let (shared, runtime) = (Arc::new(Shared::default()), Handle::current());
        let most = runtime.metrics().num_workers().saturating_sub(THREADS_LEFT);
        let of = Arc::clone(&shared);
        let watcher = thread::Builder::new().name("in-place".to_owned()).spawn(move || watch(&of, &runtime))?;
        Ok(Self { shared, most, watcher: watcher.thread().clone() })
    }

    /// Work begins on the calling thread of the runtime, until the guard is dropped. `None` when too many are at work.
    pub(crate) fn begin(&self) -> Option<Running<'_>> {
        let running = Running(&self.shared);
        if self.shared.running.fetch_add(1, Ordering::SeqCst) >= self.most {
            return None;
        }
        // After the count, which the thread that looks reads after it said that it sleeps.
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            self.watcher.unpark();
        }
        Some(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for InPlace {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.watcher.unpark();
    }
}

fn watch(shared: &Shared, runtime: &Handle) {
    let mut idle = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
            // Whoever takes it looks for more, and waits for sockets and timers when there is none.
            runtime.spawn(async {});
        } else {
            idle += 1;
        }
        if idle < TICKS_IDLE {
            thread::park_timeout(TICK);
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while shared.asleep.load(Ordering::SeqCst)
            && shared.running.load(Ordering::SeqCst) == 0
            && !shared.ended.load(Ordering::SeqCst)
        {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn the_rest_goes_on_while_a_thread_is_at_work() {
        let in_place = Arc::new(InPlace::new().unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::channel();
        // Long work, which ends when sockets are served.
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let running = in_place.begin();
            assert!(in_place.begin().is_none(), "one of three threads may be at work");
            let client = thread::spawn(move || std::net::TcpStream::connect(address).map(drop));
            received.recv().unwrap();
            drop(running);
            assert!(in_place.begin().is_some());
            client.join().unwrap().unwrap();
        });
        listener.accept().await.unwrap();
        tokio::time::sleep(TICK).await;
        sender.send(()).unwrap();
        tasks.join_next().await.unwrap().unwrap();
    }
}
