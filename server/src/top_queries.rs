//! The queries that were asked last, and which of them ask for the most: `/api/v1/status/top_queries`. (VictoriaMetrics: the page
//! of the same name.)

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many queries are remembered, the last ones.
const RECORDS_MAX: usize = 20_000;
/// So much of a query's text, and so much of all of them.
const TEXT_MAX: usize = 4 << 10;
const TEXTS_MAX: usize = 8 << 20;

/// The last queries.
#[derive(Debug, Default)]
pub(crate) struct TopQueries(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// The oldest first.
    last: VecDeque<Record>,
    /// The texts of these, each with how many have it.
    texts: HashMap<Arc<str>, usize>,
    /// Their length.
    bytes: usize,
}

#[derive(Debug)]
struct Record {
    query: Arc<str>,
    range: Duration,
    ended: Instant,
    took: Duration,
    peak_samples: usize,
}

/// What all evaluations of one query over ranges of one length cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) query: Arc<str>,
    /// From its first to its last time; 0 for an instant query.
    pub(crate) range: Duration,
    pub(crate) count: u32,
    pub(crate) sum: Duration,
    /// The most samples that one of them held.
    pub(crate) peak_samples: usize,
}

impl Cost {
    /// How long one took on average.
    pub(crate) fn mean(&self) -> Duration {
        self.sum / self.count.max(1)
    }
}

impl TopQueries {
    /// A query has ended, well or not.
    pub(crate) fn record(&self, query: &str, range: Duration, took: Duration, peak_samples: usize) {
        self.0.lock().add(&query[..query.floor_char_boundary(TEXT_MAX)], |query| Record {
            query,
            range,
            ended: Instant::now(),
            took,
            peak_samples,
        });
    }

    /// The costs of those that ended within this time, in no order.
    pub(crate) fn within(&self, age: Duration) -> Vec<Cost> {
        let records = self.0.lock();
        let mut costs: HashMap<(&Arc<str>, Duration), Cost> = HashMap::new();
        for record in records.last.iter().rev().take_while(|record| record.ended.elapsed() <= age) {
            let cost = costs.entry((&record.query, record.range)).or_insert_with(|| Cost {
                query: Arc::clone(&record.query),
                range: record.range,
                count: 0,
                sum: Duration::ZERO,
                peak_samples: 0,
            });
            cost.count += 1;
            cost.sum += record.took;
            cost.peak_samples = cost.peak_samples.max(record.peak_samples);
        }
        costs.into_values().collect()
    }
}

impl Records {
    fn add(&mut self, query: &str, record: impl FnOnce(Arc<str>) -> Record) {
        let text = self.texts.get_key_value(query).map(|(text, _)| Arc::clone(text)).unwrap_or_else(|| {
            self.bytes += query.len();
            query.into()
        });
        *self.texts.entry(Arc::clone(&text)).or_default() += 1;
        self.last.push_back(record(text));
        while self.last.len() > RECORDS_MAX || self.bytes > TEXTS_MAX {
            let Some(Record { query, .. }) = self.last.pop_front() else { return };
            let Some(n) = self.texts.get_mut(&query) else { continue };
            *n -= 1;
            if *n == 0 {
                self.texts.remove(&query);
                self.bytes -= query.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_equal_queries_cost_is_added() {
        let top = TopQueries::default();
        for (query, range, took, peak) in [("a", 0, 5, 10), ("a", 0, 1, 30), ("a", 60, 7, 1), ("b", 0, 2, 2)] {
            top.record(query, Duration::from_secs(range), took * MS, peak);
        }
        let mut costs = top.within(Duration::from_secs(600));
        costs.sort_by_key(|cost| (cost.query.to_string(), cost.range));
        let shown: Vec<_> =
            costs.iter().map(|c| (&*c.query, c.range.as_secs(), c.count, c.sum, c.mean(), c.peak_samples)).collect();
        assert_eq!(
            shown,
            [("a", 0, 2, 6 * MS, 3 * MS, 30), ("a", 60, 1, 7 * MS, 7 * MS, 1), ("b", 0, 1, 2 * MS, 2 * MS, 2)]
        );
        // What is older than was asked for is not in it.
        let before = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        top.0.lock().last.iter_mut().take(3).for_each(|record| record.ended = before);
        assert_eq!(top.within(Duration::from_secs(30)).len(), 1);
    }

    #[test]
    fn memory_is_bounded_by_the_number_and_the_length_of_queries() {
        let top = TopQueries::default();
        for i in 0..RECORDS_MAX + 10 {
            top.record(if i < 10 { "old" } else { "new" }, Duration::ZERO, MS, 0);
        }
        let records = top.0.lock();
        assert_eq!((records.last.len(), records.texts.len(), records.bytes), (RECORDS_MAX, 1, 3));
        drop(records);
        for i in 0..2 * TEXTS_MAX / TEXT_MAX {
            top.record(&format!("{i:08}{}", "é".repeat(TEXT_MAX)), Duration::ZERO, MS, 0);
        }
        let records = top.0.lock();
        assert!(records.bytes <= TEXTS_MAX && records.last.len() <= TEXTS_MAX / TEXT_MAX, "{}", records.bytes);
        assert_eq!(records.bytes, records.texts.keys().map(|text| text.len()).sum::<usize>());
        assert_eq!(records.texts.len(), records.last.len());
    }
}
