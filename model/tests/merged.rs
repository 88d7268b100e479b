//! Several stores read as one, beside the union of what they hold.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::BTreeMap;
use std::sync::Arc;

use kit::{MemQuerier, Samples};
use model::{Labels, MergedQuerier, Querier, QuerierError, ReadHints, Selection, SeriesOrder, Timestamp};
use proptest::prelude::*;

const ALL: Selection<'static> = Selection { start: Timestamp(0), end: Timestamp(100), matchers: &[] };

fn merged(stores: &[MemQuerier]) -> MergedQuerier {
    let mut stores = stores.iter().cloned().map(|store| Arc::new(store) as Arc<dyn Querier>);
    MergedQuerier::new(stores.next().unwrap(), stores.collect())
}

type Found = Vec<(Labels, Samples)>;

/// The series as they come, and the warnings.
fn read(stores: &[MemQuerier], limit: usize) -> Result<(Found, Vec<String>), QuerierError> {
    let (querier, mut found) = (merged(stores), Vec::new());
    let grow = |_| Ok(());
    let hints = ReadHints { order: SeriesOrder::ByLabels { grow: &grow }, limit, ..ReadHints::default() };
    let parts = querier.open(&ALL, &hints)?;
    parts.read_all(&mut |batch| {
        for batch in batch.into_series() {
            let column = &batch.columns[0];
            let mut samples: Samples = batch
                .timestamps
                .iter()
                .zip(&column.values)
                .map(|(ts, value)| (*ts, (*value as u8, Timestamp::EPOCH)))
                .collect();
            for (slot, start) in &column.start_times {
                samples.get_mut(&batch.timestamps[*slot as usize]).unwrap().1 = *start;
            }
            let odd: Vec<f64> = column.values.iter().copied().filter(|value| value % 2.0 == 1.0).collect();
            assert_eq!(odd, column.histograms.iter().map(|(_, histogram)| histogram.sum).collect::<Vec<_>>());
            found.push((column.metric.clone(), samples));
        }
        Ok(())
    })?;
    Ok((found, parts.warnings()))
}

fn store(series: &[(&str, &[(i64, u8)])]) -> MemQuerier {
    let series = series.iter().map(|(name, samples)| {
        let samples = samples.iter().map(|&(ts, value)| (Timestamp(ts), (value, Timestamp::EPOCH))).collect();
        (Labels::from_pairs([("__name__", *name)]), samples)
    });
    MemQuerier { series: series.collect(), fails_at: None }
}

fn stores() -> impl Strategy<Value = Vec<MemQuerier>> {
    let labels = (prop::sample::select(vec!["a", "b", "c"]), prop::sample::select(vec!["", "x", "y"]));
    let labels = labels.prop_map(|(name, i)| Labels::from_pairs([("__name__", name), ("i", i)]));
    let samples = prop::collection::btree_map(
        (0i64..12).prop_map(Timestamp),
        (any::<u8>(), prop::sample::select(vec![Timestamp::EPOCH, Timestamp(5)])),
        1..8,
    );
    let series = prop::collection::btree_map(labels, samples, 0..7);
    prop::collection::vec(series.prop_map(|series| MemQuerier { series, fails_at: None }), 2..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_stores_read_as_one(stores in stores(), limit in 0usize..6) {
        let mut union: BTreeMap<Labels, Samples> = BTreeMap::new();
        for store in stores.iter().rev() {
            for (labels, samples) in &store.series {
                union.entry(labels.clone()).or_default().extend(samples);
            }
        }
        let at_most = if limit == 0 { usize::MAX } else { limit };
        let (found, warnings) = read(&stores, limit).unwrap();
        prop_assert!(warnings.is_empty());
        prop_assert_eq!(found, union.clone().into_iter().take(at_most).collect::<Vec<_>>());
        let listed = merged(&stores).series(&ALL, limit).unwrap();
        prop_assert!(listed.iter().eq(union.keys().take(at_most)));
    }
}

#[test]
fn what_another_store_cannot_read_is_a_warning_and_what_the_primary_cannot_is_an_error() {
    let one = store(&[("a", &[(1, 2)]), ("c", &[(1, 2)]), ("e", &[(1, 2)])]);
    let mut other = store(&[("a", &[(2, 4)]), ("b", &[(2, 4)]), ("d", &[(2, 4)]), ("f", &[(2, 4)])]);
    let names = |found: &[(Labels, Samples)]| found.iter().map(|(labels, _)| labels.name()).collect::<String>();
    let (all, warnings) = read(&[one.clone(), other.clone()], 0).unwrap();
    assert_eq!((names(&all).as_str(), warnings.len()), ("abcdef", 0));
    // The second part of the other store: its series before that have been handed out.
    for (fails_at, expected) in [(1, "abce"), (usize::MAX, "ace")] {
        other.fails_at = Some(fails_at);
        let (found, warnings) = read(&[one.clone(), other.clone()], 0).unwrap();
        assert_eq!(names(&found), expected);
        assert_eq!(warnings, ["cannot read from the store: no route to host"]);
        let error = read(&[other.clone(), one.clone()], 0).unwrap_err();
        assert!(matches!(error, QuerierError::Store(_)), "{error}");
    }
    let querier = merged(&[one.clone(), other]);
    assert_eq!(querier.series(&ALL, 0).unwrap().len(), 3);
    assert_eq!(querier.listing_warnings(&ALL), ["cannot list"]);
}

#[test]
fn a_receiver_that_stops_ends_the_reading() {
    let stores = [store(&[("a", &[(1, 2)])]), store(&[("b", &[(1, 2)])])];
    let mut seen = 0;
    let ended = merged(&stores).select(&ALL, &ReadHints::default(), &mut |_| {
        seen += 1;
        Err(QuerierError::Stopped)
    });
    assert!(matches!(ended, Err(QuerierError::Stopped)));
    assert_eq!(seen, 1);
}

#[test]
fn replicas_fill_gaps() {
    let own = store(&[("a", &[(0, 2), (10, 2), (20, 2), (60, 2)]), ("b", &[(0, 2), (10, 2)])]);
    let replica = store(&[("a", &[(3, 4), (13, 4), (33, 4), (43, 4), (63, 4)]), ("c", &[(1, 4)])]);
    let querier = MergedQuerier::new(Arc::new(own), Vec::new()).with_replicas(vec![Arc::new(replica)]);
    let mut found: Vec<(String, Vec<i64>)> = Vec::new();
    querier
        .select(&ALL, &ReadHints::default(), &mut |batch| {
            found.push((batch.columns[0].metric.name().to_owned(), batch.timestamps.iter().map(|ts| ts.0).collect()));
            Ok(())
        })
        .unwrap();
    let expected: [(&str, Vec<i64>); 3] = [("a", vec![0, 10, 20, 33, 43, 60]), ("b", vec![0, 10]), ("c", vec![1])];
    assert_eq!(found, expected.map(|(name, times)| (name.to_owned(), times)));
    assert_eq!(querier.series(&ALL, 0).unwrap().len(), 3);
}
