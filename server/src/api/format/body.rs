//! Response bodies and their memory. A body holds its reservation until it was sent. A large one is written in pieces, each
//! of them when the client has taken the one before, and returns the memory of what it has written.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use model::Labels;
use query::{Error, QueryMemory, QueryResult, RangeSeries, Sample, Value};

use super::json::{JSON, SUCCESS, histogram_point, items, point, success_tail, success_text};
use super::label_sets::LabelSets;
use super::result::{POINTS_PER_SERIES, query_result, result_head, result_tail, vector};

/// Longer bodies are written in pieces.
const WHOLE_MAX: usize = 2 << 20;
/// The length of a piece, about.
const PIECE: usize = 64 << 10;
/// Points that are written between two checks of a piece's length.
const POINTS: usize = 512;
/// Upper bounds of the text of a point, of a series without its labels, and of a bucket.
const POINT_TEXT: usize = 48;
const SERIES_TEXT: usize = 64;
const BUCKET_TEXT: usize = 96;

/// A text and the reservation of its memory.
struct Held {
    text: String,
    _share: Arc<QueryMemory>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A body whose memory stays reserved until the connection drops it. The reservation shrinks to the text.
pub(crate) fn held(text: String, share: &Arc<QueryMemory>) -> Body {
    // What it was made from no longer counts; only the text stays until it was sent.
    share.shrink_to(text.capacity());
    Body::from(Bytes::from_owner(Held { text, _share: Arc::clone(share) }))
}

/// Upper bound of the length of a text as a JSON string.
pub(crate) fn escaped(text: &str) -> usize {
    let special = text.bytes().filter(|b| *b < b' ' || matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&')).count();
    // U+2028 and U+2029 get twice as long.
    2 + 2 * text.len() + 5 * special
}

/// The same for a label set: `{"name":"value"}`.
pub(crate) fn escaped_labels(labels: &Labels) -> usize {
    let text = labels.as_text();
    let special = text.bytes().filter(|b| *b < b' ' || matches!(b, b'"' | b'\\')).count();
    // Bytes of lengths may be counted, too: the bound is then higher than it need be.
    text.len() + 8 + 6 * special
}

/// Upper bounds of the length of the answer and of its longest label set.
fn length(value: &Value) -> (usize, usize) {
    let of_histogram = |h: &model::Histogram| (h.positive.counts.len() + h.negative.counts.len() + 3) * BUCKET_TEXT;
    let sum = |(all, longest): (usize, usize), (labels, samples): (usize, usize)| {
        (all + SERIES_TEXT + labels + samples, longest.max(labels))
    };
    match value {
        Value::Scalar { .. } => (POINT_TEXT, 0),
        Value::String { value, .. } => (escaped(value) + POINT_TEXT, escaped(value)),
        Value::Vector(all) => all.iter().fold((0, 0), |total, Sample { labels, histogram, .. }| {
            sum(total, (escaped_labels(labels), histogram.as_deref().map_or(POINT_TEXT, of_histogram)))
        }),
        Value::Matrix(all) => all.iter().fold((0, 0), |total, RangeSeries { labels, points, histograms }| {
            let histograms: usize = histograms.iter().map(|(_, h)| POINT_TEXT + of_histogram(h)).sum();
            sum(total, (escaped_labels(labels), points.len() * POINT_TEXT + histograms))
        }),
    }
}

/// The answer to a query.
pub(crate) fn query_answer(result: QueryResult, beside: Option<String>) -> Result<Response, Error> {
    let share = Arc::clone(&result.memory);
    let (length, longest) = length(&result.value);
    let rest = beside.as_ref().map_or(0, String::len) + 4 * texts(&result) + SERIES_TEXT;
    if length <= WHOLE_MAX {
        // The result and its text are there at once while it is written.
        share.take(length + rest)?;
        let body = whole(&result, beside.as_deref(), length);
        drop(result);
        return Ok((JSON, held(body, &share)).into_response());
    }
    // A piece in the making, those that wait to be sent, and what may be in it before it is looked at.
    let needed = 4 * PIECE + 2 * longest + rest;
    share.take(needed)?;
    let pieces = Pieces { held: result.value.bytes() + needed, result, beside, at: At::Begin };
    // A piece is made when the connection asks for it: a slow client slows the writing down.
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.next()?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), pieces))
    });
    // Compression asks once more after the end, which `unfold` answers with a panic.
    let pieces = pieces.fuse();
    Ok((JSON, Body::from_stream(pieces)).into_response())
}

