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
