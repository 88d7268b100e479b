//! pprof's format: `profile.proto` of github.com/google/pprof, compressed.

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::Timestamp;

use super::symbols::{self, Function, Mapping};
use crate::protobuf::{bytes, number, varint};

/// What a number says, and its unit.
type Kind = (&'static str, &'static str);

/// What was sampled.
#[derive(Debug)]
pub(crate) struct Profile {
    /// What the values of each sample are.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) samples: Vec<Sample>,
    /// How far samples are apart.
    pub(crate) period: Option<(Kind, i64)>,
    /// Which of the kinds is shown first; else the last one.
    pub(crate) shown: Option<&'static str>,
    pub(crate) begun: Option<Timestamp>,
    pub(crate) took: Duration,
    /// Regular expression: functions that are left out, with what they call.
    pub(crate) dropped_frames: &'static str,
    pub(crate) comments: Vec<String>,
}

/// A stack and what was counted there.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    /// The innermost one first.
    pub(crate) frames: Vec<Frame>,
    pub(crate) values: Vec<i64>,
}

/// A place in the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    /// An address within an instruction.
    Code(usize),
    /// What has no address.
    Named(String),
}

impl Profile {
    pub(crate) fn new(kinds: &[Kind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
            samples: Vec::new(),
            period: None,
            shown: None,
            begun: None,
            took: Duration::ZERO,
            dropped_frames: "",
            comments: Vec::new(),
        }
    }

    /// The profile as it is sent. Looks names up, which takes a while.
    pub(crate) fn encode(&self, mappings: &[Mapping]) -> io::Result<Vec<u8>> {
        let mut message = Message::new(mappings);
        message.write(self);
        symbols::forget();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&message.finish())?;
        gzip.finish()
    }
}

/// Numbers of things, in the order in which they came.
#[derive(Debug)]
struct Table<T>(HashMap<T, u64>);

impl<T: Eq + Hash> Table<T> {
    /// The number of a thing from 1 on, and whether it is new.
    fn number(&mut self, of: T) -> (u64, bool) {
        let next = self.0.len() as u64 + 1;
        let number = *self.0.entry(of).or_insert(next);
        (number, number == next)
    }
}

/// `Profile` under construction.
#[derive(Debug)]
struct Message<'a> {
    out: Vec<u8>,
    /// Number 1 is the empty string, which the format counts as 0.
    strings: Table<String>,
    string_table: Vec<u8>,
    locations: Table<Frame>,
    functions: Table<Function>,
    mappings: &'a [Mapping],
    /// Whose functions have names.
    named: Vec<bool>,
}

impl<'a> Message<'a> {
    fn new(mappings: &'a [Mapping]) -> Self {
        let mut message = Self {
            out: Vec::new(),
            strings: Table(HashMap::new()),
            string_table: Vec::new(),
            locations: Table(HashMap::new()),
            functions: Table(HashMap::new()),
            mappings,
            named: vec![false; mappings.len()],
        };
        message.string("");
        message
    }

