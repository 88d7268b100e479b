//! Column families and keys. Drawn in `docs/formats/`: `rows.md`, `pages.md`, `histograms.md`,
//! `index.md`.
//!
//! Keys are big-endian, so that RocksDB's byte order is the order of time and of ids.

use model::{SourceId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

/// What `meta` must say for this code to read the rest.
pub(crate) const FORMAT: &str = "weft-2";

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cf {
    Rows,
    Pages,
    Histograms,
    Exemplars,
    Metrics,
    Sources,
    Layouts,
    Postings,
    Meta,
    Copies,
}

impl Cf {
    pub(crate) const ALL: [Self; 10] = [
        Self::Rows,
        Self::Pages,
        Self::Histograms,
        Self::Exemplars,
        Self::Metrics,
        Self::Sources,
        Self::Layouts,
        Self::Postings,
        Self::Meta,
        Self::Copies,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Pages => "pages",
            Self::Histograms => "histograms",
            Self::Exemplars => "exemplars",
            Self::Metrics => "metrics",
            Self::Sources => "sources",
            Self::Layouts => "layouts",
            Self::Postings => "postings",
            Self::Meta => "meta",
            Self::Copies => "copies",
        }
    }

    /// What starts the keys of its entries in `copies`, where it has any there.
    fn copy_tag(self) -> Option<u8> {
        match self {
            // Part of keys on the disk: a number stays with its family.
            Self::Metrics => Some(0),
            Self::Sources => Some(1),
            Self::Layouts => Some(2),
            Self::Meta => Some(3),
            _ => None,
        }
    }

    /// What starts its keys in `copies`.
    pub(crate) fn copy_prefix(self) -> Vec<u8> {
        self.copy_tag().into_iter().collect()
    }

    /// The key in `copies` of what lies under a key of this family, if it has a copy: all of `meta`, and what ids stand
    /// for. Which ids have a hash follows from that.
    pub(crate) fn copy_key(self, key: &[u8]) -> Option<Vec<u8>> {
        let tag = self.copy_tag()?;
        (self == Self::Meta || key.first() == Some(&BY_ID)).then(|| [&[tag], key].concat())
    }
}

/// Keys of `meta`.
pub(crate) const META_FORMAT: &[u8] = b"format";
pub(crate) const META_BUCKET_MS: &[u8] = b"bucket_ms";
pub(crate) const META_HORIZON_MS: &[u8] = b"horizon_ms";
/// The current time as it was stored last.
pub(crate) const META_NOW_MS: &[u8] = b"now_ms";
/// Written so that a log has something in it.
pub(crate) const META_LOG: &[u8] = b"log";
/// Present when everything that is kept twice is in `copies`.
pub(crate) const META_COPIED: &[u8] = b"copied";

/// What starts the keys of deletions.
pub(crate) const META_DELETED: &[u8] = b"deleted";

/// The key of a deletion, in the order in which they were asked for.
pub(crate) fn deleted_key(number: u64) -> Vec<u8> {
    [META_DELETED, &number.to_be_bytes()].concat()
}

/// The sources for which a deletion was carried out: a bitmap, under the key of the deletion behind another prefix.
pub(crate) fn settled_key(deletion: &[u8]) -> Vec<u8> {
    [b"settled", deletion].concat()
}

/// Present when the partitions within a partition were merged into it.
pub(crate) fn merged_key(partition: Partition) -> Vec<u8> {
    [b"merged", &partition.bytes()[..]].concat()
}

/// Which retention rules a partition was written under.
pub(crate) fn ruled_key(partition: Partition) -> Vec<u8> {
    [b"ruled", &partition.bytes()[..]].concat()
}

/// A bucket of time, by its first millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket(pub(crate) Timestamp);

impl Bucket {
    /// The bucket that a time lies in.
    pub(crate) fn of(ts: Timestamp, bucket_ms: u32) -> Self {
        // Euclidean, so that a bucket before the epoch also begins at or before its times.
        Self(ts.saturating_sub(ts.0.rem_euclid(i64::from(bucket_ms))))
    }

    /// One past its last millisecond.
    pub(crate) fn end(self, bucket_ms: u32) -> Timestamp {
        self.0.saturating_add(i64::from(bucket_ms))
    }

    /// With the sign turned, so that bytes sort as the numbers do.
    pub(crate) fn bytes(self) -> [u8; 8] {
        ((self.0.0 as u64) ^ (1 << 63)).to_be_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(Timestamp((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64))
    }
}

/// A stretch of time that pages cover: one bucket, or several merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    pub(crate) start: Bucket,
    /// How many buckets long it is.
    pub(crate) buckets: u32,
}

