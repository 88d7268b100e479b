//! A full disk: commits say so, reads go on, commits work again when there is room. Needs a file system of 24 to 64 MiB
//! of its own (`mount -t tmpfs -o size=32m …`), named by `WEFT_SMALL_DISK`; without it the test says that it was skipped.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers fail as the test does, and say why")]

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use model::{AppendError, Appender, Labels, Querier, Row, Selection};
use prometheus::Registry;
use storage::{Db, Options};

const COLUMNS: usize = 1000;

fn rows(db: &Db) -> usize {
    let mut rows = 0;
    let mut sink = |batch: model::Batch| {
        rows = batch.timestamps_ms.len();
        Ok(())
    };
    db.select(&Selection { start_ms: 0, end_ms: i64::MAX, matchers: &[] }, &mut sink).unwrap();
    rows
}

#[test]
fn writing_goes_on_when_there_is_room_again() {
    let Some(disk) = std::env::var_os("WEFT_SMALL_DISK") else {
        println!("skipped: WEFT_SMALL_DISK names no small file system");
        return;
    };
    let dir = tempfile::tempdir_in(disk).unwrap();
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1u8; 12 << 20]).unwrap();
    let options = Options { memory_bytes: 8 << 20, wal_bytes: 2 << 20, ..Options::new(dir.path().join("data")) };
    let db = Db::open(options, &Registry::new()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let labels: Vec<Labels> = (0..COLUMNS).map(|i| Labels::from_pairs([("__name__", format!("m{i}"))])).collect();
    let layout = db.layout(&db.metrics(&labels).unwrap()).unwrap();
    let commit = |ts: i64| {
        let mixed = |i: usize| (ts as u64 * 1009 + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let values: Vec<f64> = (0..COLUMNS).map(|i| f64::from_bits(mixed(i))).collect();
        let present = [u64::MAX; COLUMNS.div_ceil(64)];
        db.commit(&[Row { source, ts_ms: ts, layout: &layout, values: &values, present: &present, own_times: &[] }])
    };
    let full = (1..20_000).find_map(|ts| commit(ts).err().map(|error| (ts, error)));
    let (failed, error) = full.expect("the disk fills up");
    assert!(matches!(error, AppendError::Store(_)), "{error:?}");
    println!("full at row {failed}: {error:?}");
    assert_eq!(rows(&db), failed as usize - 1, "reads go on");
    std::fs::remove_file(&ballast).unwrap();
    // RocksDB looks for room every few seconds.
    let (_never, nothing) = channel::<()>();
    let patience = Instant::now();
    while let Err(error) = commit(failed) {
        assert!(patience.elapsed() < Duration::from_secs(60), "{error:?}");
        let _ = nothing.recv_timeout(Duration::from_millis(200));
    }
    println!("again after {:?}", patience.elapsed());
    assert_eq!(rows(&db), failed as usize);
}
