//! The labels of series as they are sent: external labels added, relabelled, and encoded, once for each series.
//!
//! A series is kept as numbers of label pairs, and each pair has its bytes: a request of version 1.0 is put together from these,
//! and one of version 2.0 from the numbers of their texts.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use model::{Batch, Column, Labels, LabelsBuilder, MetricId, RelabelRule, SourceId, relabel};
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::proto::write::Label;
use crate::wire::push_field;

/// About what an entry of the maps takes beside its bytes.
const ENTRY_BYTES: usize = 64;

/// A series that is sent.
#[derive(Debug)]
pub(super) struct Series {
    /// Of its labels as they are stored: the same today and after a restart, whatever the rules are.
    pub(super) hash: u64,
    /// Its label pairs by name.
    pub(super) pairs: Box<[u32]>,
}

/// A label.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) name: u32,
    pub(super) value: u32,
    /// As a field of a series of version 1.0.
    pub(super) encoded: Box<[u8]>,
}

/// The series that were sent lately.
#[derive(Debug)]
pub(super) struct SeriesCache {
    external: Labels,
    rules: Vec<RelabelRule>,
    bytes_max: usize,
    bytes: usize,
    by_ids: HashMap<(SourceId, MetricId), Option<Arc<Series>>, RandomState>,
    symbols: HashMap<Arc<str>, u32, RandomState>,
    texts: Vec<Arc<str>>,
    pair_of: HashMap<(u32, u32), u32, RandomState>,
    pairs: Vec<Pair>,
}

impl SeriesCache {
    pub(super) fn new(external: &Labels, rules: &[RelabelRule], bytes_max: usize) -> Self {
        Self {
            external: external.clone(),
            rules: rules.to_vec(),
            bytes_max,
            bytes: 0,
            by_ids: HashMap::default(),
            symbols: HashMap::default(),
            texts: Vec::new(),
            pair_of: HashMap::default(),
            pairs: Vec::new(),
        }
    }

    /// The series of a column; `None` where a rule drops it.
    pub(super) fn series(&mut self, batch: &Batch, column: &Column) -> Option<Arc<Series>> {
        let ids = batch.source_id.zip(column.metric_id);
        if let Some(known) = ids.and_then(|ids| self.by_ids.get(&ids)) {
            return known.clone();
        }
        let made = self.of_labels(&batch.labels(column)).map(Arc::new);
        if let Some(ids) = ids {
            self.bytes += ENTRY_BYTES + made.as_ref().map_or(0, |series| 4 * series.pairs.len());
            self.by_ids.insert(ids, made.clone());
        }
        made
    }

    /// The same of a label set.
    pub(super) fn of_labels(&mut self, labels: &Labels) -> Option<Series> {
        let hash = hash(labels);
        let mut builder = LabelsBuilder::new(labels);
        for (name, value) in &self.external {
            if builder.get(name).is_empty() {
                builder.set(name, value);
            }
        }
        if !relabel(&mut builder, &self.rules).is_kept() {
            return None;
        }
        let sent = builder.labels();
        let pairs: Box<[u32]> = sent.iter().map(|(name, value)| self.pair(name, value)).collect();
        // As upstream: a rule that takes all labels away drops the series.
        (!pairs.is_empty()).then_some(Series { hash, pairs })
    }

    /// The number of a text.
    pub(super) fn symbol(&mut self, text: &str) -> u32 {
        if let Some(known) = self.symbols.get(text) {
            return *known;
        }
        let (number, text) = (self.texts.len() as u32, Arc::<str>::from(text));
        self.bytes += ENTRY_BYTES + text.len();
        self.texts.push(Arc::clone(&text));
        self.symbols.insert(text, number);
        number
    }

