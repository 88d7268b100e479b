//! Why something of a data directory cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use model::{QuerierError, SeriesAppendError};

/// What went wrong, and with which file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What a file holds makes no sense there.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in it.
        why: String,
    },
    /// A file of a version that is not read.
    #[error("{} has version {version} of its format, and only version {known} can be read", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The one that it has.
        version: u8,
        /// The one that is read.
        known: u8,
    },
    /// Nothing in a directory is of Prometheus.
    #[error("{} has no blocks of Prometheus and no write-ahead log: give the directory of --storage.tsdb.path", path.display())]
    NoData {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be written: of a block, or the one that says how far an import is.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store could not be read.
    #[error(transparent)]
    Querier(QuerierError),
    /// The store did not take samples.
    #[error(transparent)]
    Store(#[from] SeriesAppendError),
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// May it be gone the next time? What a disk or a network refuses now it may have then; a file that is missing or too short stays
    /// so.
    pub(crate) fn may_pass(&self) -> bool {
        let is_damage = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
        matches!(self, Self::Read { source, .. } if !is_damage(source.kind()))
    }

    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }
}

/// Why bytes make no sense; whoever knows the file adds it.
pub type Broken = &'static str;