fn texts(result: &QueryResult) -> usize {
    result.warnings.iter().chain(&result.infos).map(String::len).sum()
}

fn whole(result: &QueryResult, beside: Option<&str>, length: usize) -> String {
    let data = |out: &mut String| {
        // The bound is generous; reserving all of it would often double the memory.
        out.reserve(length.min(PIECE));
        query_result(out, result, beside);
    };
    success_text(data, &result.warnings, &result.infos)
}

/// The position in a response that is written in pieces.
#[derive(Clone, Copy)]
enum At {
    Begin,
    Series(Place),
    End,
    Over,
}

/// The position in a series: whether its labels were written, and how many of its points and histograms.
#[derive(Clone, Copy, Default)]
struct Place {
    series: usize,
    begun: bool,
    points: usize,
    histograms: usize,
}

/// A large answer, piece by piece.
struct Pieces {
    result: QueryResult,
    beside: Option<String>,
    at: At,
    /// The memory of what is not written yet, and what writing needs.
    held: usize,
}

impl Pieces {
    fn next(&mut self) -> Option<String> {
        // What is written before the length is looked at again mostly fits into the quarter.
        let mut out = String::with_capacity(PIECE + PIECE / 4);
        while out.len() < PIECE {
            self.at = match self.at {
                At::Begin => {
                    out.push_str(SUCCESS);
                    result_head(&mut out, &self.result.value);
                    out.push('[');
                    At::Series(Place::default())
                }
                At::Series(place) => self.series(&mut out, place),
                At::End => {
                    out.push(']');
                    result_tail(&mut out, self.beside.as_deref());
                    success_tail(&mut out, &self.result.warnings, &self.result.infos);
                    At::Over
                }
                At::Over => break,
            };
        }
        (!out.is_empty()).then_some(out)
    }

    /// Writes series from a position on, until the piece is long enough.
    fn series(&mut self, out: &mut String, mut place: Place) -> At {
        let at = place.series;
        match &mut self.result.value {
            Value::Vector(samples) => {
                // Several at once: of the labels, what equals those before is copied.
                let some = &samples[at..samples.len().min(at + POINTS / POINTS_PER_SERIES)];
                out.push_str(if at > 0 && !some.is_empty() { "," } else { "" });
                vector(out, some);
                let next = at + some.len();
                if next == samples.len() { At::End } else { At::Series(Place { series: next, ..Place::default() }) }
            }
            Value::Matrix(all) => {
                let Some(one) = all.get_mut(at) else { return At::End };
                if !place.begun {
                    out.push_str(if at > 0 { ",{\"metric\":" } else { "{\"metric\":" });
                    // A series may begin in a new piece, where nothing can be copied from.
                    LabelSets::default().write(out, &one.labels);
                    place.begun = true;
                }
                if samples_of(out, one, &mut place) {
                    out.push('}');
                    self.held = self.held.saturating_sub(std::mem::take(one).bytes());
                    self.result.memory.shrink_to(self.held);
                    place = Place { series: at + 1, ..Place::default() };
                }
                At::Series(place)
            }
            _ => At::End,
        }
    }
}

/// Writes samples of a series until the piece is long enough; true if the series is complete.
fn samples_of(out: &mut String, one: &RangeSeries, place: &mut Place) -> bool {
    while out.len() < PIECE && place.points < one.points.len() {
        out.push_str(if place.points == 0 { ",\"values\":[" } else { "," });
        let some = &one.points[place.points..one.points.len().min(place.points + POINTS)];
        items(out, some, |out, (ts, value)| point(out, *ts, *value));
        place.points += some.len();
        out.push_str(if place.points == one.points.len() { "]" } else { "" });
    }
    while out.len() < PIECE && place.points == one.points.len() && place.histograms < one.histograms.len() {
        out.push_str(if place.histograms == 0 { ",\"histograms\":[" } else { "," });
        let (ts, value) = &one.histograms[place.histograms];
        histogram_point(out, *ts, value);
        place.histograms += 1;
        out.push_str(if place.histograms == one.histograms.len() { "]" } else { "" });
    }
    place.points == one.points.len() && place.histograms == one.histograms.len()
}

