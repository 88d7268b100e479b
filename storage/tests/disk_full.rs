//! A full disk: commits and seals say so, reads go on, and both work again by themselves when there is room. Needs a file
//! system of 24 to 64 MiB of its own: that of the directory that `WEFT_SMALL_DISK` names, or one in memory that root can
//! mount; with neither the test says that it was skipped.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does, and say why")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use model::{
    AppendError, Appender, Labels, Layout, Querier, ReadHints, Row, Selection, SourceId, Timestamp, with_causes,
};
use prometheus::Registry;
use storage::{Db, Options};

const COLUMNS: usize = 1000;
const BUCKET_MS: i64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);

fn value(ts: Timestamp, column: usize) -> f64 {
    let mixed = (ts.0 as u64 * 1009 + column as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Not a NaN, so that it can be compared.
    f64::from_bits(mixed >> 2)
}

/// The times of all rows, every value checked.
fn rows(db: &Db) -> BTreeSet<Timestamp> {
    let mut rows = BTreeSet::new();
    let mut sink = |batch: model::Batch| {
        for column in &batch.columns {
            let labels = batch.labels(column);
            let index: usize = labels.name()[1..].parse().unwrap();
            for (i, &ts) in batch.timestamps.iter().enumerate() {
                assert!(column.is_present(i) && column.values[i] == value(ts, index), "{index} at {ts}");
            }
        }
        rows.extend(batch.timestamps);
        Ok(())
    };
    db.select(
        &Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    )
    .unwrap();
    rows
}

/// A file system in memory, until dropped.
struct Disk(PathBuf, Option<tempfile::TempDir>);

impl Disk {
    fn find() -> Option<Self> {
        if let Some(path) = std::env::var_os("WEFT_SMALL_DISK") {
            return Some(Self(path.into(), None));
        }
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=32m", "weft-test"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir.path().to_owned(), Some(dir))),
            why => {
                println!("skipped: WEFT_SMALL_DISK names no small file system, and none can be mounted: {why:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.1.is_some() {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
}

/// Says so when dropped.
struct Done<'d>(&'d AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Scraper<'d> {
    db: &'d Db,
    source: SourceId,
    layout: Layout,
}

impl<'d> Scraper<'d> {
    fn new(db: &'d Db) -> Self {
        let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
        let labels: Vec<Labels> = (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{i}"))])).collect();
        let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
        Self { db, source, layout }
    }

    fn commit(&self, ts: Timestamp) -> Result<(), AppendError> {
        let values: Vec<f64> = (0..COLUMNS).map(|i| value(ts, i)).collect();
        let present = &[u64::MAX; COLUMNS.div_ceil(64)];
        let layout = &self.layout;
        self.db.commit(&[Row {
            source: self.source,
            ts,
            layout,
            values: &values,
            present,
            own_times: &[],
            histograms: &[],
        }])?;
        Ok(())
    }

    /// Tries until it works.
    fn commit_again(&self, ts: Timestamp) {
        // RocksDB looks for room every few seconds.
        let (_never, nothing) = channel::<()>();
        let patience = Instant::now();
        while let Err(error) = self.commit(ts) {
            assert!(patience.elapsed() < PATIENCE, "{}", with_causes(&error));
            let _ = nothing.recv_timeout(Duration::from_millis(200));
        }
        if patience.elapsed() > Duration::from_millis(200) {
            println!("written again after {:?}", patience.elapsed());
        }
    }
}

fn options(disk: &Path) -> Options {
    Options {
        memory_bytes: 8 << 20,
        wal_bytes: 2 << 20,
        bucket_ms: BUCKET_MS as u32,
        retention_ms: 0,
        ..Options::new(disk.join("data"))
    }
}

#[test]
fn writing_and_sealing_go_on_when_there_is_room_again() {
    let Some(disk) = Disk::find() else { return };
    let dir = tempfile::tempdir_in(disk.path()).unwrap();
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1u8; 12 << 20]).unwrap();
    let db = Db::open(options(dir.path()), &Registry::new()).unwrap();
    let scraper = Scraper::new(&db);
    let (clock, done, sealed) = (AtomicI64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let seal = || {
        while !done.load(Ordering::Acquire) {
            // It fails while the disk is full; what it could not seal stays as it is.
            if let Ok(round) = db.compact(Timestamp(clock.load(Ordering::Acquire))) {
                sealed.fetch_add(round.samples, Ordering::AcqRel);
            }
            std::thread::yield_now();
        }
    };
    let end = std::thread::scope(|threads| {
        threads.spawn(seal);
        // A failed assertion must not leave the other thread to it.
        let _done = Done(&done);
        let full = (1..20_000).map(Timestamp).find_map(|ts| match scraper.commit(ts) {
            Ok(()) => {
                clock.store(ts.0, Ordering::Release);
                None
            }
            Err(error) => Some((ts, error)),
        });
        let (failed, error) = full.expect("the disk fills up");
        let text = with_causes(&error);
        println!("full at row {failed}: {text}");
        assert!(text.contains("the disk of") && text.contains("is full"), "{text}");
        assert_eq!(db.stopped(), None, "a full disk is no reason to start again");
        let there = rows(&db);
        assert!((1..failed.0).all(|ts| there.contains(&Timestamp(ts))), "reads go on");
        let before = sealed.load(Ordering::Acquire);
        std::fs::remove_file(&ballast).unwrap();
        scraper.commit_again(failed);
        // So that there is something to seal.
        let end = failed + 3 * BUCKET_MS;
        ((failed + 1).0..=end.0).map(Timestamp).for_each(|ts| scraper.commit_again(ts));
        clock.store(end.0, Ordering::Release);
        let patience = Instant::now();
        while sealed.load(Ordering::Acquire) == before && patience.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Release);
        assert!(sealed.load(Ordering::Acquire) > before, "nothing is sealed any more");
        end
    });
    assert!(rows(&db).into_iter().eq((1..=end.0).map(Timestamp)));
    drop(db);
    let again = Db::open(options(dir.path()), &Registry::new()).unwrap();
    assert!(rows(&again).into_iter().eq((1..=end.0).map(Timestamp)));
}
