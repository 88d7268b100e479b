//! Waiting. A benchmark lasts as long as it was told to.

use std::time::Duration;

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "a phase of a benchmark is a span of time, not a signal")]
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}
