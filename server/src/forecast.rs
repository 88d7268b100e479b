//! How much disk and memory the server will need, if things go on as they are: what the last day wrote, over the retention; and how
//! many series fit into the memory that there is.

use std::path::Path;

use model::Timestamp;
use storage::{PartitionStats, Stats};

use crate::container::bytes_of;
use crate::settings::Retention;

/// The past that tells how much is written.
const LOOKED_AT_MS: i64 = 24 * 60 * 60 * 1000;
/// Less than that tells nothing.
const LOOKED_AT_MIN_MS: i64 = 10 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Resident memory without a series, bytes; `benches/README.md` has what series add.
const IDLE_BYTES: u64 = 32 << 20;

/// What is known of the present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present<'a> {
    pub(crate) now: Timestamp,
    pub(crate) partitions: &'a [PartitionStats],
    pub(crate) stats: &'a Stats,
    pub(crate) retention: Retention,
    /// Free bytes of the file system of the data directory, for who is not root.
    pub(crate) disk_free: Option<u64>,
    /// Resident memory of the process, and how much it may have, bytes.
    pub(crate) resident: Option<u64>,
    pub(crate) memory_limit: Option<u64>,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forecast {
    /// Bytes that a day adds; unknown where the data is too young.
    pub(crate) disk_bytes_per_day: Option<u64>,
    /// Bytes of the data directory once everything is as old as the retention lets it be; unknown, too, where it has no end.
    pub(crate) disk_bytes_expected: Option<u64>,
    /// When the disk is full, if that comes before the retention deletes as much as is written.
    pub(crate) disk_full_at: Option<Timestamp>,
    /// Series that fit into the memory in all, each taking what one takes now.
    pub(crate) series_max: Option<u64>,
}

impl Present<'_> {
    pub(crate) fn forecast(&self) -> Forecast {
        let per_day = self.bytes_per_day();
        let expected = per_day.and_then(|per_day| self.expected(per_day));
        Forecast {
            disk_bytes_per_day: per_day,
            disk_bytes_expected: expected,
            disk_full_at: per_day.and_then(|per_day| self.full_at(per_day, expected)),
            series_max: self.series_max(),
        }
    }

    /// By the partitions of the last day; what is not yet in a file has no size. Rows take more than the pages that they become, so pages are gone by where there are
    /// any that cover enough.
    fn bytes_per_day(&self) -> Option<u64> {
        let since = self.now.0.saturating_sub(LOOKED_AT_MS);
        let recent = || self.partitions.iter().filter(move |one| one.end.0 > since && one.start < self.now);
        let rate = |of: &mut dyn Iterator<Item = &PartitionStats>| {
            let (mut bytes, mut covered_ms) = (0u64, 0i64);
            for one in of {
                bytes += one.bytes;
                covered_ms += one.end.min(self.now).0 - one.start.0;
            }
            (covered_ms >= LOOKED_AT_MIN_MS && bytes > 0).then(|| scaled(bytes, DAY_MS, covered_ms))
        };
        rate(&mut recent().filter(|one| one.level > 0)).or_else(|| rate(&mut recent()))
    }

    fn expected(&self, per_day: u64) -> Option<u64> {
        let Retention { time_ms, size_bytes } = self.retention;
        let by_time = (time_ms > 0).then(|| scaled(per_day, time_ms, DAY_MS).saturating_add(self.stats.index_bytes));
        let by_size = (size_bytes > 0).then_some(size_bytes);
        by_time.into_iter().chain(by_size).min()
    }

    fn full_at(&self, per_day: u64, expected: Option<u64>) -> Option<Timestamp> {
        let free = self.disk_free?;
        if expected.is_some_and(|expected| expected.saturating_sub(self.stats.disk_bytes) <= free) || per_day == 0 {
            return None;
        }
        let left_ms = i64::try_from(u128::from(free) * DAY_MS.unsigned_abs() as u128 / u128::from(per_day)).ok()?;
        self.now.0.checked_add(left_ms).map(Timestamp)
    }

    fn series_max(&self) -> Option<u64> {
        let (resident, limit, series) = (self.resident?, self.memory_limit?, self.stats.series);
        let (used, room) = (resident.saturating_sub(IDLE_BYTES), limit.saturating_sub(IDLE_BYTES));
        if used == 0 || series == 0 {
            return None;
        }
        u64::try_from(u128::from(room) * u128::from(series) / u128::from(used)).ok()
    }
}

