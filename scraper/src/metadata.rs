//! HELP, TYPE and UNIT of the metric families of one target.

use std::collections::{BTreeMap, HashSet};

use crate::parse::MetricKind;

/// Families remembered per target; further ones have no metadata.
const FAMILIES_MAX: usize = 10_000;
/// Bytes of names and texts remembered per target.
const BYTES_MAX: usize = 8 << 20;
/// Scrapes without a family after which it is dropped.
const KEPT_SCRAPES: u64 = 11;

/// The metadata of one metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its type.
    pub kind: MetricKind,
    /// Its help text, empty if there is none.
    pub help: String,
    /// Its unit, empty if there is none.
    pub unit: String,
}

/// The families of one target by name. One that is not exposed any more is forgotten after some scrapes.
#[derive(Clone, Debug, Default)]
pub struct MetadataCache {
    families: BTreeMap<String, Family>,
    generation: u64,
    /// The length of all names and texts.
    bytes: usize,
    /// The number of the last new family.
    next: u32,
    /// Successful scrapes so far.
    scrapes: u64,
    /// There are new families that no successful scrape may have had.
    unsettled: bool,
    /// The scrape at which the next family is dropped.
    due: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Family {
    number: u32,
    metadata: Metadata,
    /// The last scrape that had it; `None` while it is exposed.
    last_seen: Option<u64>,
}

impl MetadataCache {
    /// Not a number of a family.
    pub(crate) const NO_FAMILY: u32 = u32::MAX;

    /// A number that changes with every change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets the help text; the number of the family.
    pub(crate) fn set_help(&mut self, metric: &str, help: &str) -> u32 {
        self.set(metric, help.len(), |family| std::mem::replace(&mut family.help, help.to_owned()).len())
    }

    /// Sets the type.
    pub(crate) fn set_kind(&mut self, metric: &str, kind: MetricKind) -> u32 {
        self.set(metric, 0, |family| {
            family.kind = kind;
            0
        })
    }

    /// Sets the unit.
    pub(crate) fn set_unit(&mut self, metric: &str, unit: &str) -> u32 {
        self.set(metric, unit.len(), |family| std::mem::replace(&mut family.unit, unit.to_owned()).len())
    }

    /// The families in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metadata)> {
        self.families.iter().map(|(name, family)| (name.as_str(), &family.metadata))
    }

    /// The length of all names and texts, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// `set` puts a text of `bytes` into the family and returns the length of the text before.
    fn set(&mut self, metric: &str, bytes: usize, set: impl FnOnce(&mut Metadata) -> usize) -> u32 {
        let is_new = !self.families.contains_key(metric);
        let more = bytes + if is_new { metric.len() } else { 0 };
        // A new family is refused when full, and so is a longer text of a known one: the old text stays.
        if self.bytes + more > BYTES_MAX || is_new && self.families.len() >= FAMILIES_MAX {
            return Self::NO_FAMILY;
        }
        let family = self.families.entry(metric.to_owned()).or_insert_with(|| {
            // Numbers wrap around before NO_FAMILY. A number is in use again only after 2^32 families.
            self.next = self.next.wrapping_add(1) % Self::NO_FAMILY;
            Family { number: self.next, ..Family::default() }
        });
        // A scrape that fails after this leaves a family that no good scrape had. The next `scraped` looks at all
        // families, also when it is `unchanged`.
        self.unsettled |= is_new;
        self.generation += 1;
        // `set` returns the length of the text that it replaced.
        self.bytes = (self.bytes + more).saturating_sub(set(&mut family.metadata));
        family.number
    }

    /// Records a successful scrape with these families; those of the last scrape if it was `unchanged`.
    pub(crate) fn scraped<I: Iterator<Item = u32>>(&mut self, unchanged: bool, numbers: impl FnOnce() -> I) {
        self.scrapes += 1;
        // The common scrape has the same families as the last: nothing to compare.
        if !unchanged || self.unsettled {
            self.unsettled = false;
            let there: HashSet<u32> = numbers().collect();
            for family in self.families.values_mut() {
                let was_there = self.scrapes - 1;
                let is_there = there.contains(&family.number);
                family.last_seen = if is_there { None } else { family.last_seen.or(Some(was_there)) };
            }
            self.set_due();
        }
        // Looked at only when the first family is due, not at every scrape.
        if self.due.is_some_and(|due| self.scrapes >= due) {
            let (scrapes, before) = (self.scrapes, self.families.len());
            self.families.retain(|_, family| family.last_seen.is_none_or(|seen| scrapes < seen + KEPT_SCRAPES));
            self.generation += u64::from(self.families.len() < before);
            let bytes = |(name, f): (&String, &Family)| name.len() + f.metadata.help.len() + f.metadata.unit.len();
            // Counted anew: cheaper than to track every removal, which is rare.
            self.bytes = self.families.iter().map(bytes).sum();
            self.set_due();
        }
    }

    fn set_due(&mut self) {
        self.due = self.families.values().filter_map(|family| family.last_seen).min().map(|seen| seen + KEPT_SCRAPES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cache: &MetadataCache) -> Vec<&str> {
        cache.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn families_are_forgotten_ten_scrapes_after_the_last_that_had_them() {
        // scrape-083
        let mut cache = MetadataCache::default();
        let (a, b) = (cache.set_help("a", "help"), cache.set_kind("b", MetricKind::Gauge));
        assert_eq!(cache.set_unit("a", "s"), a);
        cache.scraped(false, || [a, a, b].into_iter());
        cache.scraped(false, || [b].into_iter());
        let generation = cache.generation();
        for _ in 0..9 {
            cache.scraped(true, || [b].into_iter());
            assert_eq!((names(&cache).len(), cache.generation()), (2, generation));
        }
        cache.scraped(true, || [b].into_iter());
        assert_eq!((names(&cache), cache.bytes()), (vec!["b"], 1));
        assert!(cache.generation() > generation);
        let again = cache.set_help("a", "");
        cache.scraped(true, || [b].into_iter());
        assert_ne!(again, b);
        for _ in 0..10 {
            cache.scraped(true, || [b].into_iter());
        }
        assert_eq!(names(&cache), ["b"], "of a body that was refused");
        cache.scraped(false, || [].into_iter());
        cache.scraped(false, || [b].into_iter());
        for _ in 0..20 {
            cache.scraped(true, || [b].into_iter());
        }
        assert_eq!(names(&cache), ["b"], "it came back in time");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut cache = MetadataCache::default();
        let long = "x".repeat(1 << 20);
        for i in 0..20_000 {
            cache.set_help(&format!("m{i}"), if i < 100 { &long } else { "short" });
        }
        assert!(cache.bytes() <= BYTES_MAX && names(&cache).len() <= FAMILIES_MAX);
        let first = cache.iter().next().unwrap().0.to_owned();
        for _ in 0..100 {
            cache.set_help(&first, "short");
        }
        assert!(cache.bytes() < BYTES_MAX);
    }
}
