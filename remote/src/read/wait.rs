//! Waits on a thread that evaluates a query for what the runtime does: such a thread may be one of the runtime's own, on which
//! `block_on` is not allowed (decision 0012).

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use model::{Caller, QuerierError};

/// How often it is asked whether the query is still wanted.
const STEP: Duration = Duration::from_millis(20);

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until the future is ready. It must not be one of tokio's own, whose budget only grows when a task yields.
///
/// # Errors
/// When the caller does not want it any more.
pub(super) fn wait<T>(future: impl Future<Output = T>, caller: Caller<'_>) -> Result<T, QuerierError> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
            return Ok(ready);
        }
        caller.grow(0)?;
        thread::park_timeout(STEP);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn it_ends_with_what_it_waits_for_or_with_who_waits() {
        let (send, receive) = futures::channel::oneshot::channel();
        let sender = thread::spawn(move || send.send(7).unwrap());
        assert_eq!(wait(receive, Caller(None)).unwrap(), Ok(7));
        sender.join().unwrap();
        let asked = AtomicUsize::new(0);
        let grow = |bytes| {
            assert_eq!(bytes, 0);
            if asked.fetch_add(1, Ordering::Relaxed) < 2 { Ok(()) } else { Err(QuerierError::Stopped) }
        };
        let never = futures::future::pending::<()>();
        assert!(matches!(wait(never, Caller(Some(&grow))), Err(QuerierError::Stopped)));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
