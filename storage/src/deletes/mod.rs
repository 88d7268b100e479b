//! What was deleted: stretches of time of the series that some matchers select. Masked when read, gone when pages are
//! written anew.
//!
//! A retention rule is a deletion whose end moves: it acts only when pages are written anew.

pub(crate) mod purge;
mod settle;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use model::{MatchOp, Matcher, SourceId};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::lock;
use crate::compaction::{Pace, Stop};
use crate::db::Db;
use crate::error::Error;
use crate::index::select::{Selected, select};
use crate::kv::schema::{Cf, META_DELETED, Partition, deleted_key, ruled_key, settled_key};
use crate::kv::store::Store;
use crate::kv::varint;
use crate::pages;
use crate::reader::snapshot::View;

/// A deletion, as far as one reader is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Deleted {
    /// The first and last millisecond.
    pub(crate) range: (i64, i64),
    pub(crate) series: Vec<Selected>,
}

impl Deleted {
    /// Adds what is deleted of these metrics (ascending) of a source, each by its index.
    pub(crate) fn of(&self, source: SourceId, metrics: &[u32], out: &mut Vec<(usize, i64, i64)>) {
        let mut add = |i: usize| out.push((i, self.range.0, self.range.1));
        for one in self.series.iter().filter(|one| one.sources.contains(source.0)) {
            if one.metrics.len() < metrics.len() as u64 {
                one.metrics.iter().flat_map(|metric| metrics.binary_search(&metric)).for_each(&mut add);
            } else {
                (0..metrics.len()).filter(|&i| one.metrics.contains(metrics[i])).for_each(&mut add);
            }
        }
    }

    /// The sources of its series.
    pub(crate) fn sources(&self) -> RoaringBitmap {
        self.series.iter().fold(RoaringBitmap::new(), |all, one| all | &one.sources)
    }
}

/// One deletion as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) key: Vec<u8>,
    pub(crate) range: (i64, i64),
    matchers: Vec<Matcher>,
    /// Sources for which it was carried out; nothing of them is masked.
    pub(crate) settled: RoaringBitmap,
}

/// For how long the series that some matchers select are kept, where that is shorter than the database's retention.
#[derive(Clone, Debug)]
pub struct RetentionRule {
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Milliseconds.
    pub keep_ms: i64,
}

/// Deletions and rules of an open database.
#[derive(Debug, Default)]
pub(crate) struct Deletes {
    tombstones: RwLock<Arc<Vec<Tombstone>>>,
    rules: RwLock<Arc<Vec<RetentionRule>>>,
    /// The last millisecond of any deletion.
    pub(crate) until_ms: AtomicI64,
    /// How many wait to carry out a deletion.
    pub(crate) waiting: AtomicUsize,
}

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

impl Tombstone {
    /// Does it still hold for a source, and reach into a range of time?
    pub(crate) fn masks(&self, source: SourceId, (from, to): (i64, i64)) -> bool {
        self.range.0 <= to && self.range.1 >= from && !self.settled.contains(source.0)
    }

    fn encode(range: (i64, i64), matchers: &[Matcher]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&range.0.to_le_bytes());
        out.extend_from_slice(&range.1.to_le_bytes());
        for matcher in matchers {
            out.push(OPS.iter().position(|op| *op == matcher.op).unwrap_or(0) as u8);
            for text in [&matcher.name, &matcher.value] {
                varint::put(text.len() as u64, &mut out);
                out.extend_from_slice(text.as_bytes());
            }
        }
        out
    }

    fn parse(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (start, rest) = bytes.split_first_chunk::<8>()?;
        let (end, mut rest) = rest.split_first_chunk::<8>()?;
        let mut matchers = Vec::new();
        while let Some((&op, after)) = rest.split_first() {
            rest = after;
            let mut text = || {
                let len = varint::take_usize(&mut rest)?;
                let (text, after) = rest.split_at_checked(len)?;
                rest = after;
                String::from_utf8(text.to_vec()).ok()
            };
            let (name, value) = (text()?, text()?);
            matchers.push(Matcher::new(*OPS.get(usize::from(op))?, name, value).ok()?);
        }
        let range = (i64::from_le_bytes(*start), i64::from_le_bytes(*end));
        Some(Self { key: key.to_vec(), range, matchers, settled: RoaringBitmap::new() })
    }
}

