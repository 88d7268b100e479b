//! What can go wrong with a database as a whole. Samples that are refused are counted in `model::Committed` instead.

use std::path::PathBuf;

use crate::kv;

/// Why a database cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path names something that is not a directory.
    #[error("cannot open database {path}: it is not a directory", path = path.display())]
    NotADirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The directory cannot be made, or no file can be made in it.
    #[error("cannot write to database directory {path}", path = path.display())]
    Unwritable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Another process, or another `Db` of this one, holds the directory.
    #[error("cannot open database {path}: it is in use by another process (it holds {path}/LOCK)", path = path.display())]
    InUse {
        /// The path as it was given.
        path: PathBuf,
    },
    /// There is nothing to be read.
    #[error("cannot read database {path}: {what}", path = path.display(), what = nothing(found.as_deref()))]
    NoDatabase {
        /// The path as it was given.
        path: PathBuf,
        /// What of Prometheus is there instead.
        found: Option<String>,
    },
    /// A copy of the directory cannot be made.
    #[error("cannot copy database {path} to read it", path = path.display())]
    Copy {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Written by a version of the format that this program does not know.
    #[error("cannot open database {path}: its format is {found:?} and this version reads {expected:?}", path = path.display())]
    Format {
        /// The path as it was given.
        path: PathBuf,
        /// What the directory says.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// An option has a value that cannot work.
    #[error("cannot open database {path}: {reason}", path = path.display())]
    Options {
        /// The path as it was given.
        path: PathBuf,
        /// Which option, and what it may be.
        reason: String,
    },
    /// RocksDB refuses to open the directory.
    #[error("cannot open database {path}", path = path.display())]
    Open {
        /// The path as it was given.
        path: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// A thread or a metric of the database cannot be made.
    #[error("cannot start database {path}", path = path.display())]
    Start {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key cannot be read or written.
    #[error(transparent)]
    Kv(#[from] kv::Error),
    /// A damaged file cannot be set aside.
    #[error("cannot set aside damaged files of database {path}", path = path.display())]
    Quarantine {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The directory cannot be used: it is gone, or cannot be opened again.
    #[error("cannot use the database: {cause}")]
    Unavailable {
        /// Why.
        cause: String,
    },
    /// A deletion masks what is to be stored, and could not be carried out.
    #[error("a deletion is being carried out where samples are to be stored; they can be sent again")]
    Deleting,
    /// The database takes no more samples.
    #[error("the database is closing")]
    Closed,
    /// Something stored is damaged, and the directory is just being opened again without it.
    #[error("cannot read the database: it is being opened again without what is damaged; ask again in a moment")]
    Reopening,
    /// Four thousand million ids of one kind were given out.
    #[error("cannot add to the index: all ids of {kind} are used up")]
    IdsExhausted {
        /// Of sources, metrics or layouts.
        kind: &'static str,
    },
    /// A producer names ids that were taken away since they were handed out: nothing stored referred to them.
    #[error("cannot store a row: its ids were forgotten")]
    Forgotten,
    /// A batch of series is not as it must be.
    #[error("{reason}")]
    BadSeries {
        /// What does not fit.
        reason: &'static str,
    },
    /// A row does not belong to the layout it names.
    #[error("cannot store a row: {reason}")]
    BadRow {
        /// What does not fit.
        reason: &'static str,
    },
}

/// What is there instead of a database.
fn nothing(of_prometheus: Option<&str>) -> String {
    match of_prometheus {
        Some(found) => {
            format!("it holds {found} of Prometheus, whose data is not read here; use Prometheus' own promtool")
        }
        None => "there is none".to_owned(),
    }
}

impl Error {
    /// Is something stored damaged?
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Kv(error) if error.is_damage())
    }
}

impl From<Error> for model::QuerierError {
    fn from(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}
