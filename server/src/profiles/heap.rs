//! Allocations by stack, as jemalloc samples them: one for every 512 KiB on average, as in Go.
//!
//! Sampling is compiled in and switched off ([`CONF`]): until someone asks, an allocation tests a flag. Who wants to see what was
//! allocated since the start sets `MALLOC_CONF=prof_active:true` in the environment, which jemalloc reads itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _};
use std::os::fd::AsRawFd as _;

use rustix::fs::{MemfdFlags, memfd_create};
use tikv_jemalloc_ctl::raw;

use super::Turn;
use super::profile::{Frame, Profile, Sample};

/// What the allocator is told at the start. `prof_accum` counts also what was freed again.
pub(crate) const CONF: &[u8; 62] = b"prof:true,prof_active:false,prof_accum:true,lg_prof_sample:19\0";

/// The functions of the allocator, which stand innermost in every stack.
const ALLOCATOR: &str = "(_rjem_|je_|prof_|imalloc|arena_|irallocx|ialloc).*|(malloc|calloc|realloc|memalign|aligned_alloc|\
                         posix_memalign|mallocx|rallocx|__rust_.*alloc.*|__rustc::__rust_.*alloc.*|operator new.*)";

/// What was sampled at one stack: objects and bytes, scaled to what was allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    allocated: [f64; 2],
    in_use: [f64; 2],
}

type Stacks = HashMap<Vec<usize>, Counts>;

/// Samples allocations until it is dropped, unless that is done from the start on.
#[derive(Debug)]
pub(crate) struct Heap {
    before: Stacks,
    /// Was it already sampling?
    always: bool,
    /// Dropped last.
    _turn: Turn,
}

impl Heap {
    /// Begins to sample. Where that is done since the start, `since_now` leaves out what was sampled before.
    ///
    /// # Errors
    /// When the allocator cannot sample: it was told not to by the environment.
    pub(crate) fn start(turn: Turn, since_now: bool) -> io::Result<Self> {
        if !read::<bool>("opt.prof\0")? {
            let why = "heap profiles are switched off by MALLOC_CONF in the environment (prof:false)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let always: bool = read("opt.prof_active\0")?;
        if !always {
            write("prof.active\0", true)?;
        }
        // From here on dropping it ends what was begun.
        let mut heap = Self { before: Stacks::new(), always, _turn: turn };
        if always && since_now {
            heap.before = dump()?;
        }
        Ok(heap)
    }

    /// Are allocations sampled since the start of the process?
    pub(crate) fn knows_the_past(&self) -> bool {
        self.always
    }

    /// Ends it. What was allocated, as a profile.
    pub(crate) fn end(self) -> io::Result<Profile> {
        let mut stacks = dump()?;
        for (stack, before) in &self.before {
            if let Some(counts) = stacks.get_mut(stack) {
                counts.take(before);
            }
        }
        let always = self.always;
        drop(self);
        Ok(profile(stacks, always, 1 << read::<usize>("opt.lg_prof_sample\0")?))
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        if self.always {
            return;
        }
        // Also what was noted is given back.
        let ended = write("prof.active\0", false)
            .and_then(|()| read::<usize>("opt.lg_prof_sample\0"))
            .and_then(|lg_sample| write("prof.reset\0", lg_sample));
        if let Err(error) = ended {
            tracing::error!(%error, "cannot end the sampling of allocations");
        }
    }
}

impl Counts {
    /// Takes off what was there before.
    fn take(&mut self, before: &Self) {
        let sides = [(&mut self.allocated, &before.allocated), (&mut self.in_use, &before.in_use)];
        for (counts, before) in sides {
            counts.iter_mut().zip(before).for_each(|(count, before)| *count -= before);
        }
    }
}

fn profile(stacks: Stacks, always: bool, period: i64) -> Profile {
    let kinds =
        [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];
    let mut profile = Profile::new(&kinds);
    profile.period = Some((("space", "bytes"), period));
    profile.dropped_frames = ALLOCATOR;
    let sample = |(stack, counts): (Vec<usize>, Counts)| {
        #[expect(clippy::cast_possible_truncation, reason = "counts and bytes, far below 2^63")]
        let values = counts.allocated.iter().chain(&counts.in_use).map(|count| count.round() as i64);
        // All are the addresses after a call.
        Sample { frames: stack.into_iter().map(|ip| Frame::Code(ip - 1)).collect(), values: values.collect() }
    };
    profile.samples = stacks.into_iter().map(sample).collect();
    if !always {
        let what = "only what was allocated while the profile was taken; MALLOC_CONF=prof_active:true in the environment \
                    samples from the start on";
        profile.comments.push(what.to_owned());
    }
    profile
}

/// What the allocator has sampled. Its file lies in memory: where Weft runs, it may have no disk to write to.
fn dump() -> io::Result<Stacks> {
    let mut file = File::from(memfd_create("heap", MemfdFlags::CLOEXEC)?);
    let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
    write("prof.dump\0", path.as_ptr().cast::<libc::c_char>())?;
    file.rewind()?;
    parse(BufReader::new(file))
}

/// Reads `heap_v2`: the average distance of samples, then of each stack its addresses and, by thread and summed up (`t*`), its
/// counts: `t*: 2: 1048576 [3: 1572864]`.
fn parse(text: impl BufRead) -> io::Result<Stacks> {
    let fault =
        |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("heap profile of the allocator: {what}"));
    let mut lines = text.lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let distance: f64 =
        head.strip_prefix("heap_v2/").and_then(|n| n.parse().ok()).ok_or_else(|| fault("not heap_v2"))?;
    let (mut stacks, mut stack) = (Stacks::new(), None);
    for line in lines {
        let line = line?;
        if line.starts_with("MAPPED_LIBRARIES") {
            break;
        }
        if let Some(addresses) = line.strip_prefix('@') {
            let hex = |word: &str| usize::from_str_radix(word.trim_start_matches("0x"), 16).ok().filter(|ip| *ip > 0);
            let addresses: Option<Vec<_>> = addresses.split_ascii_whitespace().map(hex).collect();
            stack = Some(addresses.ok_or_else(|| fault("a stack that is none"))?);
        } else if let Some(sum) = line.trim_start().strip_prefix("t*:")
            // The first of them is that of all stacks.
            && let Some(stack) = stack.take()
        {
            let numbers = sum.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
            let numbers: Vec<f64> = numbers.filter_map(|word| word.parse().ok()).collect();
            let &[in_use, in_use_bytes, all, all_bytes] = numbers.as_slice() else { return Err(fault("counts")) };
            let in_use = scaled(in_use, in_use_bytes, distance);
            stacks.insert(stack, Counts { allocated: scaled(all, all_bytes, distance), in_use });
        }
    }
    Ok(stacks)
}