    fn pair(&mut self, name: &str, value: &str) -> u32 {
        let (name_symbol, value_symbol) = (self.symbol(name), self.symbol(value));
        if let Some(known) = self.pair_of.get(&(name_symbol, value_symbol)) {
            return *known;
        }
        let mut encoded = Vec::with_capacity(name.len() + value.len() + 8);
        push_field(&mut encoded, 1, &Label::new(name, value).encode_to_vec());
        let number = self.pairs.len() as u32;
        self.bytes += ENTRY_BYTES + encoded.len();
        self.pairs.push(Pair { name: name_symbol, value: value_symbol, encoded: encoded.into() });
        self.pair_of.insert((name_symbol, value_symbol), number);
        number
    }

    /// A series as text.
    pub(super) fn shown(&self, series: &Series) -> String {
        let pairs = series.pairs.iter().map(|pair| self.pair_at(*pair));
        Labels::from_sorted(pairs.map(|pair| (self.text(pair.name), self.text(pair.value)))).to_string()
    }

    pub(super) fn pair_at(&self, number: u32) -> &Pair {
        &self.pairs[number as usize]
    }

    pub(super) fn text(&self, symbol: u32) -> &str {
        &self.texts[symbol as usize]
    }

    pub(super) fn n_symbols(&self) -> usize {
        self.texts.len()
    }

    /// Forgets all where it has grown too large. No series may be in use: their numbers are given out again.
    pub(super) fn bound(&mut self) {
        if self.bytes > self.bytes_max {
            *self = Self::new(&std::mem::take(&mut self.external), &std::mem::take(&mut self.rules), self.bytes_max);
        }
    }
}

/// What series are divided among requests by.
pub(super) fn hash(labels: &Labels) -> u64 {
    xxh3_64(labels.as_text().as_bytes())
}

#[cfg(test)]
mod tests {
    use config::Config;

    use super::*;

    fn cache(bytes_max: usize) -> SeriesCache {
        let text = "
global: {external_labels: {cluster: c1, zone: z}}
remote_write:
- url: http://h/
  write_relabel_configs:
  - {source_labels: [__name__], regex: noise_.*, action: drop}
  - {source_labels: [cluster], target_label: where, replacement: 'in-$1'}
  - {regex: zone, action: labeldrop}
  - {source_labels: [__name__], regex: bare, action: labelmap, replacement: __tmp}
";
        let config = Config::parse(text, "p.yml".as_ref(), &|_| None).unwrap();
        let rules = &config.remote_write[0].write_relabel_configs;
        SeriesCache::new(&config.global.external_labels, rules, bytes_max)
    }

    fn column(metric: u32, name: &str) -> (Batch, Column) {
        let batch =
            Batch { source_id: Some(SourceId(1)), source: Labels::from_pairs([("job", "j")]), ..Batch::default() };
        let metric_id = Some(MetricId(metric));
        (batch, Column { metric_id, metric: Labels::from_pairs([("__name__", name)]), ..Column::default() })
    }

    #[test]
    fn external_labels_are_added_and_rules_applied() {
        let mut cache = cache(1 << 20);
        let (batch, kept) = column(1, "up");
        let series = cache.series(&batch, &kept).unwrap();
        assert_eq!(cache.shown(&series), r#"up{cluster="c1", job="j", where="in-c1"}"#);
        assert_eq!(series.hash, hash(&batch.labels(&kept)), "of the labels as they are stored");
        assert!(Arc::ptr_eq(&series, &cache.series(&batch, &kept).unwrap()), "once for each");
        let (batch, dropped) = column(2, "noise_total");
        assert!(cache.series(&batch, &dropped).is_none() && cache.series(&batch, &dropped).is_none());
        let own = Labels::from_pairs([("__name__", "up"), ("cluster", "own")]);
        let series = cache.of_labels(&own).unwrap();
        assert_eq!(cache.shown(&series), r#"up{cluster="own", where="in-own"}"#, "the series' own label wins");
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let mut cache = cache(2_000);
        for i in 0..1_000 {
            let (batch, one) = column(i, &format!("metric_{i}"));
            cache.bound();
            assert!(cache.series(&batch, &one).is_some());
            assert!(cache.bytes < 3_000, "{}", cache.bytes);
        }
    }
}
