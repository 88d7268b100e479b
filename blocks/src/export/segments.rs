//! The chunks of a block, written.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::chunk::Chunk;
use crate::segments::{MAGIC, VERSION};

/// As upstream cuts them (`chunks.DefaultChunkSegmentSize`).
const SEGMENT_BYTES: u64 = 512 << 20;

/// Writes chunks one behind the other.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    folder: PathBuf,
    file: BufWriter<File>,
    /// The number of the segment, from 1, and its length.
    at: (u32, u64),
    /// Of all that was written.
    sum: u32,
}

impl SegmentWriter {
    pub(super) fn create(folder: &Path) -> Result<Self, Error> {
        let (file, bytes) = begun(folder, 1)?;
        Ok(Self { folder: folder.to_owned(), file, at: (1, bytes), sum: 0 })
    }

    /// Writes a chunk; where it stands, as the index refers to it.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<u64, Error> {
        let mut entry = Vec::with_capacity(chunk.data.len() + 10);
        super::index::push_uvarint(&mut entry, chunk.data.len() as u64);
        let from = entry.len();
        entry.push(chunk.encoding);
        entry.extend_from_slice(&chunk.data);
        let sum = crc32c::crc32c(&entry[from..]);
        entry.extend_from_slice(&sum.to_be_bytes());
        if self.at.1 + entry.len() as u64 > SEGMENT_BYTES {
            self.file.flush().map_err(Error::write(&self.folder))?;
            let (file, bytes) = begun(&self.folder, self.at.0 + 1)?;
            (self.file, self.at) = (file, (self.at.0 + 1, bytes));
        }
        self.file.write_all(&entry).map_err(Error::write(&self.folder))?;
        self.sum = crc32c::crc32c_append(self.sum, &entry);
        let place = u64::from(self.at.0 - 1) << 32 | self.at.1;
        self.at.1 += entry.len() as u64;
        Ok(place)
    }

    /// Ends the files; a checksum of what was written.
    pub(super) fn finish(mut self) -> Result<u32, Error> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(Error::write(&self.folder))?;
        Ok(self.sum)
    }
}

fn begun(folder: &Path, number: u32) -> Result<(BufWriter<File>, u64), Error> {
    let path = folder.join(format!("{number:06}"));
    let mut file = BufWriter::new(File::create(&path).map_err(Error::write(&path))?);
    let mut head = MAGIC.to_be_bytes().to_vec();
    head.extend([VERSION, 0, 0, 0]);
    file.write_all(&head).map_err(Error::write(&path))?;
    Ok((file, head.len() as u64))
}
