//! Label pairs as they are written: those of a source once for all its series, those of a metric once for all sources that
//! have it. The labels of a series are then put together from slices.

use std::cmp::Ordering;

use model::Labels;
use model::labels::{INSTANCE, METRIC_NAME};

use super::accept::{Encoding, Format};
use super::{protobuf, text};

/// The external labels, which are added to series that lack them, in the order of their names.
#[derive(Debug)]
pub(super) struct Externals {
    names: Vec<String>,
    /// Each as it is written.
    pairs: Vec<Vec<u8>>,
}

impl Externals {
    /// With `instance`, which is added without a value where nothing else gives it one.
    pub(super) fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>, format: Format) -> Self {
        let mut labels: Vec<(&str, &str)> = labels.into_iter().collect();
        if labels.iter().all(|(name, _)| *name != INSTANCE) {
            labels.push((INSTANCE, ""));
        }
        labels.sort_unstable();
        let pairs = labels.iter().map(|(name, value)| {
            let mut out = Vec::new();
            write_pair(&mut out, name, value, format);
            out
        });
        Self { pairs: pairs.collect(), names: labels.iter().map(|(name, _)| (*name).to_owned()).collect() }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|known| known.as_str().cmp(name)).ok()
    }

    /// Those that a source lacks.
    pub(super) fn missing(&self, of: &Pairs) -> Vec<usize> {
        (0..self.names.len()).filter(|at| !of.externals.contains(at)).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// The longest that they can add to a series.
    pub(super) fn bytes(&self) -> usize {
        self.pairs.iter().map(Vec::len).sum()
    }
}

/// The pairs of a label set without the metric's name, as they are written.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    names: Vec<u8>,
    bytes: Vec<u8>,
    /// Where each name and each pair ends.
    ends: Vec<(usize, usize)>,
    /// Which external labels are among them, by place.
    externals: Vec<usize>,
}

impl Pairs {
    pub(super) fn new(labels: &Labels, externals: &Externals, format: Format) -> Self {
        let mut pairs = Self::default();
        pairs.set(labels, externals, format);
        pairs
    }

    /// Takes the pairs of another set, in the same memory.
    pub(super) fn set(&mut self, labels: &Labels, externals: &Externals, format: Format) {
        self.names.clear();
        self.bytes.clear();
        self.ends.clear();
        self.externals.clear();
        for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
            self.names.extend_from_slice(name.as_bytes());
            write_pair(&mut self.bytes, name, value, format);
            self.ends.push((self.names.len(), self.bytes.len()));
            self.externals.extend(externals.find(name));
        }
    }

    /// About the memory of the pairs of a set, before they are made.
    pub(super) fn bytes_of(labels: &Labels) -> usize {
        // A pair gets some quotes or tags; escaping can make it longer still, which few pairs need.
        size_of::<Self>() + 3 * labels.as_text().len()
    }

    /// Where a pair begins: its name and its bytes.
    fn start(&self, at: usize) -> (usize, usize) {
        if at == 0 { (0, 0) } else { self.ends[at - 1] }
    }

    fn name(&self, at: usize) -> Option<&[u8]> {
        let (end, _) = *self.ends.get(at)?;
        Some(&self.names[self.start(at).0..end])
    }

    fn pairs(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[self.start(from).1..self.start(to).1]
    }
}

/// Appends the labels of a series: those of its metric and of its source by name, where both have one that of the metric, and
/// behind them the external labels that neither has.
pub(super) fn write_labels(
    out: &mut Vec<u8>,
    (source, missing): (&Pairs, &[usize]),
    metric: &Pairs,
    externals: &Externals,
) {
    let (mut s, mut m) = (0, 0);
    while let (Some(of_source), Some(of_metric)) = (source.name(s), metric.name(m)) {
        match of_source.cmp(of_metric) {
            Ordering::Less => {
                out.extend_from_slice(source.pairs(s, s + 1));
                s += 1;
            }
            Ordering::Equal => s += 1,
            Ordering::Greater => {
                out.extend_from_slice(metric.pairs(m, m + 1));
                m += 1;
            }
        }
    }
    // One side is done; what is left of the other is one slice.
    out.extend_from_slice(source.pairs(s, source.ends.len()));
    out.extend_from_slice(metric.pairs(m, metric.ends.len()));
    for at in missing.iter().filter(|at| !metric.externals.contains(at)) {
        out.extend_from_slice(&externals.pairs[*at]);
    }
}

fn write_pair(out: &mut Vec<u8>, name: &str, value: &str, format: Format) {
    let name = format.escaping.escape(name);
    match format.encoding {
        Encoding::Text => text::pair(out, &name, value),
        Encoding::Delimited | Encoding::MessageText { .. } => protobuf::pair(out, &name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::escaping::Escaping;
    use super::*;

    #[track_caller]
    fn check(source: &[(&str, &str)], metric: &[(&str, &str)], external: &[(&str, &str)], expected: &str) {
        let format = Format { encoding: Encoding::Text, escaping: Escaping::AllowUtf8 };
        let externals = Externals::new(external.iter().copied(), format);
        let pairs =
            |labels: &[(&str, &str)]| Pairs::new(&Labels::from_pairs(labels.iter().copied()), &externals, format);
        let (source, mut metric_pairs) = (pairs(source), pairs(&[("left", "over"), ("instance", "x")]));
        metric_pairs.set(&Labels::from_pairs(metric.iter().copied()), &externals, format);
        let mut out = Vec::new();
        write_labels(&mut out, (&source, &externals.missing(&source)), &metric_pairs, &externals);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn labels_of_both_sides_and_external_ones() {
        check(&[], &[("__name__", "up")], &[], "instance=\"\",");
        check(
            &[("instance", "i"), ("job", "j")],
            &[("__name__", "up"), ("code", "2"), ("le", "1")],
            &[],
            "code=\"2\",instance=\"i\",job=\"j\",le=\"1\",",
        );
        check(
            &[("job", "j"), ("zone", "z")],
            &[("job", "m")],
            &[("zone", "e"), ("a", "")],
            "job=\"m\",zone=\"z\",a=\"\",instance=\"\",",
        );
        check(
            &[("a", "1")],
            &[("instance", "i"), ("region", "r")],
            &[("region", "e"), ("a", "e"), ("cluster", "c")],
            "a=\"1\",instance=\"i\",region=\"r\",cluster=\"c\",",
        );
        check(
            &[("a.b", "1")],
            &[("é", "2")],
            &[("instance", "ext"), ("c d", "3")],
            "\"a.b\"=\"1\",\"é\"=\"2\",\"c d\"=\"3\",instance=\"ext\",",
        );
    }
}
