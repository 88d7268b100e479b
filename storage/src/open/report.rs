//! Reports what was set aside while the directory was opened, with the names of the metrics that its keys belonged to, as far as
//! the index still has them.

use std::collections::BTreeSet;

use model::labels::METRIC_NAME;
use model::{SourceId, Timestamp};

use crate::components::Components;
use crate::error::Error;
use crate::kv::bitmap;
use crate::kv::schema::{
    Cf, METRIC_LABEL, PageGroup, Partition, RowKey, SOURCE_LABEL, TIMELINE_NAME, bucket_key, label_prefix, last_id,
    page_name, parse_label_key, source_segments_prefix,
};
use crate::limits;
use crate::quarantine::record::{QuarantineRecord, Quarantined, append_record};

/// Reports what was set aside when the database was opened: to the log, the metrics and the quarantine records.
pub(crate) fn report(db: &Components, quarantined: Vec<Quarantined>) {
    for Quarantined { mut record, keys } in quarantined {
        // What was met of it before is part of this record.
        db.records.supersede(&record.place);
        if let Some(keys) = keys {
            complete(db, &mut record, (keys.start(), keys.end()));
        }
        db.metrics.quarantined_files.inc();
        let QuarantineRecord { place, family, from, to, metrics, what } = &record;
        if record.is_rebuilt() {
            tracing::error!(
                file = place,
                family,
                reason = what,
                "damaged data was set aside and rebuilt; nothing is lost"
            );
        } else {
            tracing::error!(
                file = place,
                family,
                from_ms = from.0,
                to_ms = to.0,
                ?metrics,
                reason = what,
                "damaged data was set aside; the samples in it are lost, all others are served"
            );
        }
        if let Err(error) = append_record(&db.options.path, &record) {
            tracing::error!(%error, "cannot write the quarantine record of what was set aside");
        }
        db.records.add(record);
    }
}

/// Adds what only the open database tells of a file that was set aside.
fn complete(db: &Components, record: &mut QuarantineRecord, keys: (&[u8], &[u8])) {
    if record.to != Timestamp::MAX {
        // So far it is where the last bucket or partition starts, which is all that keys tell.
        let pages = record.family == Cf::Pages.name();
        let partition = if pages { last_partition(keys.1) } else { None };
        let buckets = partition.map_or(1, |partition| partition.buckets);
        let length_ms = i64::from(buckets) * i64::from(db.store.bucket_ms);
        record.to = record.to.saturating_add(length_ms).saturating_sub(1);
    }
    match names_in(db, record.family.as_str(), keys) {
        Ok(names) => record.metrics = names.into_iter().collect(),
        Err(error) => tracing::warn!(%error, "cannot tell which metrics are affected by damage"),
    }
}

fn last_partition(key: &[u8]) -> Option<Partition> {
    Partition::parse(*key.first_chunk::<{ Partition::BYTES }>()?)
        // The last key of a damaged file may be anything.
        .filter(|partition| limits::PARTITION_BUCKETS.contains(&partition.buckets))
}

fn names_in(db: &Components, family: &str, keys: (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
    match family {
        family if family == Cf::Pages.name() => names_of_pages(db, keys),
        // The keys of histograms have a metric where those of rows have a segment: nothing that is looked at here.
        family if family == Cf::Rows.name() || family == Cf::Histograms.name() => names_of_rows(db, keys),
        _ => Ok(BTreeSet::new()),
    }
}

/// Within one partition the names lie by their hash; in several it may be any.
fn names_of_pages(db: &Components, (start, end): (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
    let name = |key: &[u8]| PageGroup::parse(key).map_or(TIMELINE_NAME, |(group, _)| group.name);
    let one = start.len() >= Partition::BYTES && end.starts_with(&start[..Partition::BYTES]);
    let within = if one { name(start)..=name(end) } else { 0..=u32::MAX };
    let mut names = BTreeSet::new();
    // Keys of pages have only a hash of the name: every name there is gets compared with it.
    db.store.each(Cf::Postings, &label_prefix(METRIC_LABEL, METRIC_NAME), |key, _| {
        let (_, text) = parse_label_key(key).unwrap_or_default();
        if !text.is_empty() && within.contains(&page_name(text)) {
            names.insert(text.to_owned());
        }
        Ok::<_, Error>(names.len() < limits::RECORD_METRICS)
    })?;
    Ok(names)
}

/// Those of the segments of the sources in the range.
fn names_of_rows(db: &Components, (start, end): (&[u8], &[u8])) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    let (Some(start), Some(end)) = (RowKey::parse(start), RowKey::parse(end)) else { return Ok(names) };
    // Keys go by bucket, then by source: over several buckets the range may hold any source.
    let sources = if start.bucket == end.bucket {
        let wrote = bitmap::get(&db.store, &bucket_key(start.bucket))?;
        wrote.range(start.source.0..=end.source.0).take(limits::RECORD_METRICS).collect::<Vec<u32>>()
    } else {
        let all = bitmap::all(&db.store, SOURCE_LABEL)?;
        all.iter().take(limits::RECORD_METRICS).collect()
    };
    for source in sources {
        let mut segments = Vec::new();
        db.store.each(Cf::Postings, &source_segments_prefix(SourceId(source)), |key, _| {
            segments.extend(last_id(key));
            Ok::<_, Error>(segments.len() < limits::RECORD_METRICS)
        })?;
        for segment in segments {
            let Some(metrics) = db.index.segment_metrics(&db.store, segment)? else { continue };
            for &metric in metrics.iter() {
                if let Some(labels) = db.index.metric_labels(&db.store, metric)? {
                    names.insert(labels.name().to_owned());
                }
                if names.len() >= limits::RECORD_METRICS {
                    return Ok(names);
                }
            }
        }
    }
    Ok(names)
}
