//! What is being stored while remotes read the store by time.
//!
//! Each remote has read the store up to a *cut*. Samples that are stored for a time before it are noted ([`Notes`]) before they
//! are written. The cut moves on only to where nothing is being written, so that a reading up to it misses nothing that was not
//! noted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::{fs, io};

use model::{CommitObserver, EachTouched, Extent, Timestamp, Touched};
use parking_lot::Mutex;

use super::limits;
use super::notes::{Notes, Taken};

/// Told of every commit of the store; does nothing without remotes.
#[derive(Debug)]
pub struct Commits {
    /// Is there any remote?
    active: AtomicBool,
    /// The newest time of a sample that was offered.
    highest: AtomicI64,
    samples: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    remotes: Vec<Followed>,
    writing: Vec<Writing>,
    next_ticket: u64,
}

/// How far a remote has read.
#[derive(Debug)]
struct Followed {
    key: String,
    cut: Timestamp,
    notes: Notes,
    /// How far behind the newest sample the late ones were since this was asked for last, ms.
    lateness_ms: i64,
}

/// A write in progress.
#[derive(Debug)]
struct Writing {
    ticket: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            active: AtomicBool::new(false),
            highest: AtomicI64::new(i64::MIN),
            samples: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }
}

impl Commits {
    /// Begins to make notes for a remote that has read up to a time, or takes up those that are left of one. Its directory must be
    /// there.
    pub(super) fn follow(&self, key: &str, directory: &Path, cut: Timestamp) -> io::Result<()> {
        let mut state = self.state.lock();
        // Read under the lock: nothing is added meanwhile.
        let notes = Notes::open(directory)?;
        match state.remotes.iter_mut().find(|one| one.key == key) {
            Some(known) => known.notes = notes,
            None => state.remotes.push(Followed { key: key.to_owned(), cut, notes, lateness_ms: 0 }),
        }
        self.active.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends that; the files of a remote are removed with it.
    pub(super) fn forget(&self, key: &str, directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.remotes.retain(|one| one.key != key);
        self.active.store(!state.remotes.is_empty(), Ordering::Release);
        if directory.exists() { fs::remove_dir_all(directory) } else { Ok(()) }
    }

    /// Moves the cut of a remote on, to a time or less far; where it is then.
    pub(super) fn advance(&self, key: &str, to: Timestamp) -> Timestamp {
        let mut state = self.state.lock();
        let State { remotes, writing, .. } = &mut *state;
        let Some(one) = remotes.iter_mut().find(|one| one.key == key) else { return Timestamp::MIN };
        let cut = one.cut;
        // Of a write that began when the cut was as it is, the earlier part is noted and the later is not.
        let held = writing.iter().filter(|write| write.last >= cut).map(|write| write.first.max(cut)).min();
        one.cut = cut.max(held.map_or(to, |held| held.min(to)));
        one.cut
    }

    /// The notes that there are for a remote.
    pub(super) fn take_notes(&self, key: &str) -> Taken {
        let mut state = self.state.lock();
        state.remotes.iter_mut().find(|one| one.key == key).map(|one| one.notes.take()).unwrap_or_default()
    }

    /// How far behind the cut late samples were since the last call, milliseconds.
    pub(super) fn take_lateness_ms(&self, key: &str) -> i64 {
        let mut state = self.state.lock();
        let found = state.remotes.iter_mut().find(|one| one.key == key);
        found.map_or(0, |one| std::mem::take(&mut one.lateness_ms))
    }

    /// The newest time of a sample that was offered to the store, once there is one.
    pub(super) fn highest(&self) -> Option<Timestamp> {
        Some(Timestamp(self.highest.load(Ordering::Relaxed))).filter(|ts| ts.0 != i64::MIN)
    }

    /// The samples that were offered to the store.
    pub(super) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }
}

impl CommitObserver for Commits {
    fn begin(&self, extent: &dyn Fn() -> Extent, each: &EachTouched<'_>) -> Option<u64> {
        if !self.active.load(Ordering::Acquire) {
            return None;
        }
        let Extent { samples, first, last } = extent();
        self.highest.fetch_max(last.0, Ordering::Relaxed);
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
        let mut state = self.state.lock();
        for one in state.remotes.iter_mut().filter(|one| first < one.cut) {
            let mut late: Vec<Touched> = Vec::new();
            let until = one.cut.saturating_sub(1);
            each(&mut |touched| {
                if touched.from <= until {
                    late.push(Touched { to: touched.to.min(until), ..touched });
                }
            });
            let late_ms = one.cut.saturating_since(first);
            // What comes much later, as of an import, is not worth waiting for.
            if late_ms <= limits::LAG_MS.1 {
                one.lateness_ms = one.lateness_ms.max(late_ms);
            }
            if let Err(error) = one.notes.add(&late) {
                // They are in memory: only the end of the process would lose them.
                tracing::error!(remote = one.key, %error, "cannot write down which samples came late; they are lost to the remote if Weft ends now");
            }
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.writing.push(Writing { ticket, first, last });
        Some(ticket)
    }

    fn end(&self, ticket: u64) {
        let mut state = self.state.lock();
        if let Some(i) = state.writing.iter().position(|write| write.ticket == ticket) {
            state.writing.swap_remove(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Announced, SourceId};

    use super::*;

    fn touched(from: i64, to: i64) -> Touched {
        Touched { source: SourceId(1), metric: None, from: Timestamp(from), to: Timestamp(to) }
    }

    fn write(commits: &Commits, from: i64, to: i64) -> Announced<'_> {
        let extent = || Extent { samples: 1, first: Timestamp(from), last: Timestamp(to) };
        Announced::new(Some(commits), &extent, &|each| each(touched(from, to)))
    }

    #[test]
    fn what_comes_late_is_noted_and_what_is_written_holds_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let commits = Commits::default();
        drop(write(&commits, 1, 1));
        assert_eq!((commits.highest(), commits.samples()), (None, 0), "nobody wants to know");
        commits.follow("a", folder.path(), Timestamp(100)).unwrap();
        drop(write(&commits, 100, 120));
        assert!(commits.take_notes("a").notes.is_empty());
        let (early, ahead) = (write(&commits, 130, 131), write(&commits, 90, 140));
        // The part of the second that is not late holds the cut where it is.
        assert_eq!(commits.advance("a", Timestamp(200)), Timestamp(100));
        drop(ahead);
        assert_eq!(commits.advance("a", Timestamp(200)), Timestamp(130));
        drop(early);
        assert_eq!(commits.advance("a", Timestamp(200)), Timestamp(200));
        assert_eq!(commits.advance("a", Timestamp(150)), Timestamp(200), "never back");
        assert_eq!(commits.take_notes("a").notes, [touched(90, 99)]);
        assert_eq!((commits.take_lateness_ms("a"), commits.take_lateness_ms("a")), (10, 0));
        let late = write(&commits, 150, 150);
        assert_eq!(commits.advance("a", Timestamp(300)), Timestamp(300), "a late write holds nothing up");
        drop(late);
        assert_eq!((commits.highest(), commits.samples()), (Some(Timestamp(150)), 4));
        // As after a restart, or where the settings of the remote changed.
        commits.follow("a", folder.path(), Timestamp(0)).unwrap();
        assert_eq!(commits.take_notes("a").notes, [touched(90, 99), touched(150, 150)]);
        commits.forget("a", folder.path()).unwrap();
        assert!(!folder.path().exists());
        let extent = || Extent { samples: 1, first: Timestamp(1), last: Timestamp(1) };
        assert!(commits.begin(&extent, &|_| ()).is_none());
    }
}
