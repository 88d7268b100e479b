//! Label sets under construction.

use super::Labels;

/// A label set under construction: set and remove, then [`LabelsBuilder::labels`].
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// In byte order of names, values never empty.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Starts from a set.
    #[must_use]
    pub fn new(base: &Labels) -> Self {
        Self { pairs: base.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The value of a label, or the empty string.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map_or("", |i| &self.pairs[i].1)
    }

    /// Gives a label its value; the empty value removes the label.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        match (self.find(name), value.is_empty()) {
            (Ok(i), true) => drop(self.pairs.remove(i)),
            (Ok(i), false) => self.pairs[i].1 = value,
            (Err(_), true) => {}
            (Err(i), false) => self.pairs.insert(i, (name.to_owned(), value)),
        }
        self
    }

    /// Removes a label.
    pub fn del(&mut self, name: &str) -> &mut Self {
        if let Ok(i) = self.find(name) {
            self.pairs.remove(i);
        }
        self
    }

    /// Keeps the labels for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// The pairs in byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The finished set.
    #[must_use]
    pub fn labels(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }
}
