//! The index of a block, written (upstream: `tsdb/docs/format/index.md`; `index` reads it).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use model::Labels;

use crate::Error;
use crate::chunk::Chunk;
use crate::index::{ALIGNMENT, MAGIC, VERSION};

/// Writes series in the order of their labels, and remembers which have which label.
#[derive(Debug)]
pub(super) struct IndexWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    /// Numbers of texts, in the order of the texts.
    symbols: HashMap<String, u32, foldhash::fast::RandomState>,
    /// Where the section of series begins.
    series: u64,
    /// All series, by their numbers.
    all: Vec<u32>,
    /// Those with a label, by the symbols of its name and its value.
    postings: BTreeMap<(u32, u32), Vec<u32>>,
}

/// Where the symbols stand: behind the head.
const SYMBOLS: u64 = 5;

impl IndexWriter {
    /// Begins an index whose labels are made of these texts.
    pub(super) fn create(path: &Path, symbols: &BTreeSet<&str>) -> Result<Self, Error> {
        let file = BufWriter::new(File::create(path).map_err(Error::write(path))?);
        let numbers = (0..).zip(symbols).map(|(number, text)| ((*text).to_owned(), number)).collect();
        let (all, postings) = (Vec::new(), BTreeMap::new());
        let mut writer = Self { path: path.to_owned(), file, at: 0, symbols: numbers, series: 0, all, postings };
        let mut head = MAGIC.to_be_bytes().to_vec();
        head.push(VERSION);
        writer.write(&head)?;
        let mut section = (symbols.len() as u32).to_be_bytes().to_vec();
        for text in symbols {
            push_text(&mut section, text);
        }
        writer.section(&section)?;
        writer.align(ALIGNMENT)?;
        writer.series = writer.at;
        Ok(writer)
    }

    /// Writes a series, whose chunks stand at these places.
    pub(super) fn series(&mut self, labels: &Labels, chunks: &[Chunk], places: &[u64]) -> Result<(), Error> {
        self.align(ALIGNMENT)?;
        let number = u32::try_from(self.at / ALIGNMENT).map_err(|_| self.too_long())?;
        let mut entry = Vec::new();
        push_uvarint(&mut entry, labels.len() as u64);
        for (name, value) in labels.iter() {
            let symbols = [name, value].map(|text| self.symbols.get(text).copied());
            let [Some(name), Some(value)] = symbols else {
                return Err(Error::damaged(&self.path, "a series came while the block was written: export again"));
            };
            push_uvarint(&mut entry, u64::from(name));
            push_uvarint(&mut entry, u64::from(value));
            self.postings.entry((name, value)).or_default().push(number);
        }
        self.all.push(number);
        push_uvarint(&mut entry, chunks.len() as u64);
        let (mut end, mut before) = (None, 0);
        for (chunk, place) in chunks.iter().zip(places) {
            match end {
                None => {
                    push_varint(&mut entry, chunk.start.0);
                    push_span(&mut entry, chunk.start.0, chunk.end.0);
                    push_uvarint(&mut entry, *place);
                }
                Some(end) => {
                    push_span(&mut entry, end, chunk.start.0);
                    push_span(&mut entry, chunk.start.0, chunk.end.0);
                    push_varint(&mut entry, place.wrapping_sub(before).cast_signed());
                }
            }
            (end, before) = (Some(chunk.end.0), *place);
        }
        let mut length = Vec::new();
        push_uvarint(&mut length, entry.len() as u64);
        self.write(&length)?;
        self.summed(&entry)
    }

    /// Writes who has which label, and where all that is.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        self.align(4)?;
        let postings = self.at;
        let texts = self.texts();
        let mut table = Vec::new();
        let mut lists = vec![(("", ""), std::mem::take(&mut self.all))];
        let by_label = std::mem::take(&mut self.postings);
        lists.extend(
            by_label.into_iter().map(|((name, value), list)| ((&*texts[name as usize], &*texts[value as usize]), list)),
        );
        let n = lists.len() as u32;
        for ((name, value), list) in lists {
            self.align(4)?;
            push_uvarint(&mut table, 2);
            push_text(&mut table, name);
            push_text(&mut table, value);
            push_uvarint(&mut table, self.at);
            let numbers = list.iter().flat_map(|number| number.to_be_bytes());
            let section: Vec<u8> = (list.len() as u32).to_be_bytes().into_iter().chain(numbers).collect();
            self.section(&section)?;
        }
        self.align(4)?;
        let offsets = self.at;
        let table = [&n.to_be_bytes()[..], &table].concat();
        self.section(&table)?;
        // Nothing reads indices of labels any more.
        let toc = [SYMBOLS, self.series, 0, 0, postings, offsets].map(u64::to_be_bytes).concat();
        self.summed(&toc)?;
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(Error::write(&self.path))
    }

    /// The texts by their numbers.
    fn texts(&mut self) -> Vec<String> {
        let mut texts: Vec<(String, u32)> = std::mem::take(&mut self.symbols).into_iter().collect();
        texts.sort_unstable_by_key(|(_, number)| *number);
        texts.into_iter().map(|(text, _)| text).collect()
    }

    fn too_long(&self) -> Error {
        Error::damaged(&self.path, "there are more series than an index can hold: export a shorter time")
    }

    /// Content behind its length, with a checksum.
    fn section(&mut self, content: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(content.len()).map_err(|_| self.too_long())?;
        self.write(&length.to_be_bytes())?;
        self.summed(content)
    }

    fn summed(&mut self, content: &[u8]) -> Result<(), Error> {
        self.write(content)?;
        self.write(&crc32c::crc32c(content).to_be_bytes())
    }

    fn align(&mut self, to: u64) -> Result<(), Error> {
        let zeros = [0; ALIGNMENT as usize];
        let missing = self.at.next_multiple_of(to) - self.at;
        self.write(&zeros[..missing as usize])
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(Error::write(&self.path))
    }
}

pub(super) fn push_uvarint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn push_varint(into: &mut Vec<u8>, number: i64) {
    push_uvarint(into, (number << 1 ^ number >> 63).cast_unsigned());
}

/// How long it is from one time to another.
fn push_span(into: &mut Vec<u8>, from: i64, to: i64) {
    push_uvarint(into, to.wrapping_sub(from).cast_unsigned());
}

fn push_text(into: &mut Vec<u8>, text: &str) {
    push_uvarint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}
