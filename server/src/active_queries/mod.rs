//! The queries that run now: shown and canceled by `/api/v1/status/active_queries`, and named in the data directory, so that the
//! next process can tell which of them ran when this one died.

mod file;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use model::Timestamp;
use parking_lot::Mutex;
use query::{Progress, QueryOptions, StillWanted};

pub(crate) use file::{Unfinished, unfinished};

use self::file::{QueryFile, cut};

/// So much of a query's text is kept.
const TEXT_MAX: usize = 4 << 10;

/// A query that ends within this time is not named in the file: writing its name would cost as much as it does.
pub(crate) const NOTED_AFTER: Duration = Duration::from_millis(2);

/// The queries of one process.
#[derive(Debug)]
pub(crate) struct ActiveQueries {
    running: Mutex<BTreeMap<u64, Arc<ActiveQuery>>>,
    next: AtomicU64,
    file: QueryFile,
    noted_after: Duration,
}

/// A query that runs.
#[derive(Debug)]
pub(crate) struct ActiveQuery {
    pub(crate) id: u64,
    /// Its text, cut where it is very long.
    pub(crate) query: String,
    /// Its first and last time, and its step; 0 for an instant query.
    pub(crate) times: (Timestamp, Timestamp, i64),
    pub(crate) came: Timestamp,
    pub(crate) began: Instant,
    /// The address of the client.
    pub(crate) client: String,
    pub(crate) path: String,
    pub(crate) progress: Arc<Progress>,
    canceled: AtomicBool,
    /// Its slot of the file, if there was one for it, once it was looked for.
    slot: OnceLock<Option<usize>>,
}

/// The place of a query among those that run; free when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    of: Arc<ActiveQueries>,
    query: Arc<ActiveQuery>,
}

impl ActiveQueries {
    /// None yet; at most `slots` at once are named in a file of the data directory, each once it has run for `noted_after`.
    pub(crate) fn new(directory: &Path, slots: usize, noted_after: Duration) -> Self {
        let file = QueryFile::create(directory, slots);
        Self { running: Mutex::default(), next: AtomicU64::new(1), file, noted_after }
    }

    /// A query begins. Its options are told to count what it does, and to look whether it is canceled.
    pub(crate) fn begin(
        self: &Arc<Self>,
        query: &str,
        times: (Timestamp, Timestamp, i64),
        (client, path): (String, String),
        options: &mut QueryOptions,
    ) -> Running {
        let active = Arc::new(ActiveQuery {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            query: cut(query, TEXT_MAX).to_owned(),
            times,
            came: Timestamp::now(),
            began: Instant::now(),
            client,
            path,
            progress: Arc::default(),
            canceled: AtomicBool::new(false),
            slot: OnceLock::new(),
        });
        options.progress = Some(Arc::clone(&active.progress));
        let (of, looked_at, wanted) = (Arc::clone(self), Arc::clone(&active), options.wanted.take());
        let wanted = move || {
            // Asked again and again while the query runs, so that one that takes long is noted.
            of.note(&looked_at);
            !looked_at.canceled.load(Ordering::Relaxed) && wanted.as_ref().is_none_or(|wanted| (wanted.0)())
        };
        options.wanted = Some(StillWanted(Arc::new(wanted)));
        self.running.lock().insert(active.id, Arc::clone(&active));
        Running { of: Arc::clone(self), query: active }
    }

    fn note(&self, query: &ActiveQuery) {
        if query.slot.get().is_none() && query.began.elapsed() >= self.noted_after {
            query.slot.get_or_init(|| self.file.begin(&query.query, query.came));
        }
    }

    /// Those that run, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<ActiveQuery>> {
        self.running.lock().values().map(Arc::clone).collect()
    }

    /// Cancels a query; false if it does not run (any more). It ends when it looks the next time, within milliseconds mostly.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let running = self.running.lock();
        let found = running.get(&id);
        found.iter().for_each(|query| query.canceled.store(true, Ordering::Relaxed));
        found.is_some()
    }
}

impl Running {
    /// What it has done so far.
    pub(crate) fn progress(&self) -> &Progress {
        &self.query.progress
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.of.running.lock().remove(&self.query.id);
        if let Some(slot) = self.query.slot.get() {
            self.of.file.end(*slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_there_while_it_runs_and_can_be_canceled() {
        let folder = tempfile::tempdir().unwrap();
        let queries = Arc::new(ActiveQueries::new(folder.path(), 1, Duration::ZERO));
        let begin = |text: &str| {
            let mut options = QueryOptions::default();
            let of = ("::1".to_owned(), "/api/v1/query".to_owned());
            let running = queries.begin(text, (Timestamp(1), Timestamp(1), 0), of, &mut options);
            (running, options.wanted.unwrap())
        };
        let ((one, one_wanted), (other, other_wanted)) = (begin("up"), begin(&"é".repeat(TEXT_MAX)));
        let all = queries.all();
        assert_eq!((all.len(), &*all[0].query, all[1].query.len()), (2, "up", TEXT_MAX));
        assert!(unfinished(folder.path()).is_empty(), "nobody has asked yet whether they are wanted");
        assert!((one_wanted.0)() && (other_wanted.0)());
        // The second found no slot of the file.
        assert_eq!(unfinished(folder.path()).len(), 1);
        assert!(queries.cancel(all[0].id) && !queries.cancel(77));
        assert!(!(one_wanted.0)() && (other_wanted.0)());
        drop(one);
        assert!(!queries.cancel(all[0].id));
        assert!(unfinished(folder.path()).is_empty());
        drop(other);
        assert!(queries.all().is_empty());
    }

    #[test]
    fn a_client_that_has_gone_still_ends_its_query() {
        let folder = tempfile::tempdir().unwrap();
        let queries = Arc::new(ActiveQueries::new(folder.path(), 1, Duration::ZERO));
        let mut options = QueryOptions { wanted: Some(StillWanted(Arc::new(|| false))), ..QueryOptions::default() };
        let of = (String::new(), String::new());
        let _running = queries.begin("up", (Timestamp(1), Timestamp(1), 0), of, &mut options);
        assert!(!(options.wanted.unwrap().0)());
    }
}
