//! `meta.json` of a block: which time it covers, and how much is in it (upstream: `BlockMeta` of `tsdb/block.go`).

use std::fs;
use std::path::Path;

use model::Timestamp;
use serde::Deserialize;

use crate::Error;

/// Of `meta.json` what matters here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    version: u8,
    /// The name of the block.
    pub ulid: String,
    min_time: i64,
    max_time: i64,
    #[serde(default)]
    stats: Stats,
    #[serde(default)]
    compaction: Compaction,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_samples: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Compaction {
    parents: Vec<Parent>,
}

#[derive(Clone, Debug, Deserialize)]
struct Parent {
    ulid: String,
}

const VERSION: u8 = 1;

impl Meta {
    /// Reads the one of a block.
    ///
    /// # Errors
    /// When there is none, or it is not understood.
    pub(crate) fn read(block: &Path) -> Result<Self, Error> {
        let path = block.join("meta.json");
        let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
        let meta: Self = serde_json::from_str(&text).map_err(|error| Error::damaged(&path, error.to_string()))?;
        if meta.version == VERSION {
            Ok(meta)
        } else {
            Err(Error::Version { path, version: meta.version, known: VERSION })
        }
    }

    /// The first time that it may have samples of.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        Timestamp(self.min_time)
    }

    /// The time before which all its samples lie.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        Timestamp(self.max_time)
    }

    /// How many samples it has; 0 where that is not known.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stats.num_samples
    }

    /// The blocks that were joined to this one, and are of no use beside it.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &str> {
        self.compaction.parents.iter().map(|parent| parent.ulid.as_str())
    }
}
