//! What can go wrong between us and RocksDB, and what its messages say of damage.

use std::path::PathBuf;

use rocksdb::ErrorKind;

/// Why a key cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("cannot {verb} the database")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// The disk has no room for what is written. Reads go on, and writes when there is room again.
    #[error("cannot write the database: the disk of {path} is full; make room and writing goes on by itself", path = path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// An earlier write failed, and nothing is written until that is overcome.
    #[error("cannot write the database: an earlier write failed ({cause})")]
    WriteStopped {
        /// Why the earlier one failed.
        cause: String,
    },
}

impl Error {
    pub(crate) fn read(source: rocksdb::Error) -> Self {
        Self::Io { verb: "read", source }
    }

    pub(crate) fn write(source: rocksdb::Error) -> Self {
        Self::Io { verb: "write", source }
    }

    /// Is something stored damaged?
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_damage(source))
    }
}

/// Does RocksDB say that something stored is damaged? A file that is gone, or has sectors that cannot be read, is no better
/// than one with other bytes in it.
pub(crate) fn is_damage(error: &rocksdb::Error) -> bool {
    let unreadable = ["No such file or directory", "While pread"];
    match error.kind() {
        ErrorKind::Corruption => true,
        ErrorKind::IOError => {
            let text: &str = error.as_ref();
            file_number(text).is_some() && unreadable.iter().any(|way| text.contains(way))
        }
        _ => false,
    }
}

/// The number of the sorted file that a message of RocksDB, or a file name, names.
pub(crate) fn file_number(text: &str) -> Option<u64> {
    let (before, _) = text.split_once(".sst")?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    before[before.len() - digits..].parse().ok()
}