    fn write(&mut self, profile: &Profile) {
        for kind in &profile.kinds {
            let kind = self.kind(*kind);
            bytes(&mut self.out, 1, &kind);
        }
        for sample in &profile.samples {
            self.sample(sample);
        }
        for (at, mapping) in self.mappings.iter().enumerate() {
            self.mapping(at, mapping);
        }
        if !profile.dropped_frames.is_empty() {
            let dropped = self.string(profile.dropped_frames);
            number(&mut self.out, 7, dropped);
        }
        let since = profile.begun.and_then(|begun| u64::try_from(begun.0).ok()).unwrap_or_default();
        for (field, time) in [(9, Duration::from_millis(since)), (10, profile.took)] {
            number(&mut self.out, field, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        if let Some((kind, period)) = profile.period {
            let kind = self.kind(kind);
            bytes(&mut self.out, 11, &kind);
            number(&mut self.out, 12, period.cast_unsigned());
        }
        for comment in &profile.comments {
            let comment = self.string(comment);
            number(&mut self.out, 13, comment);
        }
        if let Some(shown) = profile.shown {
            let shown = self.string(shown);
            number(&mut self.out, 14, shown);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.append(&mut self.string_table);
        self.out
    }

    /// The place of a string in the table.
    fn string(&mut self, text: &str) -> u64 {
        let (number, is_new) = self.strings.number(text.to_owned());
        if is_new {
            bytes(&mut self.string_table, 6, text.as_bytes());
        }
        number - 1
    }

    /// `ValueType`
    fn kind(&mut self, (kind, unit): Kind) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, 1, self.string(kind));
        number(&mut out, 2, self.string(unit));
        out
    }

    /// `Sample`
    fn sample(&mut self, sample: &Sample) {
        let (mut out, mut packed) = (Vec::new(), Vec::new());
        for frame in &sample.frames {
            let location = self.location(frame);
            varint(&mut packed, location);
        }
        bytes(&mut out, 1, &packed);
        packed.clear();
        sample.values.iter().for_each(|value| varint(&mut packed, value.cast_unsigned()));
        bytes(&mut out, 2, &packed);
        bytes(&mut self.out, 2, &out);
    }

    /// The number of a `Location`, which is written when it comes first.
    fn location(&mut self, frame: &Frame) -> u64 {
        let (id, is_new) = self.locations.number(frame.clone());
        if !is_new {
            return id;
        }
        let mut out = Vec::new();
        number(&mut out, 1, id);
        let functions = match frame {
            Frame::Code(address) => {
                let functions = symbols::functions(*address);
                if let Some(at) = self.mappings.iter().position(|mapping| mapping.contains(*address)) {
                    number(&mut out, 2, at as u64 + 1);
                    self.named[at] |= !functions.is_empty();
                }
                number(&mut out, 3, *address as u64);
                functions
            }
            Frame::Named(name) => vec![(Function { name: name.clone(), ..Function::default() }, 0)],
        };
        for (function, line) in functions {
            let mut message = Vec::new();
            number(&mut message, 1, self.function(function));
            number(&mut message, 2, u64::from(line));
            bytes(&mut out, 4, &message);
        }
        bytes(&mut self.out, 4, &out);
        id
    }

    /// The number of a `Function`, which is written when it comes first.
    fn function(&mut self, function: Function) -> u64 {
        let (id, is_new) = self.functions.number(function.clone());
        if is_new {
            let mut out = Vec::new();
            number(&mut out, 1, id);
            for (field, text) in [(2, function.name), (3, function.system_name), (4, function.file)] {
                number(&mut out, field, self.string(&text));
            }
            bytes(&mut self.out, 5, &out);
        }
        id
    }

    /// `Mapping`
    fn mapping(&mut self, at: usize, mapping: &Mapping) {
        let mut out = Vec::new();
        let fields =
            [at as u64 + 1, mapping.start as u64, mapping.end as u64, mapping.offset, self.string(&mapping.file)];
        (1..).zip(fields).for_each(|(field, value)| number(&mut out, field, value));
        // Else pprof's tool looks for the file and asks for the names.
        number(&mut out, 7, u64::from(self.named[at]));
        bytes(&mut self.out, 3, &out);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn bytes_of_a_profile() {
        let mut profile = Profile::new(&[("a", "count")]);
        let named = |name: &str| Frame::Named(name.to_owned());
        profile.samples = vec![
            Sample { frames: vec![named("f"), named("g")], values: vec![300] },
            Sample { frames: vec![named("g")], values: vec![-1] },
        ];
        profile.period = Some((("a", "count"), 1));
        let encoded = profile.encode(&[]).unwrap();
        let mut message = Vec::new();
        flate2::read::GzDecoder::new(encoded.as_slice()).read_to_end(&mut message).unwrap();
        let expected: &[&[u8]] = &[
            b"\x0a\x04\x08\x01\x10\x02",
            // Functions and locations of the first sample, and the sample.
            b"\x2a\x08\x08\x01\x10\x03\x18\x00\x20\x00",
            b"\x22\x08\x08\x01\x22\x04\x08\x01\x10\x00",
            b"\x2a\x08\x08\x02\x10\x04\x18\x00\x20\x00",
            b"\x22\x08\x08\x02\x22\x04\x08\x02\x10\x00",
            b"\x12\x08\x0a\x02\x01\x02\x12\x02\xac\x02",
            b"\x12\x0f\x0a\x01\x02\x12\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x48\x00\x50\x00",
            b"\x5a\x04\x08\x01\x10\x02\x60\x01",
            b"\x32\x00\x32\x01a\x32\x05count\x32\x01f\x32\x01g",
        ];
        assert_eq!(message, expected.concat());
    }

    #[test]
    fn code_has_a_mapping_and_names() {
        let here = code_has_a_mapping_and_names as fn() as usize;
        let mappings = Mapping::all().unwrap();
        let mut message = Message::new(&mappings);
        let id = message.location(&Frame::Code(here));
        assert_eq!((id, message.location(&Frame::Code(here))), (1, 1));
        assert_eq!(message.named.iter().filter(|named| **named).count(), 1);
        assert!(message.functions.0.keys().any(|function| function.name.ends_with("code_has_a_mapping_and_names")));
    }
}
