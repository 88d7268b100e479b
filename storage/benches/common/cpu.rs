use std::time::Duration;

use nix::time::ClockId;

/// CPU time of this process, RocksDB's own threads included.
pub(crate) fn cpu() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().unwrap().into()
}
