//! Writes are announced to who sends samples on, before they are made (`model::CommitObserver`).

use model::{Announced, CommitObserver, Extent, MetricId, Scraped, SourceId, Timestamp, Touched};

use crate::compaction::additions::Additions;
use crate::components::Components;

fn observer(db: &Components) -> Option<&dyn CommitObserver> {
    db.options.commits.as_deref()
}

/// Announces a scrape, or a row of what comes series by series.
pub(super) fn scrape<'d>(db: &'d Components, parts: &[&Scraped<'_>], by_series: bool) -> Announced<'d> {
    let extent = || {
        let samples = parts.iter().flat_map(|part| part.row.present).map(|word| word.count_ones() as usize).sum();
        extent(samples, parts.iter().flat_map(|part| times(part)))
    };
    Announced::new(observer(db), &extent, &|each| {
        for part in parts {
            let row = &part.row;
            let mut one = |metric, ts| each(Touched { source: row.source, metric, from: ts, to: ts });
            if by_series {
                // Others of the source may have come at the same time before.
                let present = (0..row.values.len()).filter(|column| row.present[column / 64] >> (column % 64) & 1 == 1);
                present.for_each(|column| one(Some(row.layout.metrics[column]), row.ts));
            } else {
                one(None, row.ts);
            }
            let own = row.own_times.iter().copied();
            let extra = part.starts.iter().chain(part.repeats).map(|extra| (extra.column, extra.ts));
            own.chain(extra).for_each(|(column, ts)| one(Some(row.layout.metrics[column as usize]), ts));
        }
    })
}

fn extent(samples: usize, times: impl Iterator<Item = Timestamp>) -> Extent {
    let (first, last) = times.fold((Timestamp::MAX, Timestamp::MIN), |(first, last), ts| (first.min(ts), last.max(ts)));
    Extent { samples, first, last }
}

fn times<'s>(part: &'s Scraped<'_>) -> impl Iterator<Item = Timestamp> + 's {
    let row = &part.row;
    let extra = part.starts.iter().chain(part.repeats).map(|extra| extra.ts);
    std::iter::once(row.ts).chain(row.own_times.iter().map(|(_, ts)| *ts)).chain(extra)
}

/// Announces what goes to pages at once.
pub(super) fn pages<'d>(db: &'d Components, source: SourceId, additions: &Additions<'_>) -> Announced<'d> {
    let series = || additions.series.iter().filter_map(|one| Some((one, *one.times.first()?, *one.times.last()?)));
    let whole = || {
        let samples = additions.series.iter().map(|one| one.times.len()).sum();
        extent(samples, series().flat_map(|(_, first, last)| [first, last]))
    };
    Announced::new(observer(db), &whole, &|each| {
        for (one, from, to) in series() {
            each(Touched { source, metric: Some(MetricId(one.metric)), from, to });
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{
        Appender as _, ExtraSample, Labels, Lateness, Row, SeriesAppender as _, SeriesBatch, SeriesSamples,
        SourceLabels,
    };
    use parking_lot::Mutex;

    use super::*;
    use crate::Options;
    use crate::db::Db;

    /// What was announced: how much, and each part.
    type Told = (Extent, Vec<Touched>);

    /// Keeps what it is told. Writes that it wants nothing of are announced to it all the same.
    #[derive(Debug, Default)]
    struct Recorder {
        begun: Mutex<Vec<Told>>,
        ended: Mutex<Vec<u64>>,
    }

    impl CommitObserver for Recorder {
        fn begin(&self, extent: &dyn Fn() -> Extent, each: &model::EachTouched<'_>) -> Option<u64> {
            let mut touched = Vec::new();
            each(&mut |one| touched.push(one));
            let mut begun = self.begun.lock();
            begun.push((extent(), touched));
            Some(begun.len() as u64)
        }

        fn end(&self, ticket: u64) {
            self.ended.lock().push(ticket);
        }
    }

    impl Recorder {
        /// What was announced since the last time; each of it is over.
        fn told(&self) -> Vec<Told> {
            let told = std::mem::take(&mut *self.begun.lock());
            let ended = std::mem::take(&mut *self.ended.lock());
            assert_eq!(ended, (1..=told.len() as u64).collect::<Vec<_>>(), "each write ends once");
            told
        }
    }

    fn opened() -> (tempfile::TempDir, Db, Arc<Recorder>) {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Arc::<Recorder>::default();
        let commits: Arc<dyn CommitObserver> = Arc::<Recorder>::clone(&recorder);
        let options =
            Options { bucket_ms: 1000, memory_bytes: 8 << 20, commits: Some(commits), ..Options::new(folder.path()) };
        let db = Db::open(options, &prometheus::Registry::new()).unwrap();
        (folder, db, recorder)
    }

    fn named(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)])
    }

    fn touched(source: SourceId, metric: Option<MetricId>, (from, to): (i64, i64)) -> Touched {
        Touched { source, metric, from: Timestamp(from), to: Timestamp(to) }
    }

    fn extent_of(samples: usize, (first, last): (i64, i64)) -> Extent {
        Extent { samples, first: Timestamp(first), last: Timestamp(last) }
    }

    #[test]
    fn a_scrape_is_one_time_of_its_source_and_some_of_single_metrics() {
        let (_folder, db, recorder) = opened();
        let metrics = db.metrics(&[named("a"), named("b"), named("c")]).unwrap();
        let layout = db.layout(&metrics).unwrap();
        let source = db.source(&Labels::from_pairs([("job", "j")])).unwrap();
        let row = |ts, values, present| Row {
            source,
            ts: Timestamp(ts),
            layout: &layout,
            values,
            present,
            own_times: &[],
            histograms: &[],
        };
        db.commit(&[row(5_000, &[1.0, 2.0, 3.0], &[0b111])]).unwrap();
        assert_eq!(recorder.told(), [(extent_of(3, (5_000, 5_000)), vec![touched(source, None, (5_000, 5_000))])]);
        // An own time before the row's, a zero before that, and a second sample behind it.
        let extra = |column, ts| ExtraSample { column, ts: Timestamp(ts), value: 0.0, histogram: None };
        let own_times = [(1, Timestamp(5_500))];
        let scraped = Scraped {
            row: Row { own_times: &own_times, ..row(6_000, &[1.0, 2.0, 0.0], &[0b011]) },
            starts: &[extra(0, 5_200)],
            repeats: &[extra(1, 6_700)],
        };
        db.commit_scrape(&[scraped]).unwrap();
        let [(extent, parts)] = &recorder.told()[..] else { panic!("one write") };
        // Only the samples of the row are counted.
        assert_eq!(*extent, extent_of(2, (5_200, 6_700)));
        let expected = [
            touched(source, None, (6_000, 6_000)),
            touched(source, Some(metrics[1]), (5_500, 5_500)),
            touched(source, Some(metrics[0]), (5_200, 5_200)),
            touched(source, Some(metrics[1]), (6_700, 6_700)),
        ];
        assert_eq!(parts[..], expected);
        // What is refused is not written, and not announced.
        db.commit(&[row(4_000, &[9.0, 9.0, 9.0], &[0b111])]).unwrap();
        assert_eq!(recorder.told(), []);
    }

    #[test]
    fn what_comes_series_by_series_is_announced_by_metric() {
        let (_folder, db, recorder) = opened();
        let labels = |name| Labels::from_pairs([("__name__", name), ("job", "j")]);
        let (a, b) = (labels("a"), labels("b"));
        let append = |series: &[SeriesSamples<'_>], lateness| {
            let batch = SeriesBatch { series, sources: &SourceLabels::Known, lateness, memo: None };
            db.append_series(&batch).unwrap()
        };
        db.set_now(Timestamp(100_000)).unwrap();
        let now = [Timestamp(99_500)];
        append(&[SeriesSamples::floats(&a, &now, &[1.0]), SeriesSamples::floats(&b, &now, &[2.0])], Lateness::Window);
        let told = recorder.told();
        let all: Vec<&Touched> = told.iter().flat_map(|(_, parts)| parts).collect();
        let samples: usize = told.iter().map(|(extent, _)| extent.samples).sum();
        assert_eq!((samples, all.len()), (2, 2), "{told:?}");
        // Others of the source may have come at the same time before.
        assert!(all.iter().all(|one| one.metric.is_some() && one.from == now[0] && one.to == now[0]), "{told:?}");
        assert_ne!(all[0].metric, all[1].metric);
        // What is long past goes to pages: one span for each series and partition.
        let past: Vec<Timestamp> = (0..100).map(Timestamp).collect();
        let stored = append(&[SeriesSamples::floats(&a, &past, &[1.0; 100])], Lateness::Any).stored;
        let [(extent, parts)] = &recorder.told()[..] else { panic!("one write") };
        assert_eq!((stored, *extent), (100, extent_of(100, (0, 99))));
        let metric = db.metrics(&[named("a")]).unwrap()[0];
        let source = db.source(&Labels::from_pairs([("job", "j")])).unwrap();
        assert_eq!(parts[..], [touched(source, Some(metric), (0, 99))]);
    }
}
