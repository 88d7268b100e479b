//! At which times two servers are asked.

use model::Timestamp;

use crate::flags::Flags;
use crate::outcome::Stop;
use crate::times::{duration_flag, parse_time};

/// So far back the times end by default: both servers have what was scraped until then.
const BEHIND_MS: i64 = 60_000;
/// So long a range is by default.
const RANGE_MS: i64 = 3_600_000;
/// So many steps a range has about, by default.
const STEPS: i64 = 240;
const SECOND_NS: i64 = 1_000_000_000;

/// At which times queries are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Of instant queries.
    pub(super) time: Timestamp,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) step_ns: i64,
}

impl Times {
    /// Those of the flags.
    pub(super) fn of(flags: &Flags<'_>) -> Result<Self, Stop> {
        let time = |name: &str| {
            let time =
                flags.value(name).map(|text| parse_time(text).map_err(|why| Stop::Misuse(format!("--{name}: {why}"))));
            time.transpose()
        };
        // A whole second, which dashboards and people can repeat.
        let recent = Timestamp::now().saturating_sub(BEHIND_MS).0;
        let end = time("end")?.unwrap_or(Timestamp(recent - recent.rem_euclid(1000)));
        let start = time("start")?.unwrap_or(end.saturating_sub(RANGE_MS));
        if start >= end {
            return Err(Stop::Misuse("start time is not before end time".to_owned()));
        }
        let default_step = (end.0.saturating_sub(start.0) / 1000 / STEPS).max(1).saturating_mul(SECOND_NS);
        let step_ns = duration_flag(flags, "step")?.filter(|step| *step > 0).unwrap_or(default_step);
        Ok(Self { time: time("time")?.unwrap_or(end), start, end, step_ns })
    }

    /// In whole seconds.
    pub(super) fn step_seconds(&self) -> i64 {
        (self.step_ns / SECOND_NS).max(1)
    }

    pub(super) fn range_ms(&self) -> i64 {
        self.end.0.saturating_sub(self.start.0)
    }
}
