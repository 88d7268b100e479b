//! The labels of a series, out of pairs of bytes: sorted where they are not, and refused where they make no series.

use model::labels::{METRIC_NAME, METRIC_TYPE, METRIC_UNIT};
use model::{Labels, LabelsBuilder};

/// The pairs of a series, in a room that the next one uses again. What is no UTF-8 is `None`.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    /// Was there a name or a value that is no UTF-8?
    broken: bool,
}

impl<'a> Pairs<'a> {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.broken = false;
    }

    #[inline]
    pub(super) fn push(&mut self, name: Option<&'a str>, value: Option<&'a str>) {
        match (name, value) {
            (Some(name), Some(value)) => self.pairs.push((name, value)),
            _ => self.broken = true,
        }
    }

    /// The labels of a series.
    ///
    /// # Errors
    /// When there is no metric name, a name is empty or twice there, or something is no UTF-8 (upstream: `writeHandler.appendV2`).
    #[inline]
    pub(super) fn series(&mut self) -> Result<Labels, String> {
        let labels = self.sorted();
        let is_named = labels.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
        if !is_named || self.broken || self.pairs.iter().any(|(name, _)| name.is_empty()) {
            return Err(format!("invalid metric name or labels, got {}", self.shown()));
        }
        if let Some(pair) = self.pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("invalid labels for series, labels {}, duplicated label {}", self.shown(), pair[0].0));
        }
        Ok(self.labels())
    }

    /// The labels of an exemplar, which may be any.
    pub(super) fn exemplar(&mut self) -> Labels {
        self.sorted();
        self.pairs.dedup_by_key(|pair| pair.0);
        self.labels()
    }

    fn sorted(&mut self) -> &[(&'a str, &'a str)] {
        if !self.pairs.is_sorted_by(|a, b| a.0 <= b.0) {
            self.pairs.sort_by_key(|pair| pair.0);
        }
        &self.pairs
    }

    fn labels(&self) -> Labels {
        // A label without a value is none.
        Labels::from_sorted(self.pairs.iter().copied().filter(|(_, value)| !value.is_empty()))
    }

    /// As upstream writes label sets.
    fn shown(&self) -> String {
        let pairs: Vec<String> = self.pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

/// The labels with those of the type and the unit, where these are known; in the place of what came under these names.
pub(super) fn with_type(labels: &Labels, kind: &str, unit: &str) -> Labels {
    let mut builder = LabelsBuilder::new(labels);
    builder.set(METRIC_TYPE, kind).set(METRIC_UNIT, unit);
    builder.labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Labels, String> {
        let mut room = Pairs::default();
        pairs.iter().for_each(|(name, value)| room.push(Some(name), Some(value)));
        room.series()
    }

    #[test]
    fn labels_are_sorted_and_those_without_value_left_out() {
        let expected = Labels::from_pairs([("__name__", "a"), ("b", "1"), ("c", "2")]);
        assert_eq!(read(&[("c", "2"), ("__name__", "a"), ("d", ""), ("b", "1")]), Ok(expected));
    }

    #[test]
    fn what_is_no_series_is_refused() {
        for (pairs, why) in [
            (&[("job", "x")][..], r#"invalid metric name or labels, got {job="x"}"#),
            (&[("__name__", "")], r#"invalid metric name or labels, got {__name__=""}"#),
            (&[("__name__", "a"), ("", "x")], r#"invalid metric name or labels, got {="x", __name__="a"}"#),
            (
                &[("__name__", "a"), ("b", "1"), ("b", "2")],
                r#"invalid labels for series, labels {__name__="a", b="1", b="2"}, duplicated label b"#,
            ),
            (&[], "invalid metric name or labels, got {}"),
        ] {
            assert_eq!(read(pairs), Err(why.to_owned()));
        }
        let mut room = Pairs::default();
        room.push(Some("__name__"), Some("a"));
        room.push(Some("b"), None);
        assert!(room.series().is_err());
        room.clear();
        room.push(Some("__name__"), Some("a"));
        assert!(room.series().is_ok());
    }

    #[test]
    fn types_become_labels() {
        let labels = Labels::from_pairs([("__name__", "a"), ("__unit__", "wrong"), ("b", "1")]);
        let expected = Labels::from_pairs([("__name__", "a"), ("__type__", "counter"), ("b", "1")]);
        assert_eq!(with_type(&labels, "counter", ""), expected);
    }
}
