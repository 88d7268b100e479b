//! A bounded cache: what nobody asked for since the hand of a clock last came by makes room (F. J. Corbató, "A paging experiment
//! with the Multics system", 1968).

use std::hash::Hash;

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use parking_lot::Mutex;

/// Bounded by the weights of what it holds, each given at insertion.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    entries: Mutex<Entries<K, V>>,
    weight_max: usize,
}

#[derive(Debug)]
struct Entries<K, V> {
    map: IndexMap<K, Entry<V>, RandomState>,
    weight: usize,
    /// The place in the map that is looked at next when room is needed.
    hand: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    /// Since the hand was here.
    asked: bool,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Holds at most `weight_max` in all; what weighs more than a quarter of it is not taken.
    pub(crate) fn new(weight_max: usize) -> Self {
        Self { entries: Mutex::new(Entries { map: IndexMap::default(), weight: 0, hand: 0 }), weight_max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries.lock().ask(key).cloned()
    }

    /// Calls `each` with those of some keys that are there, and waits for its turn but once; returns the others.
    pub(crate) fn get_each(&self, keys: impl IntoIterator<Item = K>, mut each: impl FnMut(&K, &V)) -> Vec<K> {
        let mut entries = self.entries.lock();
        let mut others = Vec::new();
        for key in keys {
            match entries.ask(&key) {
                Some(value) => each(&key, value),
                None => others.push(key),
            }
        }
        others
    }

    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        let mut entries = self.entries.lock();
        // What comes again was asked for in between; what is new has yet to show that it is needed.
        let asked = entries.remove(&key);
        // One entry must not push out all others.
        if weight > self.weight_max / 4 {
            return;
        }
        while entries.weight + weight > self.weight_max {
            entries.turn();
        }
        entries.map.insert(key, Entry { value, weight, asked });
        entries.weight += weight;
    }

    pub(crate) fn remove(&self, key: &K) {
        self.entries.lock().remove(key);
    }
}

impl<K: Hash + Eq, V> Entries<K, V> {
    fn ask(&mut self, key: &K) -> Option<&V> {
        let entry = self.map.get_mut(key)?;
        entry.asked = true;
        Some(&entry.value)
    }

    /// Was it there?
    fn remove(&mut self, key: &K) -> bool {
        let Some(entry) = self.map.swap_remove(key) else { return false };
        self.weight -= entry.weight;
        true
    }

    /// Moves the hand by one place, and drops what is there unless it was asked for. There must be something.
    fn turn(&mut self) {
        let at = if self.hand < self.map.len() { self.hand } else { 0 };
        // The last one comes to the place of one that goes, and is not looked at before the hand was everywhere else.
        self.hand = at + 1;
        if !std::mem::take(&mut self.map[at].asked)
            && let Some((_, entry)) = self.map.swap_remove_index(at)
        {
            self.weight -= entry.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let cache = Cache::new(20);
        cache.insert(0, "kept", 1);
        for key in 1..100 {
            assert_eq!(cache.get(&0), Some("kept"));
            cache.insert(key, "passing", 1);
        }
        assert_eq!(cache.get(&1), None);
        let mut found = Vec::new();
        let others = cache.get_each([1, 99, 0], |key, value| found.push((*key, *value)));
        assert_eq!((found, others), (vec![(99, "passing"), (0, "kept")], vec![1]));
        assert_eq!(cache.entries.lock().map.len(), 20);
    }

    #[test]
    fn all_that_fits_is_found_again() {
        let cache = Cache::new(20);
        for round in 0..5 {
            for key in 0..20 {
                assert_eq!(cache.get(&key).is_some(), round > 0, "round {round}, key {key}");
                cache.insert(key, (), 1);
            }
        }
    }

    #[test]
    fn what_is_too_heavy_does_not_push_out_the_rest() {
        let cache = Cache::new(8);
        cache.insert(1, "light", 1);
        cache.insert(2, "heavy", 3);
        cache.insert(1, "heavy now", 3);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
        assert_eq!(cache.entries.lock().weight, 0);
    }

    #[test]
    fn weights_are_those_of_what_is_there() {
        let cache = Cache::new(8);
        for round in 0..100 {
            cache.insert(round % 7, round, round % 3);
            cache.remove(&(round % 5));
            let entries = cache.entries.lock();
            let weight: usize = entries.map.values().map(|entry| entry.weight).sum();
            assert_eq!(entries.weight, weight);
            assert!(weight <= 8);
        }
    }
}
