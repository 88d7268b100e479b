//! Waiting, and the CPU time of a benchmark that measures itself.

use std::time::Duration;

use anyhow::Result;
use nix::time::ClockId;

/// User and system time of this process.
///
/// # Errors
/// When the kernel does not tell.
pub fn cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// Lets time pass: a benchmark lasts as long as it was told to.
#[expect(clippy::disallowed_methods, reason = "a phase of a benchmark is a span of time, not a signal")]
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}
