//! Small partitions become larger ones, source by source.

use std::collections::BTreeMap;

use model::SourceId;
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use super::{Pace, Sealed, Stop};
use crate::db::Db;
use crate::error::Error;
use crate::kv::schema::{Cf, Partition, merged_key, partition_key, ruled_key};
use crate::kv::store::after_prefix;
use crate::limits;
use crate::pages::timeline::Timeline;
use crate::pages::{partitions, timeline_of};
use crate::reader::snapshot::View;

/// Partitions with their sources.
type Partitions = Vec<(Partition, RoaringBitmap)>;
/// Timelines that are no more, by partition.
type Replaced = BTreeMap<Partition, Vec<(SourceId, Timeline)>>;

impl Db {
    pub(super) fn merge(&self, now_ms: i64, pace: &mut Pace<'_>, sealed: &mut Sealed) -> Result<(), Stop> {
        for &buckets in &limits::PARTITION_BUCKETS[1..] {
            let mut by_parent: BTreeMap<Partition, Partitions> = BTreeMap::new();
            for (partition, sources) in partitions(&View::new(&self.store))? {
                if partition.buckets < buckets {
                    let parent = Partition::of(partition.start.0, buckets, self.store.bucket_ms);
                    by_parent.entry(parent).or_default().push((partition, sources));
                }
            }
            for (parent, children) in by_parent {
                // The last child is sealed in the same round, at the earliest.
                let due = parent.end_ms(self.store.bucket_ms).saturating_add(self.grace_ms()) <= now_ms;
                if due
                    && children.len() > 1
                    && !self.store.has(Cf::Meta, merged_key(parent))?
                    && self.merge_into(parent, &children, pace, sealed)?
                {
                    self.store.put(Cf::Meta, merged_key(parent), [])?;
                }
            }
        }
        Ok(())
    }

    /// Says whether nothing was put off.
    fn merge_into(
        &self,
        parent: Partition,
        children: &Partitions,
        pace: &mut Pace<'_>,
        sealed: &mut Sealed,
    ) -> Result<bool, Stop> {
        let mut replaced = Replaced::new();
        let done = self.merge_sources(parent, children, pace, (sealed, &mut replaced));
        for (child, sources) in children {
            let gone = replaced.remove(child).unwrap_or_default();
            self.clear(*child, sources, &gone)?;
        }
        done
    }

    fn merge_sources(
        &self,
        parent: Partition,
        children: &Partitions,
        pace: &mut Pace<'_>,
        (sealed, replaced): (&mut Sealed, &mut Replaced),
    ) -> Result<bool, Stop> {
        let sources = children.iter().fold(RoaringBitmap::new(), |all, (_, sources)| all | sources);
        let mut all = true;
        for source in sources.into_iter().map(SourceId) {
            let having = children.iter().filter(|(_, sources)| sources.contains(source.0));
            let (mut parts, mut rows) = (0, 0);
            {
                let view = View::new(&self.store);
                for (child, _) in having {
                    if let Some(timeline) = timeline_of(&view, *child, source)? {
                        parts += 1;
                        rows += timeline.timestamps.len();
                    }
                }
            }
            if parts < 2 || rows > limits::MERGED_ROWS {
                continue;
            }
            let Some(written) = self.rewrite(source, parent, pace)? else {
                all = false;
                continue;
            };
            sealed.merged += 1;
            for (partition, timeline) in written.replaced {
                if partition != parent {
                    replaced.entry(partition).or_default().push((source, timeline));
                }
            }
        }
        Ok(all)
    }

    /// Takes away the pages that were merged; the partition itself when nothing else is in it.
    fn clear(&self, partition: Partition, sources: &RoaringBitmap, gone: &[(SourceId, Timeline)]) -> Result<(), Error> {
        let unreadable = self.store.unreadable();
        let view = View::new(&self.store);
        for source in sources {
            if timeline_of(&view, partition, SourceId(source))?.is_some() {
                for (source, timeline) in gone {
                    self.remove_pages(partition, *source, timeline)?;
                }
                return Ok(());
            }
        }
        drop(view);
        self.store.all_was_read(unreadable)?;
        self.drop_partition(partition, WriteBatch::default())
    }

    /// Takes away a partition with all that is in it, together with what the batch says.
    pub(crate) fn drop_partition(&self, partition: Partition, mut batch: WriteBatch) -> Result<(), Error> {
        let store = &self.store;
        let (from, to) = (partition.bytes().to_vec(), after_prefix(&partition.bytes()));
        batch.delete_range_cf(store.cf(Cf::Pages), &from, &to);
        batch.delete_cf(store.cf(Cf::Postings), partition_key(partition));
        for key in [merged_key(partition), ruled_key(partition)] {
            batch.delete_cf(store.cf(Cf::Meta), &key);
            store.copy(&mut batch, (Cf::Meta, &key), None);
        }
        let changing = store.kept.pages.of_all();
        store.write(batch)?;
        drop(changing);
        self.files_left(Cf::Pages, &from, &to);
        Ok(())
    }
}
