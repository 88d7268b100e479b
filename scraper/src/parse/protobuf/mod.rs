//! Delimited `io.prometheus.client.MetricFamily` messages, handed out as the text formats would write them.
//!
//! Nothing is decoded into structures: a metric's label fields stay in the body, and a hash of them and of the part
//! (`_sum`, one bucket) identifies the series. A native histogram is one entry whose value is a marker; its buckets are
//! read when they are asked for. Where native histograms are not wanted, they are counted.

mod exemplars;
mod message;
mod native;
pub(super) mod series;

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::What;
use super::{Entry, Exemplar, Fingerprint, MetricKind, Native, ParseError, Point, Recognised, Sample, Series, Wanted};
use crate::parse::part::Part;
use message::{Family, Metric};
use model::protobuf::{Broken, Fields};

/// Reads an exposition entry by entry.
#[derive(Debug)]
pub(super) struct ProtobufParser<'a> {
    families: Fields<'a>,
    family: Family<'a>,
    stage: Stage,
    metric: Metric<'a>,
    /// The next entry, if it was read already. The end and an error stay here.
    ahead: Option<Result<Option<Ahead<'a>>, Broken>>,
    fingerprint: Fingerprint,
    wanted: Wanted,
    native_histograms: usize,
}

/// The part of a family that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Another family.
    Next,
    Help,
    Unit,
    Type,
    Metrics,
}

#[derive(Clone, Copy, Debug)]
struct Ahead<'a> {
    key: u64,
    what: AheadWhat<'a>,
}

#[derive(Clone, Copy, Debug)]
enum AheadWhat<'a> {
    Help,
    Unit,
    Type,
    Series(Part, Point<'a>),
}

impl<'a> ProtobufParser<'a> {
    pub(super) fn new(body: &'a [u8], wanted: Wanted) -> Self {
        Self {
            families: Fields::new(body),
            family: Family::default(),
            stage: Stage::Next,
            metric: Metric::default(),
            ahead: None,
            fingerprint: Fingerprint { key: 0, len: 0, what: What::Comment },
            wanted,
            native_histograms: 0,
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The native histogram for which the last entry was a marker.
    pub(super) fn histogram(&mut self) -> Result<Native, ParseError> {
        let gauge = self.family.kind == MetricKind::GaugeHistogram;
        self.metric.histogram(gauge).map_err(|why| self.fail(&why))
    }

    /// Its exemplars.
    pub(super) fn exemplars(&self) -> Result<Vec<Exemplar<'a>>, ParseError> {
        self.metric.exemplars().map_err(|why| self.fail(why))
    }

    pub(super) fn native_histograms(&self) -> usize {
        self.native_histograms
    }

    #[inline]
    pub(super) fn recognise(&mut self, fingerprint: &Fingerprint) -> Option<Recognised<'a>> {
        let ahead = self.look_ahead();
        match ahead {
            // The key alone decides: it covers family, type, labels and part, and there is no text to compare.
            Ok(Some(Ahead { key, what })) if key == fingerprint.key => Some(match what {
                AheadWhat::Series(_, point) => Recognised::Series(point),
                _ => Recognised::Comment,
            }),
            _ => {
                self.ahead = Some(ahead);
                None
            }
        }
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        let ahead = self.look_ahead();
        // Put back, so that every further call meets the same end or error.
        let Ok(Some(ahead)) = ahead else {
            self.ahead = Some(ahead);
            return ahead.map(|_| None).map_err(|why| self.fail(why));
        };
        let family = &self.family;
        let what = match ahead.what {
            AheadWhat::Series(..) => What::Series,
            AheadWhat::Type => What::Type(family.kind),
            AheadWhat::Help | AheadWhat::Unit => What::Comment,
        };
        // UTF-8 is checked only here, for entries that are new. A recognised entry has bytes that passed before.
        let text = |bytes: &'a [u8], broken: &str| std::str::from_utf8(bytes).map_err(|_| self.fail(broken));
        let metric = || text(family.name, "metric name is not valid UTF-8").map(Cow::Borrowed);
        let entry = match ahead.what {
            AheadWhat::Help => {
                if family.name.is_empty() {
                    return Err(self.fail("metric family without a name"));
                }
                let help = text(family.help, "help text is not valid UTF-8")?;
                Entry::Help { metric: metric()?, text: Cow::Borrowed(help) }
            }
            AheadWhat::Unit => Entry::Unit { metric: metric()?, unit: text(family.unit, "unit is not valid UTF-8")? },
            AheadWhat::Type => Entry::Type { metric: metric()?, kind: family.kind },
            AheadWhat::Series(part, point) => {
                // The unit is part of the seed in this case, so series are read anew when it changes.
                let about = match self.wanted.types {
                    true => Some((family.kind, text(family.unit, "unit is not valid UTF-8")?)),
                    false => None,
                };
                let series = Series::Protobuf { name: family.name, labels: self.metric.labels, part, about };
                Entry::Series(Sample { series, point })
            }
        };
        self.fingerprint = Fingerprint { key: ahead.key, len: 0, what };
        Ok(Some(entry))
    }

