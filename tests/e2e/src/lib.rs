//! What the end-to-end tests share: real processes on free loopback ports, and HTTP to them.
//!
//! - **What**: [`Weft`], [`Prometheus`], [`ControlPlane`], [`GoTarget`] and [`Process`] start programs and end them by
//!   their own id; [`Http`] asks them; [`Exporter`] is a target that says what a test wants.
//! - **Path**: outside the product, around all of it.
//! - **Invariants**: everything listens on loopback or in a namespace that the test made; nothing outlives its test; a
//!   test waits for a condition, never for a time.
//! - **Files**: `process`, `weft`, `prometheus`, `control_plane`, `go_target`, `http`, `exporter`, `clock`.
//! - **Tests**: `tests/`.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "a kit for tests: a failed step is its message")]

mod clock;
mod control_plane;
mod exporter;
mod go_target;
mod http;
mod process;
mod prometheus;
mod weft;

pub use clock::TestClock;
pub use control_plane::{ControlPlane, Pki};
pub use exporter::{Answer, Exporter, read_head};
pub use go_target::GoTarget;
pub use http::Http;
pub use process::Process;
pub use prometheus::Prometheus;
pub use weft::Weft;

use std::path::PathBuf;
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

/// Where `cargo xtask` keeps what it built.
pub(crate) fn cache() -> Option<PathBuf> {
    std::env::var_os("WEFT_CACHE").map(PathBuf::from).or_else(|| {
        let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        user.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).map(|cache| cache.join("weft"))
    })
}

/// Says that a test did not run.
pub fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
