//! What is said about directories that cannot be opened, and what a directory keeps.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::error::Error as _;

use model::{AppendError, Appender, Labels, MetricId, Querier, ReadHints, Row, Selection, Timestamp};
use prometheus::Registry;
use storage::{Db, Error, Options};

fn small(path: impl Into<std::path::PathBuf>) -> Options {
    Options { memory_bytes: 8 << 20, bucket_ms: 1000, ..Options::new(path) }
}

fn open(path: impl Into<std::path::PathBuf>) -> Result<Db, Error> {
    Db::open(small(path), &Registry::new())
}

fn put(db: &Db, job: &str, name: &str, ts: Timestamp) {
    let source = db.source(&Labels::from_pairs([("job", job)])).unwrap();
    let layout = db.layout(&db.metrics(&[Labels::from_pairs([("__name__", name)])]).unwrap()).unwrap();
    let row =
        Row { source, ts, layout: &layout, values: &[ts.0 as f64], present: &[1], own_times: &[], histograms: &[] };
    assert_eq!(db.commit(&[row]).unwrap().stored, 1);
}

fn names(db: &Db) -> Vec<String> {
    db.label_values("__name__", &Selection { start: Timestamp::EPOCH, end: Timestamp::MAX, matchers: &[] }, 0).unwrap()
}

#[test]
fn a_directory_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(db);
    open(dir.path()).unwrap();
}

#[test]
fn what_is_no_directory_or_not_writable_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = open(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open database {}: it is not a directory", file.display()));
    let below = file.join("below");
    let error = open(&below).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write to database directory {}", below.display()));
    assert!(error.source().is_some());
}

#[test]
fn another_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let mut options = rocksdb::Options::default();
    options.create_missing_column_families(true);
    let families =
        ["default", "meta", "rows", "pages", "histograms", "exemplars", "metrics", "sources", "layouts", "copies"];
    let mut descriptors: Vec<_> =
        families.iter().map(|name| rocksdb::ColumnFamilyDescriptor::new(*name, rocksdb::Options::default())).collect();
    let mut postings = rocksdb::Options::default();
    postings.set_merge_operator_associative("union", |_, _, _| None);
    descriptors.push(rocksdb::ColumnFamilyDescriptor::new("postings", postings));
    let db = rocksdb::DB::open_cf_descriptors(&options, dir.path(), descriptors).unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), b"format", b"weft-99").unwrap();
    drop(db);
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("weft-99") && error.contains("weft-2"), "{error}");
}

#[test]
fn a_directory_with_column_families_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, dir.path(), ["default", "hypercubes"]).unwrap());
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    assert!(error.to_string().contains("hypercubes"), "{error}");
}

#[test]
fn a_directory_from_before_there_were_pages_opens() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let families = ["default", "meta", "rows", "metrics", "sources", "layouts", "postings"];
    let db = rocksdb::DB::open_cf(&options, dir.path(), families).unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), b"format", b"weft-2").unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), b"bucket_ms", 1000u32.to_be_bytes()).unwrap();
    drop(db);
    let db = open(dir.path()).unwrap();
    put(&db, "a", "up", Timestamp(1));
    db.compact(Timestamp(10_000)).unwrap();
    assert_eq!(names(&db), ["up"]);
}

#[test]
fn options_that_cannot_work_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { bucket_ms: 0, ..Options::new(dir.path()) };
    let error = Db::open(options, &Registry::new()).unwrap_err().to_string();
    assert!(error.contains("bucket_ms is 0"), "{error}");
}

#[test]
fn a_closed_database_takes_no_rows_and_still_reads() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    put(&db, "a", "up", Timestamp(1));
    db.close().unwrap();
    assert!(matches!(db.source(&Labels::empty()), Err(AppendError::Closed)));
    assert!(matches!(db.commit(&[]), Err(AppendError::Closed)));
    assert_eq!(names(&db), ["up"]);
}

#[test]
fn rows_that_do_not_fit_are_refused_and_nothing_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let layout = db.layout(&db.metrics(&[Labels::from_pairs([("__name__", "up")])]).unwrap()).unwrap();
    let good = Row {
        source,
        ts: Timestamp(1),
        layout: &layout,
        values: &[1.0],
        present: &[1],
        own_times: &[],
        histograms: &[],
    };
    for rows in [
        &[Row { values: &[], ..good }][..],
        &[Row { present: &[], ..good }],
        &[Row { own_times: &[(7, Timestamp(1))], ..good }],
        &[Row { present: &[0], own_times: &[(0, Timestamp(1))], ..good }],
        &[good, good],
    ] {
        assert!(matches!(db.commit(rows), Err(AppendError::Store(_))), "{rows:?}");
    }
    assert_eq!(names(&db), Vec::<String>::new());
}

