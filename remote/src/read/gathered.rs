//! The series of an answer, as they come: labels as they are here, samples as they were sent.

use std::str::from_utf8;

use blocks::chunk::Samples;
use model::protobuf::{Broken, Fields};
use model::{Caller, Labels, Matcher, QuerierError};

/// More labels than any series has: of two bytes each one could be made.
const LABELS_MAX: usize = 10_000;

/// Why an answer is not used.
#[derive(Debug)]
pub(super) enum Failure {
    /// The query does not want it any more, or has no memory for it.
    Stopped(QuerierError),
    /// There is none, or it makes no sense.
    Why(String),
}

impl From<QuerierError> for Failure {
    fn from(error: QuerierError) -> Self {
        Self::Stopped(error)
    }
}

impl From<Broken> for Failure {
    fn from(why: Broken) -> Self {
        Self::Why(format!("unable to unmarshal response body: {why}"))
    }
}

/// Some samples of a series.
#[derive(Debug)]
pub(super) enum Piece {
    /// As Prometheus' TSDB encodes them; decoded when they are handed out.
    Chunk { encoding: u8, data: Vec<u8> },
    /// Decoded.
    Samples(Samples),
}

/// A series with what was sent of it.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) pieces: Vec<Piece>,
}

/// What has come.
#[derive(Debug)]
pub(super) struct Gathered<'c> {
    /// Who is asked for memory.
    pub(super) caller: Caller<'c>,
    /// Only series that these select are kept: a server may answer anything.
    pub(super) matchers: &'c [Matcher],
    /// Labels that the other server added.
    pub(super) removed: &'c [String],
    /// Samples are not wanted.
    pub(super) labels_only: bool,
    series: Vec<Series>,
}

impl<'c> Gathered<'c> {
    pub(super) fn new((matchers, removed): (&'c [Matcher], &'c [String]), caller: Caller<'c>) -> Self {
        Self { caller, matchers, removed, labels_only: false, series: Vec::new() }
    }

    /// Begins a series, or goes on with it; `None` if it was not asked for.
    pub(super) fn begin(&mut self, pairs: &mut Vec<(&str, &str)>) -> Result<Option<&mut Vec<Piece>>, Failure> {
        if !pairs.is_sorted() {
            pairs.sort_unstable();
        }
        if pairs.iter().any(|(name, _)| name.is_empty()) {
            return Err(Failure::Why("invalid label name: \"\"".to_owned()));
        }
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Failure::Why(format!("duplicate label with name: {}", twice[0].0)));
        }
        pairs.retain(|(name, value)| !value.is_empty() && !self.removed.iter().any(|removed| removed == name));
        let value = |name: &str| pairs.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| *value);
        if !self.matchers.iter().all(|matcher| matcher.matches(value(&matcher.name))) {
            return Ok(None);
        }
        let labels = Labels::from_sorted(pairs.iter().copied());
        // Upstream sends a series in several frames where it is long.
        if self.series.last().is_none_or(|last| last.labels != labels) {
            // The list doubles when it is full.
            self.caller.grow(labels.as_text().len() + 2 * size_of::<Series>())?;
            self.series.push(Series { labels, pieces: Vec::new() });
        }
        Ok(self.series.last_mut().map(|series| &mut series.pieces))
    }

    /// All series in label order, each once.
    pub(super) fn finish(mut self) -> Vec<Series> {
        if !self.series.is_sorted_by(|a, b| a.labels < b.labels) {
            self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
            self.series.dedup_by(|next, kept| {
                let same = next.labels == kept.labels;
                if same {
                    kept.pieces.append(&mut next.pieces);
                }
                same
            });
        }
        self.series
    }
}

/// Reads each series of a `QueryResult` or a `ChunkedReadResponse`: both have them in field 1. The list is for the labels of one.
pub(super) fn each_series<'a>(
    message: &'a [u8],
    gathered: &mut Gathered<'_>,
    read: impl Fn(&'a [u8], &mut Vec<(&'a str, &'a str)>, &mut Gathered<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut pairs = Vec::new();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            pairs.clear();
            read(value.bytes()?, &mut pairs, gathered)?;
        }
    }
    Ok(())
}

/// Adds a label of a message.
pub(super) fn label<'a>(message: &'a [u8], pairs: &mut Vec<(&'a str, &'a str)>) -> Result<(), Failure> {
    let (mut name, mut text): (&[u8], &[u8]) = (b"", b"");
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.bytes()?,
            2 => text = value.bytes()?,
            _ => {}
        }
    }
    if pairs.len() == LABELS_MAX {
        return Err(Failure::Why(format!("a series has more than {LABELS_MAX} labels")));
    }
    let utf8 = |bytes| from_utf8(bytes).map_err(|_| "a label is no UTF-8");
    pairs.push((utf8(name)?, utf8(text)?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_come_in_any_order_and_leave_in_that_of_their_labels() {
        let matchers = [Matcher::equal("job", "x")];
        let removed = ["zone".to_owned()];
        let mut gathered = Gathered::new((&matchers, &removed), Caller(None));
        let mut begin = |pairs: &[(&'static str, &'static str)]| {
            let pieces = gathered.begin(&mut pairs.to_vec()).map_err(|failure| format!("{failure:?}"))?;
            Ok::<_, String>(pieces.map(|pieces| pieces.push(Piece::Samples(Samples::default()))).is_some())
        };
        for i in ["b", "a", "b"] {
            assert_eq!(begin(&[("zone", "eu"), ("job", "x"), ("i", i), ("none", "")]), Ok(true));
        }
        assert_eq!(begin(&[("job", "y")]), Ok(false), "it was not asked for");
        assert!(begin(&[("job", "x"), ("job", "x")]).unwrap_err().contains("duplicate label with name: job"));
        assert!(begin(&[("", "x"), ("job", "x")]).unwrap_err().contains("invalid label name"));
        let series = gathered.finish();
        let shown: Vec<_> = series.iter().map(|one| (one.labels.to_string(), one.pieces.len())).collect();
        assert_eq!(shown, [(r#"{i="a", job="x"}"#.to_owned(), 1), (r#"{i="b", job="x"}"#.to_owned(), 2)]);
    }

    #[test]
    fn what_there_is_no_memory_for_stops_it() {
        let grow = |_| Err(QuerierError::Stopped);
        let mut gathered = Gathered::new((&[], &[]), Caller(Some(&grow)));
        assert!(matches!(gathered.begin(&mut vec![("a", "b")]), Err(Failure::Stopped(QuerierError::Stopped))));
    }
}
