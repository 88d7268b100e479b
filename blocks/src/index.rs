//! The index of a block: which series it has, and where their chunks are (upstream: `tsdb/docs/format/index.md`).
//!
//! Symbols are kept in memory; series are read where they stand.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::{Labels, Timestamp};

use crate::Error;
use crate::bytes::Bytes;
use crate::error::Broken;

pub(crate) const MAGIC: u32 = 0xbaaa_d700;
pub(crate) const VERSION: u8 = 2;
/// Where the six sections begin, and a checksum.
const TOC_BYTES: u64 = 6 * 8 + 4;
pub(crate) const ALIGNMENT: u64 = 16;
/// Longer series than this are no series.
const SERIES_BYTES_MAX: u64 = 1 << 28;
/// So much is read for a series at once; most are shorter.
const SERIES_BYTES: usize = 1024;

/// The number of a series, as tombstones have it, by where it stands.
pub(crate) fn number(at: u64) -> u64 {
    at / ALIGNMENT
}

/// An index that was opened.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    file: File,
    symbols: Symbols,
    /// The series section.
    series: (u64, u64),
}

/// Texts by their number.
#[derive(Debug)]
struct Symbols {
    text: String,
    /// Where each ends; they stand one behind the other.
    ends: Vec<u32>,
}

/// Where a chunk is, and the times of its first and last sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The number of its segment, from 0.
    pub(crate) segment: u32,
    /// Its first byte there.
    pub(crate) offset: u32,
}

/// A series as it is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Where it stands in the index.
    pub(crate) at: u64,
    pub(crate) labels: Labels,
    /// How many chunks it has.
    pub(crate) chunks: usize,
}

/// A series of a block.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) chunks: Vec<ChunkRef>,
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::read(path))?;
        let bytes = file.metadata().map_err(Error::read(path))?.len();
        let mut head = [0; 5];
        file.read_exact_at(&mut head, 0).map_err(Error::read(path))?;
        let [magic @ .., version] = head;
        if u32::from_be_bytes(magic) != MAGIC {
            return Err(Error::damaged(path, "it does not begin as an index does"));
        }
        if version != VERSION {
            return Err(Error::Version { path: path.to_owned(), version, known: VERSION });
        }
        let broken = |why: Broken| Error::damaged(path, format!("its table of contents: {why}"));
        let at = bytes.checked_sub(TOC_BYTES).ok_or_else(|| broken("the file is too short"))?;
        let mut toc = [0; TOC_BYTES as usize];
        file.read_exact_at(&mut toc, at).map_err(Error::read(path))?;
        let sections = sections(&toc).map_err(broken)?;
        let [symbols, series, ..] = sections;
        // The section ends where another begins.
        let end = sections.into_iter().chain([at]).filter(|other| *other > series).min().unwrap_or(at);
        let symbols = section(&file, path, symbols)?;
        let symbols = Symbols::read(&symbols).map_err(|why| Error::damaged(path, format!("its symbols: {why}")))?;
        Ok(Self { path: path.to_owned(), file, symbols, series: (series, end) })
    }

    /// Hands out each series, in the order of the file; of one that is damaged the reason.
    pub(crate) fn each(&self, take: &mut dyn FnMut(Result<Listed, Error>)) -> Result<(), Error> {
        let (mut at, end) = self.series;
        if at == 0 {
            return Ok(());
        }
        let mut reader = BufReader::with_capacity(1 << 18, &self.file);
        reader.seek(SeekFrom::Start(at)).map_err(Error::read(&self.path))?;
        let mut entry = Vec::new();
        loop {
            let aligned = at.next_multiple_of(ALIGNMENT);
            if aligned >= end {
                return Ok(());
            }
            skip(&mut reader, aligned - at).map_err(Error::read(&self.path))?;
            at = aligned;
            let (bytes, of_length) = length(&mut reader).map_err(Error::read(&self.path))?;
            if bytes == 0 {
                // Zeros behind the last series.
                at += of_length;
                continue;
            }
            if at + bytes > end {
                let why = format!("a series of {bytes} bytes at {at} reaches beyond its section");
                return Err(Error::damaged(&self.path, why));
            }
            entry.resize(bytes as usize + 4, 0);
            reader.read_exact(&mut entry).map_err(Error::read(&self.path))?;
            let listed = checked(&entry).and_then(|entry| {
                let mut entry = Bytes(entry);
                Ok(Listed { at, labels: self.labels(&mut entry)?, chunks: entry.count()? })
            });
            take(listed.map_err(|why| Error::damaged(&self.path, format!("the series at {at}: {why}"))));
            at += of_length + bytes + 4;
        }
    }

    /// The series that stands at a place that [`Index::each`] has named.
    pub(crate) fn series(&self, at: u64) -> Result<Series, Error> {
        let mut entry = vec![0; SERIES_BYTES];
        let n = read_at_most(&self.file, &mut entry, at).map_err(Error::read(&self.path))?;
        let broken = |why: Broken| Error::damaged(&self.path, format!("the series at {at}: {why}"));
        let mut rest = Bytes(&entry[..n]);
        let bytes = rest.uvarint().map_err(broken)?.min(SERIES_BYTES_MAX) as usize + 4;
        let of_length = n - rest.0.len();
        if of_length + bytes > n {
            entry.resize(of_length + bytes, 0);
            self.file.read_exact_at(&mut entry, at).map_err(Error::read(&self.path))?;
        }
        checked(&entry[of_length..of_length + bytes]).and_then(|entry| self.read_series(entry)).map_err(broken)
    }

    fn read_series(&self, entry: &[u8]) -> Result<Series, Broken> {
        let mut entry = Bytes(entry);
        let labels = self.labels(&mut entry)?;
        Ok(Series { labels, chunks: chunks(&mut entry)? })
    }

    fn labels(&self, entry: &mut Bytes<'_>) -> Result<Labels, Broken> {
        let n = entry.count()?;
        let pairs = (0..n).map(|_| Ok((self.symbols.get(entry.uvarint()?)?, self.symbols.get(entry.uvarint()?)?)));
        let pairs = pairs.collect::<Result<Vec<_>, Broken>>()?;
        if !pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err("its labels are not in order");
        }
        Ok(Labels::from_sorted(pairs))
    }
}