/// So much for one time, as much for another in proportion.
fn scaled(bytes: u64, wanted_ms: i64, of_ms: i64) -> u64 {
    let wide = u128::from(bytes) * u128::from(wanted_ms.unsigned_abs()) / u128::from(of_ms.unsigned_abs().max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// Free bytes of the file system of a folder, for who is not root.
pub(crate) fn disk_free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Resident memory of this process, bytes.
pub(crate) fn resident() -> Option<u64> {
    bytes_of("/proc/self/status".as_ref(), "VmRSS:")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1000;
    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    /// A partition from so many hours ago to so many.
    fn partition(level: usize, (from, to): (i64, i64), bytes: u64) -> PartitionStats {
        let (start, end) = (NOW - from * HOUR_MS, NOW - to * HOUR_MS);
        PartitionStats { start, end, level, sources: 1, series: 1, samples: None, bytes }
    }

    fn present<'a>(partitions: &'a [PartitionStats], stats: &'a Stats) -> Present<'a> {
        let retention = Retention { time_ms: 10 * DAY_MS, size_bytes: 0 };
        let (disk_free, resident, memory_limit) =
            (Some(1_000_000), Some(IDLE_BYTES + 1_000), Some(IDLE_BYTES + 10_000));
        Present { now: NOW, partitions, stats, retention, disk_free, resident, memory_limit }
    }

    #[test]
    fn a_day_is_as_the_pages_of_the_last_one_and_the_retention_says_how_many_stay() {
        let stats = Stats { index_bytes: 500, disk_bytes: 10_000, series: 50, ..Stats::default() };
        // Pages of twelve hours; older ones and rows do not count.
        let partitions = [partition(2, (60, 48), 1), partition(1, (14, 2), 6_000), partition(0, (2, 0), 90_000)];
        let found = present(&partitions, &stats).forecast();
        let expected = Forecast {
            disk_bytes_per_day: Some(12_000),
            disk_bytes_expected: Some(120_500),
            disk_full_at: None,
            series_max: Some(500),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn young_data_is_judged_by_its_rows_or_not_at_all() {
        let stats = Stats::default();
        let rows = [partition(0, (1, -1), 1_000)];
        let found = present(&rows, &stats).forecast();
        assert_eq!(
            (found.disk_bytes_per_day, found.series_max),
            (Some(24_000), None),
            "what is to come is not counted"
        );
        let mut young = rows;
        young[0].start = NOW - 60_000;
        for partitions in [&young[..], &[]] {
            let none =
                Forecast { disk_bytes_per_day: None, disk_bytes_expected: None, disk_full_at: None, series_max: None };
            assert_eq!(present(partitions, &stats).forecast(), none);
        }
    }

    #[test]
    fn a_disk_that_fills_before_the_retention_helps() {
        let stats = Stats { disk_bytes: 10_000, ..Stats::default() };
        let partitions = [partition(1, (24, 0), 200_000)];
        let mut present = present(&partitions, &stats);
        // 2 000 000 bytes are expected, and a million is free.
        assert_eq!(present.forecast().disk_full_at, Some(NOW + 5 * DAY_MS));
        for (retention, expected, full) in [
            (Retention { time_ms: 10 * DAY_MS, size_bytes: 700_000 }, Some(700_000), false),
            (Retention { time_ms: 0, size_bytes: 0 }, None, true),
            (Retention { time_ms: i64::MAX, size_bytes: 0 }, Some(u64::MAX), true),
        ] {
            present.retention = retention;
            let found = present.forecast();
            assert_eq!((found.disk_full_at.is_some(), found.disk_bytes_expected.is_some()), (full, expected.is_some()));
        }
        present.disk_free = None;
        assert_eq!(present.forecast().disk_full_at, None);
    }

    #[test]
    fn this_process_and_its_disk_have_figures() {
        assert!(disk_free(Path::new("/")).unwrap() > 0 && resident().unwrap() > 1 << 20);
        assert_eq!(disk_free(Path::new("/no/such/folder")), None);
    }
}