impl Partition {
    pub(crate) const BYTES: usize = 12;

    /// The partition of this many buckets that a time lies in.
    pub(crate) fn of(ts: Timestamp, buckets: u32, bucket_ms: u32) -> Self {
        // All lengths begin at the epoch and divide one another: a partition lies in exactly one of each larger length.
        let length = i64::from(buckets) * i64::from(bucket_ms);
        Self { start: Bucket(ts.saturating_sub(ts.0.rem_euclid(length))), buckets }
    }

    /// One past its last millisecond.
    pub(crate) fn end(self, bucket_ms: u32) -> Timestamp {
        self.start.0.saturating_add(i64::from(self.buckets) * i64::from(bucket_ms))
    }

    /// Its last millisecond, which [`Partition::end`] cannot tell where time ends.
    pub(crate) fn last(self, bucket_ms: u32) -> Timestamp {
        self.start.0.saturating_add(i64::from(self.buckets) * i64::from(bucket_ms) - 1)
    }

    /// Does the other lie within it?
    pub(crate) fn covers(self, other: Self, bucket_ms: u32) -> bool {
        self.start <= other.start && other.end(bucket_ms) <= self.end(bucket_ms)
    }

    pub(crate) fn bytes(self) -> [u8; Self::BYTES] {
        let mut key = [0; Self::BYTES];
        key[..8].copy_from_slice(&self.start.bytes());
        key[8..].copy_from_slice(&self.buckets.to_be_bytes());
        key
    }

    pub(crate) fn parse(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let (start, buckets) = bytes.split_first_chunk::<8>()?;
        Some(Self { start: Bucket::from_bytes(*start), buckets: u32::from_be_bytes(buckets.try_into().ok()?) })
    }
}

/// The name under which timelines lie, before all pages of their partition. No metric name has it.
pub(crate) const TIMELINE_NAME: u32 = 0;

/// What the pages of a metric name lie under.
pub(crate) fn page_name(metric_name: &str) -> u32 {
    // The one hash that would meet the timelines moves on; sharing is allowed for.
    (xxh3_64(metric_name.as_bytes()) as u32).max(TIMELINE_NAME + 1)
}

/// The pages of one metric name of one source in one partition, as one flush or compaction wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageGroup {
    pub(crate) partition: Partition,
    /// A hash of the metric name: names that share it share their pages.
    pub(crate) name: u32,
    pub(crate) source: SourceId,
    /// Of the write that made them; what the timeline does not name does not exist.
    pub(crate) generation: u32,
}

impl PageGroup {
    const BYTES: usize = Partition::BYTES + 12;
    /// Bytes of a page's key.
    pub(crate) const KEY_BYTES: usize = Self::BYTES + 4;

    /// The key of the page whose first column is of this metric.
    pub(crate) fn key(&self, first_metric: u32) -> [u8; Self::KEY_BYTES] {
        let mut key = [0; Self::KEY_BYTES];
        key[..12].copy_from_slice(&self.partition.bytes());
        // The name before the source: a query of one name passes over the pages of all its sources in one go.
        key[12..16].copy_from_slice(&self.name.to_be_bytes());
        key[16..20].copy_from_slice(&self.source.0.to_be_bytes());
        key[20..24].copy_from_slice(&self.generation.to_be_bytes());
        key[24..].copy_from_slice(&first_metric.to_be_bytes());
        key
    }

    /// The group of a key, and the metric of the page's first column. `None` for what is no page, a timeline say.
    pub(crate) fn parse(key: &[u8]) -> Option<(Self, u32)> {
        let (partition, rest) = key.split_first_chunk::<{ Partition::BYTES }>()?;
        let words: [u8; 16] = rest.try_into().ok()?;
        let word = |i: usize| u32::from_be_bytes([words[i], words[i + 1], words[i + 2], words[i + 3]]);
        let group = Self {
            partition: Partition::parse(*partition)?,
            name: word(0),
            source: SourceId(word(4)),
            generation: word(8),
        };
        Some((group, word(12)))
    }
}

/// Key of the timeline of a source in a partition.
pub(crate) fn timeline_key(partition: Partition, source: SourceId) -> [u8; 20] {
    let mut key = [0; 20];
    key[..12].copy_from_slice(&partition.bytes());
    key[12..16].copy_from_slice(&TIMELINE_NAME.to_be_bytes());
    key[16..].copy_from_slice(&source.0.to_be_bytes());
    key
}

