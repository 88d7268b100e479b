//! `io.prometheus.write.v2.Request`, read in place (`proto::write_v2` declares the same). Its strings are in a table, which is read
//! first, wherever it stands.

use std::str::from_utf8;

use model::protobuf::{Broken, Fields, Value};
use model::{Exemplar, Timestamp};

use super::histogram;
use super::labels::{Pairs, with_type};
use super::options::WriteOptions;
use crate::receive::storing::{Stop, Storing};

/// So many strings a request may have; each takes more room in the table than an empty one does in the message.
const SYMBOLS_MAX: usize = 1 << 21;

/// Strings by their number; `None` where one is no UTF-8.
type Symbols<'a> = [Option<&'a str>];

/// The types of metrics by their number in the message, as `__type__` has them.
const KINDS: [&str; 8] = ["", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// What a series says about its metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Metadata {
    kind: usize,
    help: u32,
    unit: u32,
}

/// Hands on all series of a message.
pub(super) fn read(message: &[u8], options: WriteOptions, storing: &mut Storing<'_>) -> Result<(), Stop> {
    let mut symbols = Vec::new();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 4 {
            if symbols.len() >= SYMBOLS_MAX {
                return Err("more than 2097152 symbols".into());
            }
            symbols.push(from_utf8(value.bytes()?).ok());
        }
    }
    let mut reader = Reader { symbols: &symbols, options, refs: Vec::new(), pairs: Pairs::default() };
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 5 {
            reader.series(value.bytes()?, storing)?;
        }
    }
    Ok(())
}

/// The table, and room that every series uses again.
struct Reader<'s, 'a> {
    symbols: &'s Symbols<'a>,
    options: WriteOptions,
    refs: Vec<u32>,
    pairs: Pairs<'a>,
}

impl Reader<'_, '_> {
    fn series(&mut self, message: &[u8], storing: &mut Storing<'_>) -> Result<(), Stop> {
        self.refs.clear();
        let (mut metadata, mut samples, mut exemplars) = (Metadata::default(), 0, 0);
        let mut fields = Fields::new(message);
        // Labels and metadata may stand anywhere, and must be known first.
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => references(value, &mut self.refs)?,
                2 | 3 => samples += 1,
                4 => exemplars += 1,
                5 => metadata = metadata_of(value.bytes()?)?,
                _ => {}
            }
        }
        if !self.begin(metadata, (samples, exemplars), storing)? {
            return Ok(());
        }
        if metadata == Metadata::default() {
            storing.counted.without_metadata += samples;
        }
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                2 => self.sample(value.bytes()?, storing)?,
                3 => {
                    let received = histogram::read(value.bytes()?)?;
                    storing.histogram(received)?;
                }
                4 => self.exemplar(value.bytes()?, storing)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins the series whose references were read, unless something is wrong with it.
    fn begin(
        &mut self,
        metadata: Metadata,
        (samples, exemplars): (u64, u64),
        storing: &mut Storing<'_>,
    ) -> Result<bool, Stop> {
        if let Err(why) = self.look_up() {
            let refs = &self.refs;
            storing.refuse(|| format!("parsing labels for series {refs:?}: {why}"));
            storing.counted.invalid_labels += samples;
            return Ok(false);
        }
        for (what, at) in [("unit_ref", metadata.unit), ("help_ref", metadata.help)] {
            if at as usize >= self.symbols.len() {
                let (refs, size) = (&self.refs, self.symbols.len());
                storing.refuse(|| {
                    let why = format!("metadata {what} {at} outside of symbols table (size {size})");
                    format!("parsing metadata for series {refs:?}: {why}")
                });
                return Ok(false);
            }
        }
        let mut labels = match self.pairs.series() {
            Ok(labels) => labels,
            Err(why) => {
                storing.refuse(|| why);
                storing.counted.invalid_labels += samples;
                return Ok(false);
            }
        };
        // Prometheus sends exemplars in series of their own, and refuses them itself.
        if samples + exemplars == 0 {
            storing
                .refuse(|| format!("TimeSeries must contain at least one sample or histogram for series {labels:?}"));
            return Ok(false);
        }
        if self.options.type_labels {
            let kind = KINDS.get(metadata.kind).copied().unwrap_or_default();
            let unit = self.symbols[metadata.unit as usize].unwrap_or_default();
            if !kind.is_empty() || !unit.is_empty() {
                labels = with_type(&labels, kind, unit);
            }
        }
        storing.begin(labels)?;
        Ok(true)
    }

    /// The pairs that the references mean.
    fn look_up(&mut self) -> Result<(), String> {
        self.pairs.clear();
        let (pairs, rest) = self.refs.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(format!("invalid labelRefs length {}", self.refs.len()));
        }
        for [name, value] in pairs {
            let (Some(known), Some(text)) = (self.symbols.get(*name as usize), self.symbols.get(*value as usize))
            else {
                let size = self.symbols.len();
                return Err(format!(
                    "labelRefs {name} (name) = {value} (value) outside of symbols table (size {size})"
                ));
            };
            self.pairs.push(*known, *text);
        }
        Ok(())
    }

    #[inline]
    fn sample(&self, message: &[u8], storing: &mut Storing<'_>) -> Result<(), Stop> {
        let (mut ts, mut start, mut number) = (0, 0, 0.0);
        let mut fields = Fields::new(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => number = value.double()?,
                2 => ts = value.int()?,
                3 => start = value.int()?,
                _ => {}
            }
        }
        let start = Some(Timestamp(start)).filter(|_| self.options.start_zeros && start != 0 && ts != 0);
        storing.sample(Timestamp(ts), number, start)
    }

    fn exemplar(&mut self, message: &[u8], storing: &mut Storing<'_>) -> Result<(), Stop> {
        self.refs.clear();
        let (mut ts, mut number) = (0, 0.0);
        let mut fields = Fields::new(message);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => references(value, &mut self.refs)?,
                2 => number = value.double()?,
                3 => ts = value.int()?,
                _ => {}
            }
        }
        if let Err(why) = self.look_up() {
            let series = storing.series();
            storing.refuse(|| format!("parsing exemplar for series {series:?}: {why}"));
            return Ok(());
        }
        storing.exemplar(Exemplar { labels: self.pairs.exemplar(), value: number, ts: Timestamp(ts) })
    }
}

/// Numbers of symbols; one that is no `uint32` is cut to its lower half, as protobuf has it.
#[inline]
fn references(value: Value<'_>, into: &mut Vec<u32>) -> Result<(), Broken> {
    #[expect(clippy::cast_possible_truncation, reason = "as protobuf reads such a number")]
    value.each_varint(|n| into.push(n as u32))
}

fn metadata_of(message: &[u8]) -> Result<Metadata, Broken> {
    let mut metadata = Metadata::default();
    let mut fields = Fields::new(message);
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => metadata.kind = small(value.varint()?) as usize,
            3 => metadata.help = small(value.varint()?),
            4 => metadata.unit = small(value.varint()?),
            _ => {}
        }
    }
    Ok(metadata)
}
