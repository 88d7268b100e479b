//! How much there is in each stretch of time: for `promtool tsdb list` and `/api/v1/status/tsdb/blocks`.

use std::collections::HashMap;
use std::sync::Arc;

use model::{SourceId, Timestamp};
use roaring::RoaringBitmap;
use rocksdb::Range;

use crate::components::Components;
use crate::error::Error;
use crate::kv::schema::Cf;
use crate::kv::store::after_prefix;
use crate::reader::Reader;
use crate::{limits, pages, stored};

/// A stretch of time that is kept and dropped as a whole, and how much there is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionStats {
    /// Its first millisecond.
    pub start: Timestamp,
    /// One past its last millisecond.
    pub end: Timestamp,
    /// 0: rows, which came in lately. 1: pages, as they were flushed; more once they were merged with their neighbours.
    pub level: usize,
    /// Sources that wrote in it.
    pub sources: u64,
    /// Series of these sources, at most: those of their layouts.
    pub series: u64,
    /// Samples in its pages; of rows that takes reading them.
    pub samples: Option<u64>,
    /// About how many bytes of sorted files it takes, native histograms not counted.
    pub bytes: u64,
}

/// How many sources have these segments.
type BySegments = HashMap<Arc<[u32]>, u64>;

/// All partitions, and buckets with rows that no partition covers, by start.
pub(crate) fn partition_stats(db: &Components) -> Result<Vec<PartitionStats>, Error> {
    let bucket_ms = db.store.bucket_ms;
    let snapshot = db.read().snapshot();
    let partitions = pages::partitions(&snapshot)?;
    let mut all = Vec::new();
    for (partition, sources) in &partitions {
        let (mut samples, mut by_segments) = (0, BySegments::new());
        for source in sources {
            if let Some(head) = pages::timeline_head(&snapshot, *partition, SourceId(source))? {
                samples += head.samples;
                *by_segments.entry(head.segments.iter().collect()).or_default() += 1;
            }
        }
        all.push(PartitionStats {
            start: partition.start.0,
            end: partition.end(bucket_ms),
            level: limits::PARTITION_BUCKETS.iter().filter(|buckets| **buckets <= partition.buckets).count(),
            sources: sources.len(),
            series: n_series(db, &by_segments)?,
            samples: Some(samples),
            bytes: file_bytes(db, Cf::Pages, &partition.bytes()),
        });
    }
    for bucket in stored::buckets(db)? {
        let end = bucket.end(bucket_ms);
        // What came late into a bucket of pages is counted with it when it is flushed.
        if all.iter().any(|one: &PartitionStats| one.level > 0 && one.start <= bucket.0 && end <= one.end) {
            continue;
        }
        let range = bucket.0..=end.saturating_sub(1);
        let sources: Arc<RoaringBitmap> = db.read().sources_in(&snapshot, &range)?;
        let mut reader = Reader::new(db.read(), &snapshot, range, &[])?;
        let mut by_segments = BySegments::new();
        for source in &*sources {
            *by_segments.entry(reader.segments(SourceId(source))?.into_iter().collect()).or_default() += 1;
        }
        all.push(PartitionStats {
            start: bucket.0,
            end,
            level: 0,
            sources: sources.len(),
            series: n_series(db, &by_segments)?,
            samples: None,
            bytes: file_bytes(db, Cf::Rows, &bucket.bytes()),
        });
    }
    all.sort_by_key(|one| (one.start, one.end));
    Ok(all)
}

fn n_series(db: &Components, by_segments: &BySegments) -> Result<u64, Error> {
    let mut n = 0;
    for (segments, sources) in by_segments {
        n += db.index.metrics_of(&db.store, segments)?.len() * sources;
    }
    Ok(n)
}

/// About how many bytes the keys with a prefix take in sorted files.
fn file_bytes(db: &Components, cf: Cf, prefix: &[u8]) -> u64 {
    let end = after_prefix(prefix);
    let sizes = db.store.db.get_approximate_sizes_cf(db.store.cf(cf), &[Range::new(prefix, &end)]);
    sizes.first().copied().unwrap_or(0)
}