#[cfg(test)]
mod tests {
    use model::{Histogram, Timestamp};
    use query::{EngineOptions, MemoryPool};

    use super::*;

    fn result(value: Value, memory: &Arc<MemoryPool>) -> QueryResult {
        let options = EngineOptions { memory: Arc::clone(memory), ..EngineOptions::default() };
        let memory = query::Engine::new(options).bounds(&query::QueryOptions::default()).memory;
        memory.take(value.bytes()).unwrap();
        QueryResult { value, warnings: vec!["<w>".to_owned()], infos: vec![], memory }
    }

    fn values() -> Vec<Value> {
        let labels = |i: usize, long: usize| {
            Labels::from_pairs([("i", i.to_string()), ("long", "\u{1}x".repeat(long)), ("job", "a".to_owned())])
        };
        let histogram =
            Arc::new(Histogram { count: 3.0, positive: [(0, 1.0), (5, 2.0)].into_iter().collect(), ..<_>::default() });
        let sample = |i: usize| Sample {
            labels: labels(i, i % 3),
            ts: Timestamp(1_500),
            value: i as f64 / 7.0,
            histogram: i.is_multiple_of(5).then(|| Arc::clone(&histogram)),
        };
        let points = |n: usize| (0..n as i64).map(|i| (Timestamp(i * 15_000), i as f64 / 3.0)).collect::<Vec<_>>();
        let histograms = |n: usize| (0..n as i64).map(|i| (Timestamp(i), Arc::clone(&histogram))).collect::<Vec<_>>();
        let series =
            |i, n, h, long| RangeSeries { labels: labels(i, long), points: points(n), histograms: histograms(h) };
        vec![
            Value::Vector((0..40_000).map(sample).collect()),
            Value::Matrix((0..200).map(|i| series(i, 500 + i % 3, i % 2, 0)).collect()),
            Value::Matrix(vec![
                series(0, 100_000, 0, 0),
                series(1, 0, 30_000, 0),
                series(2, 1, 1, 40_000),
                series(3, 0, 1, 0),
            ]),
            Value::Matrix(vec![]),
            Value::Vector(vec![]),
        ]
    }

    #[test]
    fn pieces_make_the_whole() {
        for value in values() {
            let result = result(value, &Arc::default());
            let beside = Some(",\"stats\":{\"s\":1}".to_owned());
            let (expected, bound) = (whole(&result, beside.as_deref(), 0), length(&result.value).0);
            let mut pieces = Pieces { held: result.value.bytes(), result, beside, at: At::Begin };
            let mut text = String::new();
            while let Some(piece) = pieces.next() {
                assert!(piece.len() < 3 * PIECE + 6 * 80_000, "{}", piece.len());
                text += &piece;
            }
            assert!(text == expected, "{} and {}", text.len(), expected.len());
            assert!(bound >= text.len().saturating_sub(200), "{}", text.len());
        }
    }

    #[tokio::test]
    async fn memory_stays_taken_until_the_answer_is_sent() {
        use axum::body::HttpBody as _;

        let memory = Arc::new(MemoryPool::new(usize::MAX, usize::MAX));
        for value in values() {
            let large = length(&value).0 > WHOLE_MAX;
            let response = query_answer(result(value.clone(), &memory), None).unwrap();
            let mut body = response.into_body();
            assert_eq!(body.size_hint().exact().is_none(), large);
            let (mut sent, mut before) = (Vec::new(), usize::MAX);
            while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
                let held = memory.used();
                assert!(held > 0 && held <= before);
                before = held;
                sent = vec![frame.unwrap()];
            }
            let of_result = value.bytes();
            assert!(!matches!(value, Value::Matrix(_)) || !large || before < of_result / 4, "{before} of {of_result}");
            drop(body);
            assert_eq!(memory.used() > 0, !large, "what was made whole is held by what was made of it");
            drop(sent);
            assert_eq!(memory.used(), 0);
        }
    }
}