    /// Takes the next entry. A caller that does not use it puts it back into `ahead`.
    #[inline]
    fn look_ahead(&mut self) -> Result<Option<Ahead<'a>>, Broken> {
        self.ahead.take().unwrap_or_else(|| self.read_ahead())
    }

    fn read_ahead(&mut self) -> Result<Option<Ahead<'a>>, Broken> {
        loop {
            let family = &self.family;
            let comment = |tag: u64, text: &[u8], what| {
                // The tag keeps help and unit of the same text apart.
                Ok(Some(Ahead { key: xxh3_64_with_seed(text, family.seed.wrapping_add(tag)), what }))
            };
            match self.stage {
                Stage::Metrics => {
                    if let Some((part, point)) = self.metric.next_part()? {
                        let what = AheadWhat::Series(part, point);
                        return Ok(Some(Ahead { key: part.key(self.metric.base), what }));
                    }
                    // The metric has no series left. Also the first metric of a family begins here: a default
                    // `Metric` has no step.
                    self.next_metric()?;
                }
                Stage::Next => {
                    let Some(message) = self.families.next_delimited()? else { return Ok(None) };
                    // As upstream has it, a family without metrics is nothing.
                    if let Some(mut family) = Family::read(message)? {
                        if self.wanted.types {
                            // Only where `__unit__` is a label: otherwise a new unit must not end every series of the
                            // family.
                            family.seed = xxh3_64_with_seed(family.unit, family.seed);
                        }
                        self.family = family;
                        self.stage = Stage::Help;
                    }
                }
                Stage::Help => {
                    self.stage = if family.unit.is_empty() { Stage::Type } else { Stage::Unit };
                    return comment(1, family.help, AheadWhat::Help);
                }
                Stage::Unit => {
                    self.stage = Stage::Type;
                    return comment(2, family.unit, AheadWhat::Unit);
                }
                Stage::Type => {
                    self.stage = Stage::Metrics;
                    return comment(3, &[], AheadWhat::Type);
                }
            }
        }
    }

    /// The next metric of the family, or the end of the family.
    fn next_metric(&mut self) -> Result<(), Broken> {
        while let Some((number, value)) = self.family.fields.next()? {
            if number == 4 {
                self.metric.read(value.bytes()?, &self.family)?;
                // As upstream's `Next`: the native histogram first, its classic series only with
                // `always_scrape_classic_histograms`; what has no native buckets may be converted.
                if self.metric.native && self.wanted.native {
                    self.metric.ask_native(self.wanted.classic);
                } else {
                    self.native_histograms += usize::from(self.metric.native);
                    if self.wanted.convert {
                        self.metric.ask_converted(self.wanted.classic);
                    }
                }
                return Ok(());
            }
        }
        self.stage = Stage::Next;
        Ok(())
    }

    /// Position and family of the last entry, for errors.
    #[cold]
    pub(super) fn place(&self) -> (String, String) {
        let family = String::from_utf8_lossy(self.family.name).chars().take(100).collect();
        (format!("before byte {}", self.families.at()), family)
    }

    #[cold]
    fn fail(&self, reason: &str) -> ParseError {
        let (place, excerpt) = self.place();
        ParseError { place, reason: reason.to_owned(), excerpt }
    }
}