impl Deletes {
    pub(crate) fn open(store: &Store) -> Result<Self, Error> {
        let mut tombstones = Vec::new();
        store.each(Cf::Meta, META_DELETED, |key, value| {
            match Tombstone::parse(key, value) {
                Some(tombstone) => tombstones.push(tombstone),
                None => store.corrupt(Cf::Meta, key, "not a deletion"),
            }
            Ok(true)
        })?;
        for tombstone in &mut tombstones {
            let Some(bytes) = store.get(Cf::Meta, settled_key(&tombstone.key))? else { continue };
            match RoaringBitmap::deserialize_from(&bytes[..]) {
                Ok(settled) => tombstone.settled = settled,
                Err(reason) => store.corrupt(Cf::Meta, &settled_key(&tombstone.key), reason),
            }
        }
        let deletes = Self { until_ms: AtomicI64::new(i64::MIN), ..Self::default() };
        deletes.replace(tombstones);
        Ok(deletes)
    }

    pub(crate) fn tombstones(&self) -> Arc<Vec<Tombstone>> {
        Arc::clone(&self.tombstones.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other deletions in force, from the first to the last.
    pub(crate) fn replace(&self, tombstones: Vec<Tombstone>) {
        let until_ms = tombstones.iter().map(|tombstone| tombstone.range.1).max().unwrap_or(i64::MIN);
        *self.tombstones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tombstones);
        self.until_ms.store(until_ms, Ordering::Release);
    }

    fn rules(&self) -> Arc<Vec<RetentionRule>> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Db {
    /// Deletes the samples from `start_ms` to `end_ms`, both included, of the series that all matchers select. They are
    /// gone for every reader at once, and from the disk after [`Db::clean_deleted`] or the next merge. Samples that come
    /// in later are not touched: the end is cut to the newest sample there is.
    ///
    /// # Errors
    /// When the store cannot be read or written; then nothing is deleted.
    pub fn delete(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Result<(), Error> {
        let _one = lock(&self.maintenance);
        let newest = self.newest_stored()?;
        let range = (start_ms, end_ms.min(newest));
        if range.0 > range.1 {
            return Ok(());
        }
        let bytes = Tombstone::encode(range, matchers);
        let mut all = Vec::clone(&self.deletes.tombstones());
        let number = all.last().and_then(|last| last.key.last_chunk::<8>()).map_or(0, |n| u64::from_be_bytes(*n) + 1);
        let key = deleted_key(number);
        self.store.put(Cf::Meta, &key, bytes)?;
        all.push(Tombstone { key, range, matchers: matchers.to_vec(), settled: RoaringBitmap::new() });
        // Whoever stores something now has it masked only if it came before this.
        let _gate = self.index.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.deletes.replace(all);
        Ok(())
    }

    /// Takes deleted samples out of rows and pages, so that they are gone from the disk too.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn clean_deleted(&self) -> Result<(), Error> {
        let _one = lock(&self.maintenance);
        let mut left = Vec::new();
        for tombstone in self.deletes.tombstones().iter() {
            let deleted = self.resolve(tombstone)?;
            let mut clean = true;
            for source in deleted.sources() {
                clean &= self.carry_out(&deleted, SourceId(source))?;
            }
            if clean {
                self.store.delete(Cf::Meta, &tombstone.key)?;
                self.store.delete(Cf::Meta, settled_key(&tombstone.key))?;
            } else {
                left.push(tombstone.clone());
            }
        }
        self.deletes.replace(left);
        self.delete_files()
    }

    /// Replaces the retention rules. They act when partitions are merged, and on partitions wholly past them.
    pub fn set_retention_rules(&self, rules: Vec<RetentionRule>) {
        *self.deletes.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// What is deleted within a range.
    pub(crate) fn deleted(&self, range: &RangeInclusive<i64>) -> Result<Vec<Deleted>, Error> {
        let tombstones = self.deletes.tombstones();
        let within = |t: &&Tombstone| t.range.0 <= *range.end() && t.range.1 >= *range.start();
        tombstones.iter().filter(within).map(|t| self.resolve(t)).collect()
    }

    /// What need not be written again: what is deleted, and what the rules no longer keep.
    pub(crate) fn unkept(&self, range: &RangeInclusive<i64>) -> Result<Vec<Deleted>, Error> {
        let mut all = self.deleted(range)?;
        let now_ms = self.now_ms.load(Ordering::Acquire);
        for rule in self.deletes.rules().iter() {
            let until = now_ms.saturating_sub(rule.keep_ms);
            if until > *range.start() {
                all.push(self.select((i64::MIN, until - 1), &rule.matchers)?);
            }
        }
        Ok(all)
    }

    /// The series that a deletion masks.
    pub(crate) fn resolve(&self, tombstone: &Tombstone) -> Result<Deleted, Error> {
        let mut deleted = self.select(tombstone.range, &tombstone.matchers)?;
        deleted.series.iter_mut().for_each(|one| one.sources -= &tombstone.settled);
        deleted.series.retain(|one| !one.sources.is_empty());
        Ok(deleted)
    }

    fn select(&self, range: (i64, i64), matchers: &[Matcher]) -> Result<Deleted, Error> {
        let alive = self.alive(&View::new(&self.store), &(range.0..=range.1))?;
        Ok(Deleted { range, series: select((&self.store, &self.index), matchers, &alive)? })
    }

    /// Writes anew the partitions that lie wholly past a rule, once.
    pub(crate) fn apply_rules(&self, pace: &mut Pace<'_>) -> Result<(), Stop> {
        let rules = self.deletes.rules();
        if rules.is_empty() {
            return Ok(());
        }
        let now_ms = self.now_ms.load(Ordering::Acquire);
        for (partition, having) in pages::partitions(&View::new(&self.store))? {
            let past: Vec<&RetentionRule> =
                rules.iter().filter(|rule| self.is_past(partition, now_ms, rule.keep_ms)).collect();
            let text = past.iter().fold(Vec::new(), |mut text, rule| {
                text.extend(Tombstone::encode((0, rule.keep_ms), &rule.matchers));
                text
            });
            let mark = xxh3_64(&text).to_be_bytes();
            if past.is_empty() || self.store.get(Cf::Meta, ruled_key(partition))?.as_deref() == Some(&mark[..]) {
                continue;
            }
            let mut done = true;
            for rule in past {
                let range = (partition.start.0, partition.end_ms(self.store.bucket_ms) - 1);
                for source in self.select(range, &rule.matchers)?.sources() & &having {
                    done &= self.rewrite(SourceId(source), partition, pace)?.is_some();
                }
            }
            if done {
                self.store.put(Cf::Meta, ruled_key(partition), mark)?;
            }
        }
        Ok(())
    }

    fn is_past(&self, partition: Partition, now_ms: i64, keep_ms: i64) -> bool {
        partition.end_ms(self.store.bucket_ms) <= now_ms.saturating_sub(keep_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_comes_back() {
        let matchers = [
            Matcher::new(MatchOp::Equal, "__name__", "up").unwrap(),
            Matcher::new(MatchOp::NotRegex, "pod", "a.*").unwrap(),
        ];
        let bytes = Tombstone::encode((-5, i64::MAX), &matchers);
        let back = Tombstone::parse(b"key", &bytes).unwrap();
        assert_eq!(back.range, (-5, i64::MAX));
        assert_eq!(format!("{:?}", back.matchers), format!("{matchers:?}"));
        for len in 0..bytes.len() {
            // Cut between two matchers it is a shorter deletion, which RocksDB's checksum keeps from happening.
            let _ = Tombstone::parse(b"key", &bytes[..len]);
        }
    }
}