/// The source of a key, if it is that of a timeline.
pub(crate) fn parse_timeline_key(key: &[u8]) -> Option<SourceId> {
    let (name, source) = key.get(Partition::BYTES..)?.split_first_chunk::<4>()?;
    let source = u32::from_be_bytes(source.try_into().ok()?);
    // Pages are longer, and have another name.
    (u32::from_be_bytes(*name) == TIMELINE_NAME).then_some(SourceId(source))
}

/// The slot of a segment's frame; the row of millisecond `n` of the bucket has the slot `n + 1`.
pub(crate) const FRAME_SLOT: u32 = 0;

/// Key in `rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) bucket: Bucket,
    pub(crate) source: SourceId,
    pub(crate) segment: u32,
    pub(crate) slot: u32,
}

impl RowKey {
    pub(crate) const BYTES: usize = 20;

    pub(crate) fn bytes(&self) -> [u8; Self::BYTES] {
        let mut key = [0; Self::BYTES];
        key[..8].copy_from_slice(&self.bucket.bytes());
        key[8..12].copy_from_slice(&self.source.0.to_be_bytes());
        key[12..16].copy_from_slice(&self.segment.to_be_bytes());
        // Last, so that the rows of a segment follow one another in time, right behind its frame.
        key[16..].copy_from_slice(&self.slot.to_be_bytes());
        key
    }

    pub(crate) fn parse(key: &[u8]) -> Option<Self> {
        let (bucket, rest) = key.split_first_chunk::<8>()?;
        let (source, rest) = rest.split_first_chunk::<4>()?;
        let (segment, rest) = rest.split_first_chunk::<4>()?;
        let slot = rest.try_into().ok()?;
        Some(Self {
            bucket: Bucket::from_bytes(*bucket),
            source: SourceId(u32::from_be_bytes(*source)),
            segment: u32::from_be_bytes(*segment),
            slot: u32::from_be_bytes(slot),
        })
    }

    pub(crate) fn frame(bucket: Bucket, source: SourceId, segment: u32) -> Self {
        Self { bucket, source, segment, slot: FRAME_SLOT }
    }

    pub(crate) fn at(self, ts: Timestamp) -> Self {
        Self { slot: slot_of(self.bucket, ts), ..self }
    }

    pub(crate) fn ts(&self) -> Timestamp {
        self.bucket.0.saturating_add(i64::from(self.slot) - 1)
    }

    /// What a row's checksum starts from, so that a row under another key does not pass.
    pub(crate) fn seed(&self) -> u64 {
        // Rotated and multiplied, so that equal changes of two fields do not cancel each other out.
        let place = u64::from(self.source.0) << 32 | u64::from(self.segment);
        (self.bucket.0.0 as u64).rotate_left(17) ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.slot)
    }
}

/// The slot of a time within (or, clamped, around) a bucket.
pub(crate) fn slot_of(bucket: Bucket, ts: Timestamp) -> u32 {
    // One further, since the frame has the first slot.
    let offset = ts.saturating_since(bucket.0).saturating_add(1);
    // A bucket is a day at most: only a time outside it does not fit.
    u32::try_from(offset.max(1)).unwrap_or(u32::MAX)
}

/// The first byte of a key in `metrics`, `sources` and `layouts`.
pub(crate) const BY_ID: u8 = 0;
pub(crate) const BY_HASH: u8 = 1;

pub(crate) fn id_key(id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [BY_ID, a, b, c, d]
}

pub(crate) fn hash_key(hash: u64) -> [u8; 9] {
    let mut key = [BY_HASH; 9];
    key[1..].copy_from_slice(&hash.to_be_bytes());
    key
}

/// The first byte of a key in `postings`.
pub(crate) const METRIC_LABEL: u8 = 0;
pub(crate) const SOURCE_LABEL: u8 = 1;
const METRIC_SEGMENTS: u8 = 2;
const SEEN: u8 = 3;
const BUCKET_SOURCES: u8 = 4;
const SOURCE_SEGMENT: u8 = 5;
const SEGMENT_SOURCES: u8 = 6;
const PARTITION_SOURCES: u8 = 7;

