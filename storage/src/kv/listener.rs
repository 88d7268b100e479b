//! How the store tells the layers above of damage that it meets; it keeps no record of it.

use std::fmt;

use super::schema::Cf;

/// A stored value that cannot be read, or makes no sense, and was skipped.
#[derive(Clone, Copy)]
pub(crate) struct CorruptValue<'a> {
    pub(crate) cf: Cf,
    pub(crate) key: &'a [u8],
    /// The length of a bucket in the directory: how long the times last that a key covers.
    pub(crate) bucket_ms: u32,
    pub(crate) reason: &'a dyn fmt::Display,
}

/// Hears of damage.
pub(crate) trait DamageListener: fmt::Debug + Send + Sync {
    /// A value was skipped.
    fn on_corrupt_value(&self, value: &CorruptValue<'_>);

    /// Something is damaged that must be set aside or rebuilt before the store can be used in full. The message is
    /// RocksDB's, and names the file where it knows it.
    fn on_damage(&self, message: &str);
}
