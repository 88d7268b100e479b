//! The chunks of a block, in files of up to 512 MiB (upstream: `tsdb/docs/format/chunks.md`).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::bytes::Bytes;
use crate::chunk::{self, Samples};
use crate::error::Broken;
use crate::index::ChunkRef;

pub(crate) const MAGIC: u32 = 0x85bd_40dd;
pub(crate) const VERSION: u8 = 1;
/// Chunks of one series stand one behind the other: so much behind the last one of which the beginning is known.
const BYTES_BEHIND: u64 = 2048;
/// Longer chunks than this are no chunks.
const CHUNK_BYTES_MAX: usize = 1 << 26;

/// One of the files, which are closed and do not grow.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// The files, in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Segments {
    files: Vec<Segment>,
    /// What was read last.
    buffer: Vec<u8>,
}

impl Segments {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(folder).map_err(Error::read(folder))?;
        let is_segment = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_segment).collect();
        paths.sort();
        let open = |path: PathBuf| {
            let file = File::open(&path).map_err(Error::read(&path))?;
            let mut head = [0; 5];
            file.read_exact_at(&mut head, 0).map_err(Error::read(&path))?;
            let [magic @ .., version] = head;
            if u32::from_be_bytes(magic) != MAGIC {
                return Err(Error::damaged(&path, "it does not begin as a file of chunks does"));
            }
            if version != VERSION {
                return Err(Error::Version { path, version, known: VERSION });
            }
            let bytes = file.metadata().map_err(Error::read(&path))?.len();
            Ok(Segment { path, file, bytes })
        };
        let files = paths.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { files, buffer: Vec::new() })
    }

    /// Decodes chunks of one series, which stand in the order given; `damaged` hears of each that cannot be.
    pub(crate) fn read(
        &mut self,
        chunks: &[ChunkRef],
        samples: &mut Samples,
        damaged: &mut dyn FnMut(Error),
    ) -> Result<(), Error> {
        for run in chunks.chunk_by(|a, b| a.segment == b.segment && a.offset < b.offset) {
            let Self { files, buffer } = self;
            let Some(segment) = files.get(run[0].segment as usize) else {
                damaged(Error::damaged(Path::new("chunks"), format!("segment {} is missing", run[0].segment + 1)));
                continue;
            };
            let (first, last) = (u64::from(run[0].offset), u64::from(run[run.len() - 1].offset));
            segment.fill(first, (last - first + BYTES_BEHIND) as usize, buffer)?;
            for chunk in run {
                let from = (chunk.offset - run[0].offset) as usize;
                let decoded = match bytes_of(&buffer[from.min(buffer.len())..]) {
                    Ok(Some(chunk)) => decode(chunk, samples),
                    // The last one, longer than most.
                    Ok(None) => {
                        let mut own = Vec::new();
                        segment.fill(u64::from(chunk.offset), CHUNK_BYTES_MAX, &mut own)?;
                        match bytes_of(&own) {
                            Ok(Some(chunk)) => decode(chunk, samples),
                            Ok(None) => Err("it ends beyond its file"),
                            Err(why) => Err(why),
                        }
                    }
                    Err(why) => Err(why),
                };
                if let Err(why) = decoded {
                    damaged(Error::damaged(&segment.path, format!("the chunk at {}: {why}", chunk.offset)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Segments {
    pub(crate) fn refuse_reads(&mut self) {
        for segment in &mut self.files {
            // A file that is open for writing only cannot be read.
            segment.file = File::options().append(true).open(&segment.path).unwrap();
        }
    }
}

impl Segment {
    /// Reads so many bytes, or as many as there are.
    fn fill(&self, at: u64, bytes: usize, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let left = self.bytes.saturating_sub(at);
        buffer.resize(bytes.min(usize::try_from(left).unwrap_or(usize::MAX)), 0);
        self.file.read_exact_at(buffer, at).map_err(Error::read(&self.path))
    }
}

/// The encoding and the data of a chunk, with their checksum, that begins with its length; `None` if there is more of it.
fn bytes_of(bytes: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let mut rest = Bytes(bytes);
    let Ok(length) = rest.uvarint() else { return Ok(None) };
    let length =
        usize::try_from(length).ok().filter(|length| *length < CHUNK_BYTES_MAX).ok_or("its length is wrong")?;
    Ok(rest.0.get(..1 + length + 4))
}

fn decode(chunk: &[u8], samples: &mut Samples) -> Result<(), Broken> {
    let (encoding, data) = crate::index::checked(chunk)?.split_first().ok_or("it is empty")?;
    chunk::decode(*encoding, data, samples)
}