/// Estimates of all objects and bytes from those that were sampled. An allocation is sampled with the probability 1 - exp(-size/distance).
fn scaled(objects: f64, bytes: f64, distance: f64) -> [f64; 2] {
    if objects == 0.0 {
        return [0.0; 2];
    }
    let scale = 1.0 / (1.0 - (-(bytes / objects) / distance).exp());
    [objects * scale, bytes * scale]
}

/// A value of the allocator's; the name ends with a zero.
fn read<T: Plain>(name: &'static str) -> io::Result<T> {
    #[expect(unsafe_code, reason = "the allocator is asked by name")]
    // SAFETY: the type is that of the name: `opt.lg_prof_sample` a `size_t`, the others `bool`.
    let value = unsafe { raw::read(name.as_bytes()) };
    value.map_err(|error| io::Error::other(format!("jemalloc: {}: {error}", name.trim_end_matches('\0'))))
}

fn write<T: Plain>(name: &'static str, value: T) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the allocator is told by name")]
    // SAFETY: the type is that of the name: `prof.active` a `bool`, `prof.reset` a `size_t`, `prof.dump` a path that ends with a
    // zero and lives as long as the call.
    let result = unsafe { raw::write(name.as_bytes(), value) };
    result.map_err(|error| io::Error::other(format!("jemalloc: {}: {error}", name.trim_end_matches('\0'))))
}

/// What the allocator reads and writes here.
trait Plain: Copy {}
impl Plain for bool {}
impl Plain for usize {}
impl Plain for *const libc::c_char {}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "heap_v2/524288\n  t*: 3: 2097152 [4: 3145728]\n  t1: 3: 2097152 [4: 3145728]\n\
                        @ 0x10 0x20\n  t*: 2: 1048576 [3: 1572864]\n  t1: 2: 1048576 [3: 1572864]\n\
                        @ 0x30\n  t*: 0: 0 [1: 1048576]\n\nMAPPED_LIBRARIES:\n7f00-7f80 r-xp 0 08:01 42 /a\n";

    #[test]
    fn counts_are_scaled_by_stack() {
        let mut stacks = parse(DUMP.as_bytes()).unwrap();
        let scale = 1.0 / (1.0 - (-1.0_f64).exp());
        let first =
            Counts { in_use: [2.0 * scale, 1_048_576.0 * scale], allocated: [3.0 * scale, 1_572_864.0 * scale] };
        assert_eq!((stacks.len(), stacks[&vec![0x10, 0x20]]), (2, first));
        assert_eq!(stacks[&vec![0x30]].in_use, [0.0; 2]);
        let before = stacks.clone();
        for (stack, counts) in &mut stacks {
            counts.take(&before[stack]);
        }
        assert!(stacks.values().all(|counts| *counts == Counts::default()));
        let sampled = profile(HashMap::from([(vec![0x11], first)]), false, 524_288);
        let values = vec![5, 2_488_234, 3, 1_658_823];
        assert_eq!(sampled.samples, [Sample { frames: vec![Frame::Code(0x10)], values }]);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        for text in ["", "heap_v1/2", "heap_v2/1\n@ 0xzz", "heap_v2/1\n@ 0x1\n t*: 1: 2"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