#[test]
fn ids_stay_across_a_restart_and_go_with_the_retention() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let options = || Options { retention_ms: 10_000, ..small(dir.path()) };
    let db = Db::open(options(), &registry).unwrap();
    put(&db, "old", "gone", Timestamp(1_000));
    put(&db, "new", "kept", Timestamp(1_000));
    put(&db, "new", "kept", Timestamp(20_000));
    let ids = db.metrics(&[Labels::from_pairs([("__name__", "kept")])]).unwrap();
    drop(db);
    let db = Db::open(options(), &registry).unwrap();
    assert_eq!(db.metrics(&[Labels::from_pairs([("__name__", "kept")])]).unwrap(), ids);
    assert_eq!(names(&db), ["gone", "kept"]);
    assert_eq!(db.enforce_retention(Timestamp(22_000)).unwrap(), 1);
    assert_eq!(names(&db), ["kept"]);
    let stats = db.stats(10).unwrap();
    assert_eq!((stats.series, stats.label_pairs, stats.min_time), (1, 2, Some(Timestamp(20_000))));
    // The metric that went is made anew; the one that stayed is the same.
    put(&db, "new", "gone", Timestamp(21_000));
    assert_eq!(db.metrics(&[Labels::from_pairs([("__name__", "kept")])]).unwrap(), ids);
    assert_eq!(names(&db), ["gone", "kept"]);
}

#[test]
fn the_retention_may_change_while_the_database_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options { retention_ms: 0, ..small(dir.path()) }, &Registry::new()).unwrap();
    put(&db, "old", "gone", Timestamp(1_000));
    put(&db, "new", "kept", Timestamp(20_000));
    assert_eq!(db.enforce_retention(Timestamp(22_000)).unwrap(), 0, "for ever");
    db.set_retention(10_000);
    assert_eq!(db.enforce_retention(Timestamp(22_000)).unwrap(), 1);
    assert_eq!(names(&db), ["kept"]);
}

#[test]
fn ids_in_use_by_this_process_outlive_the_retention() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options { retention_ms: 5_000, ..small(dir.path()) }, &Registry::new()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "a")])).unwrap();
    let layout = db.layout(&db.metrics(&[Labels::from_pairs([("__name__", "up")])]).unwrap()).unwrap();
    let row = |ts| Row { source, ts, layout: &layout, values: &[1.0], present: &[1], own_times: &[], histograms: &[] };
    db.commit(&[row(Timestamp(1_000))]).unwrap();
    assert_eq!(db.enforce_retention(Timestamp(100_000)).unwrap(), 1);
    assert_eq!(names(&db), Vec::<String>::new());
    assert_eq!(db.commit(&[row(Timestamp(1_500))]).unwrap().too_old, 1);
    assert_eq!(db.commit(&[row(Timestamp(100_000))]).unwrap().stored, 1);
    assert_eq!(names(&db), ["up"]);
}

#[test]
fn the_oldest_buckets_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    for bucket in 0..5 {
        put(&db, "a", "up", Timestamp(bucket * 1000));
    }
    assert_eq!(db.enforce_size(u64::MAX).unwrap(), 0);
    assert_eq!(db.enforce_size(0).unwrap(), 4);
    assert_eq!(db.stats(1).unwrap().min_time, Some(Timestamp(4000)));
    assert_eq!(db.enforce_size(0).unwrap(), 0);
}

#[test]
fn a_corrupt_row_is_passed_over_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).unwrap();
    for ts in (1..=3).map(Timestamp) {
        put(&db, "a", "up", ts);
    }
    drop(db);
    let mut options = rocksdb::Options::default();
    options.set_merge_operator_associative("union", |_, _, _| None);
    let families = [
        "default",
        "meta",
        "rows",
        "pages",
        "histograms",
        "exemplars",
        "metrics",
        "sources",
        "layouts",
        "postings",
        "copies",
    ];
    let raw =
        rocksdb::DB::open_cf_with_opts(&options, dir.path(), families.map(|name| (name, options.clone()))).unwrap();
    let rows = raw.cf_handle("rows").unwrap();
    let keys: Vec<Box<[u8]>> =
        raw.iterator_cf(rows, rocksdb::IteratorMode::Start).map(|item| item.unwrap().0).collect();
    assert_eq!(keys.len(), 4, "a frame and three rows");
    raw.put_cf(rows, &keys[2], b"garbage").unwrap();
    drop(raw);
    let registry = Registry::new();
    let db = Db::open(small(dir.path()), &registry).unwrap();
    let mut timestamps = vec![];
    let mut sink = |batch: model::Batch| {
        timestamps.extend(batch.timestamps);
        Ok(())
    };
    db.select(
        &Selection { start: Timestamp::EPOCH, end: Timestamp(100), matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    )
    .unwrap();
    assert_eq!(timestamps, [1, 3].map(Timestamp));
    let counted = registry.gather().into_iter().find(|f| f.name() == "weft_storage_corrupt_values_total").unwrap();
    assert_eq!(counted.get_metric()[0].get_counter().get_value(), 1.0);
}

