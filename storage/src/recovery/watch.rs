//! Looks whether the data directory is still the one that was opened, and whether it can be written again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Db;
use crate::db::Db as Opening;
use crate::error::Error;
use crate::kv::store::identity;
use crate::quarantine::directory::replace;
use crate::{limits, open};

impl Db {
    /// Looks after the data directory; to be called about every second. While the directory is away, removed or not mounted,
    /// nothing is stored: it would be lost. Once it is back, or one with a database in its place, and once a directory that
    /// could not be written can be, storing goes on.
    pub fn look_after(&self) {
        let path = &self.options.path;
        match self.place() {
            Place::Ours => {
                if self.away.swap(false, Ordering::AcqRel) {
                    tracing::info!(path = %path.display(), "the data directory is back; storing samples again");
                }
                self.write_again();
            }
            Place::Gone => {
                if !self.away.swap(true, Ordering::AcqRel) {
                    tracing::error!(error = %self.is_away(), "refusing samples");
                }
            }
            Place::Another => {
                self.away.store(true, Ordering::Release);
                tracing::warn!(path = %path.display(), "the data directory was replaced by another database; opening that one");
                if let Err(error) = self.move_in() {
                    tracing::error!(
                        error = model::with_causes(&error),
                        "cannot open the database that replaced the data directory; trying again"
                    );
                }
            }
        }
    }

    /// What is said while the directory is away.
    pub(super) fn is_away(&self) -> Error {
        let path = self.options.path.display();
        let cause = format!("the data directory {path} was removed or is not mounted; it goes on when it is back");
        Error::Unavailable { cause }
    }

    fn place(&self) -> Place {
        let path = &self.options.path;
        let opened = self.directory.lock().as_ref().and_then(|directory| directory.metadata().ok());
        let opened = opened.map(|directory| (directory.dev(), directory.ino()));
        let found = identity(path);
        match (opened, found) {
            // A file system that does not lock directories, or does not tell.
            (None, Some(_)) => Place::Ours,
            (Some(opened), Some(found)) if opened == found => Place::Ours,
            (_, Some(_)) if path.join("CURRENT").exists() => Place::Another,
            _ => Place::Gone,
        }
    }

    /// Leaves the directory that was opened for the one that is in its place.
    fn move_in(&self) -> Result<(), Error> {
        let directory = open::lock_directory(&self.options)?;
        // That the directory which is left could not be opened says nothing of this one.
        self.reopening.lock().failed = None;
        self.reopen(self.number.load(Ordering::SeqCst))?;
        // Until here what was stored would go to the directory that is left.
        *self.directory.lock() = directory;
        self.away.store(false, Ordering::Release);
        Ok(())
    }

    /// Closes an opening that nobody uses. Where the MANIFEST at its path is not as long as RocksDB wrote it, RocksDB writes
    /// another, and CURRENT names that; of a database that lies there instead, CURRENT is put back.
    pub(super) fn leave(&self, opening: Opening) {
        let is_in_place = opening.components.store.is_in_place();
        let path = self.options.path.join("CURRENT");
        let current = fs::read(&path);
        drop(opening);
        if let (false, Ok(current)) = (is_in_place, current)
            && let Err(error) = replace(&path, &current)
        {
            tracing::error!(%error, "cannot write CURRENT again");
        }
    }

    /// Opens the directory again when writing had stopped, for another reason than a full disk, and works again.
    fn write_again(&self) {
        let current = self.current.read();
        let stopped = current.as_ref().is_some_and(|opening| opening.components.store.stopped().is_some());
        let number = self.number.load(Ordering::SeqCst);
        drop(current);
        let mut tried = self.written_again.lock();
        let soon = tried.is_some_and(|tried| tried.elapsed() < limits::REOPEN_EVERY);
        if !stopped || soon || open::check_directory(&self.options.path).is_err() {
            return;
        }
        *tried = Some(Instant::now());
        drop(tried);
        tracing::warn!(path = %self.options.path.display(), "the data directory is writable again; reopening the database");
        if let Err(error) = self.reopen(number) {
            tracing::error!(error = model::with_causes(&error), "cannot reopen the database; trying again");
        }
    }
}

/// What is where the data directory was opened.
enum Place {
    Ours,
    Gone,
    /// A directory with a database in it.
    Another,
}
