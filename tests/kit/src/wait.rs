//! Waiting for conditions, and ports for programs.

use std::time::Duration;

/// How long a condition may take to become true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; panics with what was last seen when patience runs out.
///
/// # Panics
/// When the condition does not become true.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) => assert!(std::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}; last: {seen}"),
        }
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    }
}

/// A port that was free a moment ago, for programs that cannot be asked which one they took.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
