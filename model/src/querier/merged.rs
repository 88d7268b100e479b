//! Several stores read as one: local data and remote read, or the parts of a store that is spread.
//!
//! Every store hands out its series in label order, so that equal label sets meet while no more than one part of each store
//! is in memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, BatchSink, Listing, PartReader, Parts, Querier, QuerierError, ReadHints, Selection, SeriesOrder};
use crate::{Labels, with_causes};

/// A primary store and others beside it. What the primary cannot read is an error; what another cannot read is left out,
/// with a warning. Of two samples of one series at one time that of the earlier store is used. (Prometheus:
/// `storage/fanout.go`, `storage/merge.go`.) Replicas of the primary are others whose samples are used where it has none.
#[derive(Clone)]
pub struct MergedQuerier {
    primary: Arc<dyn Querier>,
    secondaries: Vec<Arc<dyn Querier>>,
    replicas: Vec<Arc<dyn Querier>>,
}

/// What a store is for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its errors are the selection's.
    Primary,
    Secondary,
    Replica,
}

impl std::fmt::Debug for MergedQuerier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (secondaries, replicas) = (self.secondaries.len(), self.replicas.len());
        let mut shown = f.debug_struct("MergedQuerier");
        shown.field("secondaries", &secondaries).field("replicas", &replicas).finish_non_exhaustive()
    }
}

impl MergedQuerier {
    /// Reads `primary` and, where they have more, `secondaries`.
    #[must_use]
    pub fn new(primary: Arc<dyn Querier>, secondaries: Vec<Arc<dyn Querier>>) -> Self {
        Self { primary, secondaries, replicas: Vec::new() }
    }

    /// Fills gaps with what replicas have.
    #[must_use]
    pub fn with_replicas(self, replicas: Vec<Arc<dyn Querier>>) -> Self {
        Self { replicas, ..self }
    }

    /// The other stores that may have something of a selection.
    fn others(&self, selection: &Selection<'_>) -> Vec<(&dyn Querier, Role)> {
        let secondaries = self.secondaries.iter().map(|store| (&**store, Role::Secondary));
        let all = secondaries.chain(self.replicas.iter().map(|store| (&**store, Role::Replica)));
        all.filter(|(store, _)| store.may_have(selection)).collect()
    }

    /// The union of what all stores list.
    fn list<T: Ord>(
        &self,
        (selection, listing): (&Selection<'_>, &Listing<'_>),
        list: impl Fn(&dyn Querier) -> Result<Vec<T>, QuerierError>,
    ) -> Result<Vec<T>, QuerierError> {
        let first = list(&*self.primary)?;
        let others = self.others(selection);
        if others.is_empty() {
            return Ok(first);
        }
        // Listings are sorted and without duplicates, whichever store an item comes from.
        let mut all: BTreeSet<T> = first.into_iter().collect();
        for (store, _) in others {
            match list(store) {
                Ok(more) => all.extend(more),
                Err(QuerierError::Stopped) => return Err(QuerierError::Stopped),
                // What a store cannot list it says in its `listing_warnings`.
                Err(QuerierError::Store(_) | QuerierError::Remote(_)) => {}
            }
        }
        // Each store has cut its own list to the limit already; the union can be longer.
        Ok(all.into_iter().take(listing.most()).collect())
    }
}

impl Querier for MergedQuerier {
    fn open<'q>(
        &'q self,
        selection: &Selection<'_>,
        hints: &ReadHints<'_>,
    ) -> Result<Box<dyn Parts + 'q>, QuerierError> {
        let others = self.others(selection);
        if others.is_empty() {
            // Without other stores nothing has to be sorted, and the primary keeps its parallel parts.
            return self.primary.open(selection, hints);
        }
        let grow = |bytes| hints.caller.grow(bytes);
        // A merge needs label order even when the reader does not.
        let order = match hints.order {
            SeriesOrder::Any => SeriesOrder::ByLabels { grow: &grow },
            by_labels @ SeriesOrder::ByLabels { .. } => by_labels,
        };
        let sorted = ReadHints { order, ..*hints };
        let mut stores = vec![(self.primary.open(selection, &sorted)?, Role::Primary)];
        let mut warnings = Vec::new();
        for (store, role) in others {
            match store.open(selection, &sorted) {
                Ok(parts) => stores.push((parts, role)),
                Err(QuerierError::Stopped) => return Err(QuerierError::Stopped),
                Err(error) => warnings.push(with_causes(&error)),
            }
        }
        // The limit is of merged series: a store may hand out some that the others have too.
        let limit = if hints.limit == 0 { usize::MAX } else { hints.limit };
        Ok(Box::new(MergedParts { stores, limit, warnings: Mutex::new(warnings) }))
    }

    fn list_series(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<Labels>, QuerierError> {
        self.list((selection, listing), |store| store.list_series(selection, listing))
    }

    fn list_label_names(&self, selection: &Selection<'_>, listing: &Listing<'_>) -> Result<Vec<String>, QuerierError> {
        self.list((selection, listing), |store| store.list_label_names(selection, listing))
    }

    fn list_label_values(
        &self,
        name: &str,
        selection: &Selection<'_>,
        listing: &Listing<'_>,
    ) -> Result<Vec<String>, QuerierError> {
        self.list((selection, listing), |store| store.list_label_values(name, selection, listing))
    }

    fn listing_warnings(&self, selection: &Selection<'_>) -> Vec<String> {
        let stores = std::iter::once(&self.primary).chain(&self.secondaries).chain(&self.replicas);
        stores.flat_map(|store| store.listing_warnings(selection)).collect()
    }
}

