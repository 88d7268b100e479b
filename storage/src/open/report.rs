//! Which metrics the keys of a damaged file belonged to, as far as the index still tells.

use std::collections::BTreeSet;

use model::SourceId;
use model::labels::METRIC_NAME;

use crate::db::Db;
use crate::error::Error;
use crate::kv::schema::{
    Cf, METRIC_LABEL, PageGroup, Partition, RowKey, TIMELINE_NAME, bucket_key, label_prefix, last_id, parse_label_key,
    source_segments_prefix,
};
use crate::limits;
use crate::pages::name_of;
use crate::quarantine::{Damage, Hurt};

impl Db {
    /// Reports what was set aside when the database was opened: to the log, the metrics and [`Db::damage`].
    pub(crate) fn report(&self, hurt: Vec<Hurt>) {
        for Hurt { mut damage, keys } in hurt {
            // What was met of it before is part of what is told now.
            self.store.supersede(&damage.place);
            if let Some(keys) = keys {
                self.complete(&mut damage, (keys.start(), keys.end()));
            }
            self.store.metrics.quarantined_files.inc();
            let Damage { place, family, from_ms, to_ms, metrics, what } = &damage;
            if damage.is_rebuilt() {
                tracing::error!(
                    file = place,
                    family,
                    reason = what,
                    "something damaged was made anew; nothing is lost"
                );
            } else {
                tracing::error!(
                    file = place,
                    family,
                    from_ms,
                    to_ms,
                    ?metrics,
                    reason = what,
                    "something damaged was set aside; what it held is lost, the rest is served"
                );
            }
            if let Err(error) = crate::quarantine::tell(&self.options.path, &damage) {
                tracing::error!(%error, "cannot keep what was set aside");
            }
            self.store.hurt(damage);
        }
    }

    /// Adds what only the open database tells of a file that was set aside.
    fn complete(&self, damage: &mut Damage, keys: (&[u8], &[u8])) {
        if damage.to_ms != i64::MAX {
            let pages = damage.family == Cf::Pages.name();
            let partition = if pages { Self::last_partition(keys.1) } else { None };
            let buckets = partition.map_or(1, |partition| partition.buckets);
            let length = i64::from(buckets) * i64::from(self.store.bucket_ms);
            damage.to_ms = damage.to_ms.saturating_add(length).saturating_sub(1);
        }
        match self.names_in(damage.family.as_str(), keys) {
            Ok(names) => damage.metrics = names.into_iter().collect(),
            Err(error) => tracing::warn!(%error, "cannot tell which metrics are hurt"),
        }
    }

    fn last_partition(key: &[u8]) -> Option<Partition> {
        Partition::parse(*key.first_chunk::<{ Partition::BYTES }>()?)
            .filter(|partition| limits::PARTITION_BUCKETS.contains(&partition.buckets))
    }

    fn names_in(&self, family: &str, keys: (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
        match family {
            family if family == Cf::Pages.name() => self.names_of_pages(keys),
            // The keys of histograms have a metric where those of rows have a segment: nothing that is looked at here.
            family if family == Cf::Rows.name() || family == Cf::Histograms.name() => self.names_of_rows(keys),
            _ => Ok(BTreeSet::new()),
        }
    }

    /// Within one partition the names lie by their hash; in several it may be any.
    fn names_of_pages(&self, (start, end): (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
        let name = |key: &[u8]| PageGroup::parse(key).map_or(TIMELINE_NAME, |(group, _)| group.name);
        let one = start.len() >= Partition::BYTES && end.starts_with(&start[..Partition::BYTES]);
        let within = if one { name(start)..=name(end) } else { 0..=u32::MAX };
        let mut names = BTreeSet::new();
        self.store.each(Cf::Postings, &label_prefix(METRIC_LABEL, METRIC_NAME), |key, _| {
            let (_, text) = parse_label_key(key).unwrap_or_default();
            if !text.is_empty() && within.contains(&name_of(text)) {
                names.insert(text.to_owned());
            }
            Ok(names.len() < limits::DAMAGED_NAMES)
        })?;
        Ok(names)
    }

    /// Those of the segments of the sources in the range.
    fn names_of_rows(&self, (start, end): (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        let (Some(start), Some(end)) = (RowKey::parse(start), RowKey::parse(end)) else { return Ok(names) };
        let sources = if start.bucket == end.bucket {
            let wrote = crate::index::postings::get(&self.store, &bucket_key(start.bucket))?;
            wrote.range(start.source.0..=end.source.0).take(limits::DAMAGED_NAMES).collect::<Vec<u32>>()
        } else {
            let all = crate::index::postings::all(&self.store, crate::kv::schema::SOURCE_LABEL)?;
            all.iter().take(limits::DAMAGED_NAMES).collect()
        };
        for source in sources {
            let mut segments = Vec::new();
            self.store.each(Cf::Postings, &source_segments_prefix(SourceId(source)), |key, _| {
                segments.extend(last_id(key));
                Ok(segments.len() < limits::DAMAGED_NAMES)
            })?;
            for segment in segments {
                let Some(metrics) = self.index.segment_metrics(&self.store, segment)? else { continue };
                for &metric in metrics.iter() {
                    if let Some(labels) = self.index.metric_labels(&self.store, metric)? {
                        names.insert(labels.name().to_owned());
                    }
                    if names.len() >= limits::DAMAGED_NAMES {
                        return Ok(names);
                    }
                }
            }
        }
        Ok(names)
    }
}
