//! An answer, piece by piece: each is made when the connection has taken the one before, so that no more than a few are in
//! memory, and nothing is made for a client that has gone.

use std::convert::Infallible;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use query::QueryMemory;

use super::accept::{Encoding, Format};
use super::message_text::MessageText;
use super::pairs::{Externals, Pairs, write_labels};
use super::protobuf::{self, MetricType};
use super::series::{Family, Series};
use super::text;

/// The length of a piece, about.
const PIECE: usize = 64 << 10;
/// Larger messages of a family are not held: their length is found first, and then they are written again.
const MESSAGE_MAX: usize = 256 << 10;
/// Series between two looks whether other tasks of the thread wait.
const AT_ONCE: usize = 2_000;

/// Series on their way to a client.
#[derive(Debug)]
pub(super) struct Page {
    series: Series,
    format: Format,
    externals: Externals,
    /// The labels of each source, and the external ones that it lacks.
    sources: Vec<(Pairs, Vec<usize>)>,
    /// The labels of the metric that was written last, and which it is.
    metric: (Option<u32>, Pairs),
    /// The next float and the next histogram.
    at: (usize, usize),
    family: Option<Open>,
    out: Vec<u8>,
    scratch: Scratch,
    _share: Arc<QueryMemory>,
}

/// A family of which not all is written.
#[derive(Debug)]
struct Open {
    family: Family,
    name: String,
    /// How many of its series are done.
    done: usize,
    how: How,
}

#[derive(Debug)]
enum How {
    /// Lines of text; what they begin with.
    Lines { start: Vec<u8>, of_histogram: [Vec<u8>; 3] },
    /// A message that is made whole, behind its length; or only measured, from where it got too long.
    Whole { message: Vec<u8>, len: usize },
    /// A message whose length is written.
    Parts,
    /// A message as text.
    MessageText(MessageText),
}

/// Memory that is used again.
#[derive(Debug, Default)]
struct Scratch {
    numbers: text::Numbers,
    labels: Vec<u8>,
    metric: Vec<u8>,
    histogram: Vec<u8>,
}

/// What was made at once.
enum Step {
    Piece(Vec<u8>),
    /// Nothing is finished yet.
    Unfinished,
    End,
}

impl Page {
    pub(super) fn new(series: Series, externals: Externals, format: Format, share: &Arc<QueryMemory>) -> Self {
        let of_source = |labels| {
            let pairs = Pairs::new(labels, &externals, format);
            let missing = externals.missing(&pairs);
            (pairs, missing)
        };
        let sources = series.sources.iter().map(of_source).collect();
        Self {
            series,
            format,
            externals,
            sources,
            metric: <_>::default(),
            at: (0, 0),
            family: None,
            out: Vec::new(),
            scratch: Scratch::default(),
            _share: Arc::clone(share),
        }
    }

    /// The memory that it needs beside the series.
    pub(super) fn bytes(series: &Series, externals: &Externals, format: Format) -> usize {
        let sources: usize = series.sources.iter().map(Pairs::bytes_of).sum();
        // The next piece and those that wait to be sent; and a message that is made whole, while its memory grows.
        let message = if format.encoding == Encoding::Delimited { 2 * MESSAGE_MAX } else { 0 };
        let pieces = if series.is_empty() { 0 } else { 4 * PIECE + message };
        sources + series.sources.len() * externals.count() * size_of::<usize>() + externals.bytes() + pieces
    }

    pub(super) fn into_body(self) -> Body {
        let pieces = stream::unfold(self, |mut page| async move {
            loop {
                match page.step() {
                    Step::Piece(piece) => return Some((Ok::<_, Infallible>(Bytes::from(piece)), page)),
                    // Measuring a large family takes a while without a piece to send.
                    Step::Unfinished => tokio::task::yield_now().await,
                    Step::End => return None,
                }
            }
        });
        // Compression asks once more after the end, which `unfold` answers with a panic.
        Body::from_stream(pieces.fuse())
    }

    /// Writes until a piece is full, or for a while.
    fn step(&mut self) -> Step {
        let mut left = AT_ONCE;
        while self.out.len() < PIECE && left > 0 {
            let Some(mut open) = self.family.take().or_else(|| self.next_family()) else {
                let rest = mem::take(&mut self.out);
                return if rest.is_empty() { Step::End } else { Step::Piece(rest) };
            };
            let all = open.samples();
            while self.out.len() < PIECE && left > 0 && open.done < all.len() {
                let at = all.start + open.done;
                self.write(&mut open, at);
                open.done += 1;
                left -= 1;
            }
            if open.done < all.len() || !self.close(&mut open) {
                self.family = Some(open);
            }
        }
        if self.out.len() < PIECE {
            return Step::Unfinished;
        }
        Step::Piece(mem::replace(&mut self.out, Vec::with_capacity(PIECE + PIECE / 4)))
    }

