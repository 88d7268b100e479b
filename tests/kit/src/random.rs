//! Random numbers and values from a seed, so that a run can be repeated.

use serde_json::{Map, Value, json};

/// Numbers from a seed (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`.
    ///
    /// # Panics
    /// When `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Some of them, in their order.
    pub fn some<'a>(&mut self, from: &[&'a str]) -> Vec<&'a str> {
        from.iter().copied().filter(|_| self.one_in(3)).collect()
    }

    /// Some of them, and each with one of these values.
    pub fn labels(&mut self, names: &[&str], values: &[&str]) -> Map<String, Value> {
        self.some(names).into_iter().map(|name| (name.to_owned(), json!(self.pick(values)))).collect()
    }

    /// Sets a field once in `n` times.
    pub fn set(&mut self, n: usize, of: &mut Value, field: &str, value: impl FnOnce(&mut Self) -> Value) {
        if self.one_in(n) {
            of[field] = value(self);
        }
    }
}
