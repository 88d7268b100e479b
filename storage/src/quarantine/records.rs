//! The quarantine records of an open database: it hears of damage from the key-value layer, and remembers it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use model::Timestamp;
use parking_lot::Mutex;

use super::pending::set_aside_later;
use super::record::QuarantineRecord;
use crate::kv::error::file_number;
use crate::kv::listener::{CorruptValue, DamageListener};
use crate::kv::schema::{Bucket, Cf};
use crate::limits;
use crate::metrics::Metrics;

/// What cannot be read, as far as it was met.
#[derive(Debug)]
pub(crate) struct Records {
    directory: PathBuf,
    metrics: Metrics,
    /// Must the directory be opened again, so that something is set aside or rebuilt?
    needs_reopening: AtomicBool,
    /// The latest last; bounded.
    records: Mutex<Vec<QuarantineRecord>>,
}

impl Records {
    pub(crate) fn new(directory: &Path, metrics: Metrics) -> Self {
        let (needs_reopening, records) = (AtomicBool::new(false), Mutex::default());
        Self { directory: directory.to_owned(), metrics, needs_reopening, records }
    }

    pub(crate) fn needs_reopening(&self) -> bool {
        self.needs_reopening.load(Ordering::Acquire)
    }

    pub(crate) fn all(&self) -> Vec<QuarantineRecord> {
        self.records.lock().clone()
    }

    /// Remembers a record, once.
    pub(crate) fn add(&self, record: QuarantineRecord) {
        let mut all = self.records.lock();
        if !all.iter().any(|known| known.place == record.place && known.family == record.family) {
            if all.len() < limits::QUARANTINE_RECORDS {
                return all.push(record);
            }
            // With too many records what is lost is still reported, though not one by one.
            match all.iter_mut().find(|one| one.family == record.family && one.is_rebuilt() == record.is_rebuilt()) {
                Some(one) => {
                    (one.from, one.to) = (one.from.min(record.from), one.to.max(record.to));
                    one.metrics.clear();
                }
                None => {
                    all.remove(0);
                    all.push(record);
                }
            }
        }
    }

    /// Forgets what was met of a file that is set aside now.
    pub(crate) fn supersede(&self, file: &str) {
        let number = file_number(file);
        self.records.lock().retain(|one| number.is_none() || file_number(&one.what) != number);
    }
}

impl DamageListener for Records {
    /// Logged and counted once per value met, remembered, and otherwise skipped.
    fn on_corrupt_value(&self, value: &CorruptValue<'_>) {
        let CorruptValue { cf, key, bucket_ms, reason } = *value;
        self.metrics.corrupt_values.inc();
        let (place, family) = (hex(key), cf.name().to_owned());
        tracing::error!(column_family = family, key = place, %reason, "skipping a corrupt value");
        let (mut from, mut to) = (Timestamp::MIN, Timestamp::MAX);
        if let (Cf::Rows | Cf::Pages | Cf::Histograms, Some(bytes)) = (cf, key.first_chunk::<8>()) {
            // Keys of pages say how many buckets long their partition is; rows and histograms lie in one bucket.
            let buckets = key.get(8..12).filter(|_| cf == Cf::Pages).and_then(|bytes| bytes.try_into().ok());
            let buckets = buckets.map_or(1, u32::from_be_bytes);
            from = Bucket::from_bytes(*bytes).0;
            to = from.saturating_add(i64::from(buckets) * i64::from(bucket_ms)).saturating_sub(1);
        }
        self.add(QuarantineRecord { place, family, from, to, metrics: Vec::new(), what: reason.to_string() });
    }

    /// The file that the message names is set aside when the directory is opened again.
    fn on_damage(&self, message: &str) {
        if let Some(number) = file_number(message)
            && let Err(error) = set_aside_later(&self.directory, number)
        {
            tracing::error!(%error, "cannot note that a damaged file is to be set aside");
        }
        self.needs_reopening.store(true, Ordering::Release);
    }
}

fn hex(key: &[u8]) -> String {
    key.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