    fn next_family(&mut self) -> Option<Open> {
        let family = self.series.next_family((&mut self.at.0, &mut self.at.1))?;
        let metric = match &family {
            Family::Untyped(of) => self.series.floats[of.start].metric,
            Family::Histograms { of, .. } => self.series.histograms[of.start].metric,
        };
        let name = self.format.escaping.escape(self.series.metrics[metric as usize].name()).into_owned();
        let how = match self.format.encoding {
            Encoding::Text => {
                let is_float = matches!(family, Family::Untyped(_));
                text::type_line(&mut self.out, &name, if is_float { "untyped" } else { "histogram" });
                let of_histogram = if is_float { <_>::default() } else { text::histogram_starts(&name) };
                How::Lines { start: text::line_start(&name), of_histogram }
            }
            Encoding::Delimited => How::whole(&name, &family),
            Encoding::MessageText { multiline } => {
                let mut head = Vec::new();
                protobuf::family_head(&mut head, &name, family.kind());
                let mut message = MessageText::new(multiline);
                message.family(&mut self.out, &head);
                How::MessageText(message)
            }
        };
        Some(Open { family, name, done: 0, how })
    }

    /// Writes or measures a series of a family.
    fn write(&mut self, open: &mut Open, at: usize) {
        let (metric, source) = match open.family {
            Family::Untyped(_) => (self.series.floats[at].metric, self.series.floats[at].source),
            Family::Histograms { .. } => (self.series.histograms[at].metric, self.series.histograms[at].source),
        };
        if self.metric.0 != Some(metric) {
            self.metric.1.set(&self.series.metrics[metric as usize], &self.externals, self.format);
            self.metric.0 = Some(metric);
        }
        let (source, missing) = &self.sources[source as usize];
        let labels = |out: &mut Vec<u8>| write_labels(out, (source, missing), &self.metric.1, &self.externals);
        let Scratch { numbers, labels: text_of_labels, metric, histogram } = &mut self.scratch;
        if let How::Lines { start, of_histogram } = &open.how {
            if let Family::Untyped(_) = open.family {
                let one = &self.series.floats[at];
                self.out.extend_from_slice(start);
                labels(&mut self.out);
                numbers.line_end(&mut self.out, one.value, one.ts);
            } else {
                let one = &self.series.histograms[at];
                text_of_labels.clear();
                labels(text_of_labels);
                numbers.histogram(&mut self.out, of_histogram, (text_of_labels, &one.value, one.ts));
            }
            return;
        }
        metric.clear();
        labels(metric);
        if let Family::Untyped(_) = open.family {
            let one = &self.series.floats[at];
            protobuf::untyped(metric, one.value, one.ts);
        } else {
            let one = &self.series.histograms[at];
            protobuf::histogram(metric, &one.value, one.ts, histogram);
        }
        match &mut open.how {
            How::Whole { message, len } => {
                let before = message.len();
                protobuf::metric_field(message, metric);
                *len += message.len() - before;
                // From here on each series is only measured.
                if *len > MESSAGE_MAX {
                    message.clear();
                }
            }
            How::MessageText(message) => message.metric(&mut self.out, metric),
            How::Parts | How::Lines { .. } => protobuf::metric_field(&mut self.out, metric),
        }
    }

    /// Ends a family whose series are done; false when it has to be gone through again.
    fn close(&mut self, open: &mut Open) -> bool {
        match &mut open.how {
            How::Whole { message, len } => {
                protobuf::delimiter(&mut self.out, *len);
                if *len <= MESSAGE_MAX {
                    self.out.extend_from_slice(message);
                    return true;
                }
                protobuf::family_head(&mut self.out, &open.name, open.family.kind());
                open.how = How::Parts;
                open.done = 0;
                false
            }
            How::MessageText(message) => {
                message.end(&mut self.out);
                true
            }
            How::Parts | How::Lines { .. } => true,
        }
    }
}

impl How {
    fn whole(name: &str, family: &Family) -> Self {
        let mut message = Vec::new();
        protobuf::family_head(&mut message, name, family.kind());
        Self::Whole { len: message.len(), message }
    }
}

impl Open {
    fn samples(&self) -> Range<usize> {
        match &self.family {
            Family::Untyped(of) | Family::Histograms { of, .. } => of.clone(),
        }
    }
}

impl Family {
    fn kind(&self) -> MetricType {
        match self {
            Self::Untyped(_) => MetricType::Untyped,
            Self::Histograms { are_gauges: false, .. } => MetricType::Histogram,
            Self::Histograms { are_gauges: true, .. } => MetricType::GaugeHistogram,
        }
    }
}