/// What starts every posting of one label name.
pub(crate) fn label_prefix(side: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + name.len() + 32);
    key.push(side);
    // The length first: the postings of one name then share a prefix that no other name has.
    key.extend_from_slice(&(name.len() as u32).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// The posting of one label pair. The empty value holds all ids that have the label, the empty name with it all ids.
pub(crate) fn label_key(side: u8, name: &str, value: &str) -> Vec<u8> {
    let mut key = label_prefix(side, name);
    key.extend_from_slice(value.as_bytes());
    key
}

/// The name and value of a label posting's key.
pub(crate) fn parse_label_key(key: &[u8]) -> Option<(&str, &str)> {
    let (_, rest) = key.split_first()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (name, value) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
}

fn tagged(tag: u8, id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [tag, a, b, c, d]
}

/// Which segments have a metric.
pub(crate) fn metric_segments_key(metric: u32) -> [u8; 5] {
    tagged(METRIC_SEGMENTS, metric)
}

/// Which segments a source wrote in a bucket.
pub(crate) fn seen_key(source: SourceId, bucket: Bucket) -> [u8; 13] {
    let mut key = [0; 13];
    // By source, then by time: what a source wrote in a range is one scan.
    key[..5].copy_from_slice(&tagged(SEEN, source.0));
    key[5..].copy_from_slice(&bucket.bytes());
    key
}

pub(crate) fn parse_seen_key(key: &[u8]) -> Option<(SourceId, Bucket)> {
    let (source, bucket) = key.strip_prefix(&[SEEN])?.split_first_chunk::<4>()?;
    Some((SourceId(u32::from_be_bytes(*source)), Bucket::from_bytes(bucket.try_into().ok()?)))
}

/// Which sources wrote in a bucket.
pub(crate) fn bucket_key(bucket: Bucket) -> [u8; 9] {
    let mut key = [BUCKET_SOURCES; 9];
    key[1..].copy_from_slice(&bucket.bytes());
    key
}

pub(crate) fn parse_bucket_key(key: &[u8]) -> Option<Bucket> {
    Some(Bucket::from_bytes(key.strip_prefix(&[BUCKET_SOURCES])?.try_into().ok()?))
}

/// What starts the keys of all partitions.
pub(crate) const PARTITIONS: [u8; 1] = [PARTITION_SOURCES];

/// Which sources have, or had, pages in a partition.
pub(crate) fn partition_key(partition: Partition) -> [u8; 13] {
    let mut key = [PARTITION_SOURCES; 13];
    key[1..].copy_from_slice(&partition.bytes());
    key
}

pub(crate) fn parse_partition_key(key: &[u8]) -> Option<Partition> {
    Partition::parse(key.strip_prefix(&PARTITIONS)?.try_into().ok()?)
}

/// Present when a source has, or had, rows of a segment.
pub(crate) fn source_segment_key(source: SourceId, segment: u32) -> [u8; 9] {
    let mut key = [0; 9];
    key[..5].copy_from_slice(&source_segments_prefix(source));
    key[5..].copy_from_slice(&segment.to_be_bytes());
    key
}

/// What starts the keys of the segments of a source.
pub(crate) fn source_segments_prefix(source: SourceId) -> [u8; 5] {
    tagged(SOURCE_SEGMENT, source.0)
}

/// Which sources have, or had, rows of a segment.
pub(crate) fn segment_sources_key(segment: u32) -> [u8; 5] {
    tagged(SEGMENT_SOURCES, segment)
}

/// The last four bytes of a key, as an id.
pub(crate) fn last_id(key: &[u8]) -> Option<u32> {
    key.split_last_chunk::<4>().map(|(_, id)| u32::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_times_do() {
        let key = |ts: Timestamp| {
            let bucket = Bucket::of(ts, 1000);
            RowKey::frame(bucket, SourceId(3), 9).at(ts)
        };
        let times = [i64::MIN, -1001, -1000, -1, 0, 999, 1000, i64::MAX].map(Timestamp);
        let keys: Vec<_> = times.iter().map(|&t| key(t).bytes()).collect();
        assert!(keys.is_sorted());
        for &ts in &times {
            assert_eq!(key(ts).ts(), ts);
            assert_eq!(RowKey::parse(&key(ts).bytes()), Some(key(ts)));
        }
        assert_eq!(Bucket::of(Timestamp(-1), 1000), Bucket(Timestamp(-1000)));
        assert_eq!(RowKey::parse(&[0; 19]), None);
    }

    #[test]
    fn label_keys_come_back() {
        let key = label_key(SOURCE_LABEL, "job", "a\0b");
        assert_eq!(parse_label_key(&key), Some(("job", "a\0b")));
        assert_eq!(parse_label_key(&[1, 0, 0, 0, 9, b'x']), None);
        let (five_before, ninety) = (Bucket(Timestamp(-5)), Bucket(Timestamp(90)));
        let seen = seen_key(SourceId(7), five_before);
        assert_eq!(parse_seen_key(&seen), Some((SourceId(7), five_before)));
        assert_eq!(parse_bucket_key(&bucket_key(ninety)), Some(ninety));
        assert_eq!(last_id(&source_segment_key(SourceId(1), 2)), Some(2));
    }
}
