//! A bounded cache of two generations: what was not asked for during a whole generation is forgotten.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Bounded by the weights of what it holds, each given at insertion.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    generations: Mutex<Generations<K, V>>,
    weight_max: usize,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize), RandomState>,
    young_weight: usize,
    old: HashMap<K, (V, usize), RandomState>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Holds at most about `weight_max` in all; what weighs more than a quarter of it is not taken.
    pub(crate) fn new(weight_max: usize) -> Self {
        let generations = Generations { young: HashMap::default(), young_weight: 0, old: HashMap::default() };
        Self { generations: Mutex::new(generations), weight_max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut found = None;
        self.see(&mut self.generations.lock(), key, |value| found = Some(value.clone()));
        found
    }

    /// Calls `each` with those of some keys that are there, and waits for its turn but once; returns the others.
    pub(crate) fn get_each(&self, keys: impl IntoIterator<Item = K>, mut each: impl FnMut(&K, &V)) -> Vec<K> {
        let mut generations = self.generations.lock();
        let mut others = Vec::new();
        for key in keys {
            if !self.see(&mut generations, &key, |value| each(&key, value)) {
                others.push(key);
            }
        }
        others
    }

    /// Hands over what is there under a key, which then stays for another generation. Is there any?
    fn see(&self, generations: &mut Generations<K, V>, key: &K, see: impl FnOnce(&V)) -> bool {
        if let Some((value, _)) = generations.young.get(key) {
            see(value);
            return true;
        }
        // Asked for again: it moves to the young generation and survives the next turnover.
        let Some((key, (value, weight))) = generations.old.remove_entry(key) else { return false };
        see(&value);
        self.put(generations, key, value, weight);
        true
    }

    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        // One entry must not push out all others.
        if weight > self.weight_max / 4 {
            return self.remove(&key);
        }
        let mut generations = self.generations.lock();
        generations.old.remove(&key);
        self.put(&mut generations, key, value, weight);
    }

    pub(crate) fn remove(&self, key: &K) {
        let mut generations = self.generations.lock();
        generations.old.remove(key);
        if let Some((_, weight)) = generations.young.remove(key) {
            generations.young_weight -= weight;
        }
    }

    fn put(&self, generations: &mut Generations<K, V>, key: K, value: V, weight: usize) {
        // The old generation is dropped as a whole: no entry has to be chosen, and no list kept in order.
        if generations.young_weight + weight > self.weight_max / 2 {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_weight = 0;
        }
        if let Some((_, before)) = generations.young.insert(key, (value, weight)) {
            generations.young_weight -= before;
        }
        generations.young_weight += weight;
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
            cache.insert(key, "passing", 1);
            assert_eq!(cache.get(&0), Some("kept"));
        }
        assert_eq!(cache.get(&1), None);
        let mut found = Vec::new();
        let others = cache.get_each([1, 99, 0], |key, value| found.push((*key, *value)));
        assert_eq!((found, others), (vec![(99, "passing"), (0, "kept")], vec![1]));
        let generations = cache.generations.lock();
        assert!(generations.young.len() + generations.old.len() <= 20);
    }

    #[test]
    fn what_is_too_heavy_does_not_push_out_the_rest() {
        let cache = Cache::new(8);
        cache.insert(1, "light", 1);
        cache.insert(2, "heavy", 3);
        cache.insert(1, "heavy now", 3);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
    }

    #[test]
    fn removal_forgets_in_both_generations() {
        let cache = Cache::new(8);
        cache.insert(1, 1, 2);
        cache.insert(2, 2, 2);
        cache.remove(&1);
        cache.remove(&2);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
    }
}
