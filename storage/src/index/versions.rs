//! Versions of parts of the index, by which cached results are validated (a sequence lock): each label name is counted on one of
//! 64 counters.
//!
//! Invariant: a counter is marked as changing before the first byte of a change is visible, and until all of it is. So a reader
//! that may see the change finds the counter changing or moved, and a result that was read while it was stable holds until it
//! moves.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

/// Counters of changes; a part has the one that its name hashes to.
#[derive(Debug)]
pub(crate) struct Versions([Version; SLOTS]);

const SLOTS: usize = u64::BITS as usize;

#[derive(Debug, Default)]
struct Version {
    started: AtomicU64,
    finished: AtomicU64,
}

/// A set of counters, a bit for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts(u64);

/// A change under way; dropped when all of it is visible.
#[derive(Debug)]
pub(crate) struct Changing<'a> {
    versions: &'a Versions,
    parts: Parts,
}

impl Parts {
    pub(crate) fn of(name: &[u8]) -> Self {
        Self(1 << (xxh3_64(name) % u64::from(u64::BITS)))
    }
}

impl<'a> FromIterator<&'a [u8]> for Parts {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(names: I) -> Self {
        Self(names.into_iter().fold(0, |all, name| all | Self::of(name).0))
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Version::default()))
    }
}

impl Versions {
    fn each(&self, parts: Parts) -> impl Iterator<Item = &Version> {
        self.0.iter().enumerate().filter(move |(i, _)| parts.0 >> i & 1 == 1).map(|(_, version)| version)
    }

    /// How often the part changed, unless it is changing. To be asked before the part is read.
    pub(crate) fn stable(&self, part: &[u8]) -> Option<u64> {
        let version = self.each(Parts::of(part)).next()?;
        // In this order: a change that starts between the two is noticed.
        let finished = version.finished.load(Ordering::SeqCst);
        (version.started.load(Ordering::SeqCst) == finished).then_some(finished)
    }

    /// To be called before these parts are written.
    pub(crate) fn change(&self, parts: Parts) -> Changing<'_> {
        self.each(parts).for_each(|version| {
            version.started.fetch_add(1, Ordering::SeqCst);
        });
        Changing { versions: self, parts }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.versions.each(self.parts).for_each(|version| {
            version.finished.fetch_add(1, Ordering::SeqCst);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_not_stable_while_any_change_of_it_is_under_way() {
        let versions = Versions::default();
        let other = (0u8..=255).find(|n| Parts::of(&[*n]).0 != Parts::of(b"a").0).unwrap();
        let before = versions.stable(b"a");
        let first = versions.change(Parts::of(b"a"));
        let second = versions.change([&b"a"[..]].into_iter().collect());
        assert_eq!(versions.stable(b"a"), None);
        drop(first);
        assert_eq!(versions.stable(b"a"), None);
        assert_eq!(versions.stable(&[other]), before);
        drop(second);
        assert!(versions.stable(b"a") > before);
    }
}
