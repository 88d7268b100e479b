//! Tombstones: deleted ranges of time of the series that some matchers select. Masked when read, gone when pages are written
//! anew.
//!
//! A retention rule is a tombstone whose end moves: it acts only when pages are written anew.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{MatchOp, Matcher, SourceId, Timestamp};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::atomic_timestamp::AtomicTimestamp;
use crate::error::Error;
use crate::index::select::select;
use crate::kv::schema::{Cf, META_DELETED, settled_key};
use crate::kv::store::Store;
use crate::kv::varint;
use crate::reader::context::ReadContext;
use crate::reader::mask::Mask;

/// One deletion as it was requested.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) key: Vec<u8>,
    pub(crate) range: (Timestamp, Timestamp),
    pub(crate) matchers: Vec<Matcher>,
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

/// The tombstones and retention rules of an open database.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    list: RwLock<Arc<Vec<Tombstone>>>,
    rules: RwLock<Arc<Vec<RetentionRule>>>,
    /// The last millisecond of any deletion.
    pub(crate) until: AtomicTimestamp,
}

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

impl Tombstone {
    /// Does it still hold for a source, and overlap a range of time?
    pub(crate) fn masks(&self, source: SourceId, (from, to): (Timestamp, Timestamp)) -> bool {
        self.range.0 <= to && self.range.1 >= from && !self.settled.contains(source.0)
    }

    /// What it masks.
    pub(crate) fn resolve(&self, context: ReadContext<'_>) -> Result<Mask, Error> {
        let mut mask = resolve(context, self.range, &self.matchers)?;
        // What was carried out for a source masks nothing there: samples that came since are to be seen.
        mask.series.iter_mut().for_each(|one| one.sources -= &self.settled);
        mask.series.retain(|one| !one.sources.is_empty());
        Ok(mask)
    }

    pub(crate) fn encode(range: (Timestamp, Timestamp), matchers: &[Matcher]) -> Vec<u8> {
        let mut out = Vec::new();
        // The matchers as they were written, not what they select now: ids may be given out again.
        out.extend_from_slice(&range.0.0.to_le_bytes());
        out.extend_from_slice(&range.1.0.to_le_bytes());
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
        let [start, end] = [*start, *end].map(|bytes| Timestamp(i64::from_le_bytes(bytes)));
        let range = (start, end);
        Some(Self { key: key.to_vec(), range, matchers, settled: RoaringBitmap::new() })
    }
}

impl Tombstones {
    pub(crate) fn open(store: &Store) -> Result<Self, Error> {
        let mut tombstones = Vec::new();
        store.each(Cf::Meta, META_DELETED, |key, value| {
            match Tombstone::parse(key, value) {
                Some(tombstone) => tombstones.push(tombstone),
                None => store.corrupt(Cf::Meta, key, "not a deletion"),
            }
            Ok::<_, Error>(true)
        })?;
        for tombstone in &mut tombstones {
            // Under a key of its own, so that progress is written without the deletion.
            let Some(bytes) = store.get(Cf::Meta, settled_key(&tombstone.key))? else { continue };
            match RoaringBitmap::deserialize_from(&bytes[..]) {
                Ok(settled) => tombstone.settled = settled,
                // Then it is masked, and carried out, once more.
                Err(reason) => store.corrupt(Cf::Meta, &settled_key(&tombstone.key), reason),
            }
        }
        let all = Self::default();
        all.replace(tombstones);
        Ok(all)
    }

    pub(crate) fn list(&self) -> Arc<Vec<Tombstone>> {
        Arc::clone(&self.list.read())
    }

    /// Replaces all tombstones.
    pub(crate) fn replace(&self, tombstones: Vec<Tombstone>) {
        let until = tombstones.iter().map(|tombstone| tombstone.range.1).max().unwrap_or(Timestamp::MIN);
        // Whoever reads holds the list as it was.
        *self.list.write() = Arc::new(tombstones);
        self.until.store(until, Ordering::Release);
    }

    pub(crate) fn rules(&self) -> Arc<Vec<RetentionRule>> {
        Arc::clone(&self.rules.read())
    }

    /// Replaces the retention rules. They act when partitions are merged, and on partitions wholly past them.
    pub(crate) fn set_rules(&self, rules: Vec<RetentionRule>) {
        *self.rules.write() = Arc::new(rules);
    }

    /// What is deleted within a range.
    pub(crate) fn masks(
        &self,
        context: ReadContext<'_>,
        range: &RangeInclusive<Timestamp>,
    ) -> Result<Vec<Mask>, Error> {
        let tombstones = self.list();
        let within = |t: &&Tombstone| t.range.0 <= *range.end() && t.range.1 >= *range.start();
        tombstones.iter().filter(within).map(|t| t.resolve(context)).collect()
    }

    /// What need not be written again: what is deleted, and what the rules no longer keep at `now`.
    pub(crate) fn unkept(
        &self,
        context: ReadContext<'_>,
        range: &RangeInclusive<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Mask>, Error> {
        let mut all = self.masks(context, range)?;
        for rule in self.rules().iter() {
            let until = now.saturating_sub(rule.keep_ms);
            // A rule that does not reach into the range masks nothing of it.
            if until > *range.start() {
                // From the beginning of time, since a rule says only how long something is kept.
                all.push(resolve(context, (Timestamp::MIN, until - 1), &rule.matchers)?);
            }
        }
        Ok(all)
    }
}

/// The series that matchers select of those with anything in a range.
pub(crate) fn resolve(
    context: ReadContext<'_>,
    range: (Timestamp, Timestamp),
    matchers: &[Matcher],
) -> Result<Mask, Error> {
    let sources = context.sources_in(&context.snapshot(), &(range.0..=range.1))?;
    Ok(Mask { range, series: select((context.store, context.index), matchers, &sources)? })
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
        let bytes = Tombstone::encode((Timestamp(-5), Timestamp::MAX), &matchers);
        let back = Tombstone::parse(b"key", &bytes).unwrap();
        assert_eq!(back.range, (Timestamp(-5), Timestamp::MAX));
        assert_eq!(format!("{:?}", back.matchers), format!("{matchers:?}"));
        for len in 0..bytes.len() {
            // Cut between two matchers it is a shorter deletion, which RocksDB's checksum keeps from happening.
            let _ = Tombstone::parse(b"key", &bytes[..len]);
        }
    }
}