/// Where the sections begin: symbols, series, four that are not read.
fn sections(toc: &[u8]) -> Result<[u64; 6], Broken> {
    let mut toc = Bytes(checked(toc)?);
    let mut sections = [0; 6];
    for section in &mut sections {
        *section = toc.be64()?;
    }
    Ok(sections)
}

/// The content of what a checksum stands behind.
pub(crate) fn checked(bytes: &[u8]) -> Result<&[u8], Broken> {
    let (content, sum) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
    if crc32c::crc32c(content) == u32::from_be_bytes(*sum) { Ok(content) } else { Err("its checksum is wrong") }
}

/// A section behind its length of four bytes.
fn section(file: &File, path: &Path, at: u64) -> Result<Vec<u8>, Error> {
    if at == 0 {
        return Ok(Vec::new());
    }
    let mut length = [0; 4];
    file.read_exact_at(&mut length, at).map_err(Error::read(path))?;
    let bytes = u64::from(u32::from_be_bytes(length));
    let all = file.metadata().map_err(Error::read(path))?.len();
    if at + 4 + bytes + 4 > all {
        return Err(Error::damaged(path, format!("the section at {at} reaches beyond the end")));
    }
    let mut section = vec![0; bytes as usize + 4];
    file.read_exact_at(&mut section, at + 4).map_err(Error::read(path))?;
    checked(&section).map_err(|why| Error::damaged(path, format!("the section at {at}: {why}")))?;
    section.truncate(bytes as usize);
    Ok(section)
}

fn read_at_most(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], at + read as u64)? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

fn skip(reader: &mut impl Read, bytes: u64) -> std::io::Result<()> {
    std::io::copy(&mut reader.take(bytes), &mut std::io::sink()).map(drop)
}

/// A length, and how many bytes it takes.
fn length(reader: &mut impl Read) -> std::io::Result<(u64, u64)> {
    let (mut number, mut byte) = (0u64, [0]);
    for i in 0..9 {
        reader.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << (7 * i);
        if byte[0] < 0x80 {
            return Ok((number, i + 1));
        }
    }
    // More than any file holds, which is told as such.
    Ok((u64::MAX >> 1, 9))
}

fn chunks(entry: &mut Bytes<'_>) -> Result<Vec<ChunkRef>, Broken> {
    let n = entry.count()?;
    let mut chunks = Vec::with_capacity(n);
    let (mut end, mut place) = (0i64, 0u64);
    for i in 0..n {
        let start = if i == 0 { entry.varint()? } else { end.wrapping_add(entry.uvarint()?.cast_signed()) };
        end = start.wrapping_add(entry.uvarint()?.cast_signed());
        place = if i == 0 { entry.uvarint()? } else { place.wrapping_add_signed(entry.varint()?) };
        let (segment, offset) = ((place >> 32) as u32, place as u32);
        chunks.push(ChunkRef { start: Timestamp(start), end: Timestamp(end), segment, offset });
    }
    Ok(chunks)
}

impl Symbols {
    fn read(section: &[u8]) -> Result<Self, Broken> {
        let (mut text, mut ends) = (String::new(), Vec::new());
        let mut section = Bytes(section);
        if section.is_empty() {
            return Ok(Self { text, ends });
        }
        for _ in 0..section.be32()? {
            text.push_str(section.text()?);
            ends.push(u32::try_from(text.len()).map_err(|_| "they are longer than 4 GiB")?);
        }
        Ok(Self { text, ends })
    }

    fn get(&self, number: u64) -> Result<&str, Broken> {
        let number = number as usize;
        let end = self.ends.get(number).ok_or("a symbol does not exist")?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Ok(&self.text[start as usize..*end as usize])
    }
}
