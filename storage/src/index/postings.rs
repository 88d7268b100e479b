//! What new ids add to postings, and under which keys an id is found there.

use std::collections::HashMap;

use model::Labels;
use roaring::RoaringBitmap;
use rocksdb::WriteBatch;

use crate::kv::bitmap::{encode, encode_list};
use crate::kv::error::Error;
use crate::kv::schema::{Cf, label_key, last_id, metric_segments_key, segment_sources_key};
use crate::kv::store::{Store, after_prefix};

/// Adds the postings of new ids to a batch: one merge per label pair, per label name, and one for all.
pub(crate) fn add_labels<'a>(
    store: &Store,
    batch: &mut WriteBatch,
    side: u8,
    new: impl Iterator<Item = (u32, &'a Labels)>,
) {
    let (mut all, mut names) = (Vec::new(), HashMap::<&str, Vec<u32>>::new());
    let mut pairs: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
    for (id, labels) in new {
        all.push(id);
        for (name, value) in labels {
            names.entry(name).or_default().push(id);
            pairs.entry((name, value)).or_default().push(id);
        }
    }
    let mut post = |name: &str, value: &str, ids: Vec<u32>| {
        batch.merge_cf(store.cf(Cf::Postings), label_key(side, name, value), encode(&RoaringBitmap::from_iter(ids)));
    };
    if !all.is_empty() {
        post("", "", all);
    }
    names.into_iter().for_each(|(name, ids)| post(name, "", ids));
    pairs.into_iter().for_each(|((name, value), ids)| post(name, value, ids));
}

/// Adds the postings of new segments to a batch: one merge for each of their metrics.
pub(crate) fn add_segments<'a>(store: &Store, batch: &mut WriteBatch, new: impl Iterator<Item = (u32, &'a [u8])>) {
    for (id, text) in new {
        let operand = encode_list([id]);
        for metric in metrics_of_text(text) {
            batch.merge_cf(store.cf(Cf::Postings), metric_segments_key(metric), &operand);
        }
    }
}

/// The metrics of the columns of a segment, from its text.
pub(crate) fn metrics_of_text(text: &[u8]) -> impl Iterator<Item = u32> {
    text.as_chunks::<4>().0.iter().take(model::Layout::SEGMENT_COLUMNS).map(|bytes| u32::from_le_bytes(*bytes))
}

/// All keys under which an id with these labels is posted.
pub(crate) fn label_keys<'a>(side: u8, labels: &'a Labels) -> impl Iterator<Item = Vec<u8>> + 'a {
    let pairs = labels.iter().flat_map(move |(name, value)| [label_key(side, name, value), label_key(side, name, "")]);
    std::iter::once(label_key(side, "", "")).chain(pairs)
}

/// The highest segment that any source wrote.
pub(crate) fn last_segment(store: &Store) -> Result<Option<u32>, Error> {
    let highest = segment_sources_key(u32::MAX);
    let mut iter = store.iter(Cf::Postings, &segment_sources_key(0), &after_prefix(&highest));
    iter.seek_to_last();
    let last = iter.key().and_then(last_id);
    iter.status().map_err(Error::read)?;
    Ok(last)
}