/// One selection in every store. It has a single part: the stores' own are read in step.
struct MergedParts<'q> {
    stores: Vec<(Box<dyn Parts + 'q>, Role)>,
    limit: usize,
    warnings: Mutex<Vec<String>>,
}

impl MergedParts<'_> {
    fn warn(&self, error: &QuerierError) {
        self.warnings.lock().push(with_causes(error));
    }
}

impl Parts for MergedParts<'_> {
    fn count(&self) -> usize {
        usize::from(self.stores.iter().any(|(parts, _)| parts.count() > 0))
    }

    fn reader(&self) -> Result<Box<dyn PartReader + '_>, QuerierError> {
        Ok(Box::new(MergedReader(self)))
    }

    fn reader_bytes(&self) -> usize {
        self.stores.iter().map(|(parts, _)| parts.reader_bytes()).sum()
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().clone();
        warnings.extend(self.stores.iter().flat_map(|(parts, _)| parts.warnings()));
        warnings
    }
}

struct MergedReader<'p>(&'p MergedParts<'p>);

impl PartReader for MergedReader<'_> {
    fn read(&self, _: usize, sink: &mut BatchSink<'_>) -> Result<(), QuerierError> {
        let mut cursors = Vec::new();
        for (parts, role) in &self.0.stores {
            match parts.reader() {
                Ok(reader) => {
                    let series = VecDeque::new();
                    cursors.push(Cursor { reader, role: *role, part: 0, count: parts.count(), series });
                }
                // `Stopped` comes from the reader of the query, not from the store: it always ends the reading.
                Err(error) if *role == Role::Primary || matches!(error, QuerierError::Stopped) => return Err(error),
                Err(error) => self.0.warn(&error),
            }
        }
        // One round hands out one series.
        for _ in 0..self.0.limit {
            let mut at = 0;
            while let Some(cursor) = cursors.get_mut(at) {
                match cursor.fill() {
                    Ok(()) => at += 1,
                    // The primary is the first: without its reader nothing was begun.
                    Err(error) if at == 0 || matches!(error, QuerierError::Stopped) => return Err(error),
                    Err(error) => {
                        self.0.warn(&error);
                        // The series that this store has handed out so far stay; its remaining ones are missing,
                        // which the warning says.
                        cursors.remove(at);
                    }
                }
            }
            // Linear in the number of stores, which are few; a heap would not pay.
            let Some(least) = cursors.iter().filter_map(Cursor::labels).min().cloned() else { break };
            let (mut series, mut replicas) = (Vec::new(), Vec::new());
            // In order of the stores, so that the merge prefers the sample of the earlier one.
            for cursor in cursors.iter_mut().filter(|cursor| cursor.labels() == Some(&least)) {
                let of = if cursor.role == Role::Replica { &mut replicas } else { &mut series };
                of.extend(cursor.series.pop_front());
            }
            let merged = replicas.into_iter().fold(Batch::merge(series), |merged, replica| match merged {
                Some(own) => Some(own.filled(replica)),
                None => Some(replica),
            });
            merged.map_or(Ok(()), &mut *sink)?;
        }
        Ok(())
    }
}

/// The read position in one store.
struct Cursor<'p> {
    reader: Box<dyn PartReader + 'p>,
    role: Role,
    /// The next part.
    part: usize,
    count: usize,
    /// The series of the last part that were not merged yet.
    series: VecDeque<Batch>,
}

impl Cursor<'_> {
    /// Reads on, if nothing is left.
    fn fill(&mut self) -> Result<(), QuerierError> {
        // A loop, since a part may hold no matching series.
        while self.series.is_empty() && self.part < self.count {
            let series = &mut self.series;
            self.reader.read(self.part, &mut |batch| {
                series.extend(batch.into_series());
                Ok(())
            })?;
            self.part += 1;
        }
        Ok(())
    }

    fn labels(&self) -> Option<&Labels> {
        self.series.front().map(|batch| &batch.columns[0].metric)
    }
}