#[test]
fn a_row_of_many_segments_is_one_commit_and_several_batches() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options { bucket_ms: 100_000, ..Options::new(dir.path()) }, &Registry::new()).unwrap();
    let source = db.source(&Labels::from_pairs([("job", "huge")])).unwrap();
    let labels: Vec<Labels> = (0..20_000)
        .map(|i| Labels::from_pairs([("__name__", format!("m{}", i % 100)), ("i", i.to_string())]))
        .collect();
    let ids: Vec<MetricId> = db.metrics(&labels).unwrap();
    let layout = db.layout(&ids).unwrap();
    let present = vec![u64::MAX; ids.len().div_ceil(64)];
    for ts in (1..4).map(Timestamp) {
        let values: Vec<f64> = (0..ids.len()).map(|i| (i as i64 * ts.0) as f64).collect();
        let row =
            Row { source, ts, layout: &layout, values: &values, present: &present, own_times: &[], histograms: &[] };
        assert_eq!(db.commit(&[row]).unwrap().stored as usize, ids.len());
    }
    let (mut batches, mut columns) = (0, 0);
    let mut sink = |batch: model::Batch| {
        (batches, columns) = (batches + 1, columns + batch.columns.len());
        for column in &batch.columns {
            let labels = batch.labels(column);
            let i: f64 = labels.value("i").parse().unwrap();
            assert_eq!(column.values, [i, i * 2.0, i * 3.0]);
        }
        Ok(())
    };
    db.select(
        &Selection { start: Timestamp::EPOCH, end: Timestamp(10), matchers: &[] },
        &ReadHints::default(),
        &mut sink,
    )
    .unwrap();
    assert_eq!(columns, ids.len());
    assert!(batches > 1, "a wide source comes in several batches");
}

#[test]
fn a_copy_is_read_beside_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let error = storage::ReadCopy::open(dir.path(), None).unwrap_err();
    assert!(error.to_string().ends_with("there is none"), "{error}");
    let db = open(dir.path()).unwrap();
    for ts in 0..40 {
        put(&db, "a", "x", Timestamp(ts * 100));
    }
    assert!(matches!(storage::ReadCopy::open(dir.path(), None), Err(Error::InUse { .. })), "it is in use");
    db.set_now(Timestamp(4_000)).unwrap();
    db.compact(Timestamp(10_000_000)).unwrap();
    put(&db, "b", "y", Timestamp(20_500));
    drop(db);
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let before = files();
    let copy = storage::ReadCopy::open(dir.path(), None).unwrap();
    assert_eq!(names(&copy), ["x", "y"]);
    let partitions = copy.partitions().unwrap();
    let samples: u64 = partitions.iter().filter_map(|one| one.samples).sum();
    assert_eq!(samples, 40, "{partitions:?}");
    let rows: Vec<_> = partitions.iter().filter(|one| one.level == 0).collect();
    assert_eq!(rows.len(), 1, "{partitions:?}");
    assert_eq!(
        (rows[0].start, rows[0].end, rows[0].sources, rows[0].series),
        (Timestamp(20_000), Timestamp(21_000), 1, 1)
    );
    // A server may start while the copy is read.
    let db = open(dir.path()).unwrap();
    put(&db, "a", "z", Timestamp(20_600));
    assert_eq!(names(&copy), ["x", "y"]);
    drop(db);
    drop(copy);
    assert!(!files().iter().any(|name| name.starts_with(".reading-")), "nothing stays behind");
    assert!(before.contains(&"CURRENT".to_owned()));
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = storage::ReadCopy::open(dir.path(), Some(elsewhere.path())).unwrap();
    assert_eq!(names(&copy), ["x", "y", "z"]);
    drop(copy);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn blocks_of_prometheus_are_named_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let block = dir.path().join("01BKGTZQ1SYQJTR4PB43C8PD98");
    std::fs::create_dir(&block).unwrap();
    std::fs::write(block.join("meta.json"), "{}").unwrap();
    std::fs::write(block.join("index"), "").unwrap();
    let error = storage::ReadCopy::open(dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("it holds 1 block of Prometheus, whose data is not read here"), "{error}");
}
