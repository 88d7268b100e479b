//! Samples stacks by CPU time: `ITIMER_PROF` sends SIGPROF for every 10 ms that the process computes, to a thread that does.
//!
//! The signal handler allocates nothing, takes no lock and waits for nothing. It writes to one of two buffers, the other of which
//! is read meanwhile; memory is bounded however long and on however many cores it samples.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Turn;
use super::profile::{Frame, Profile, Sample};
use super::symbols::Mapping;

/// CPU time between two samples, as in Go.
const PERIOD: Duration = Duration::from_millis(10);
/// How often the buffers are exchanged. Until then, one takes what 200 busy cores write.
const DRAIN_EVERY: Duration = Duration::from_millis(100);
const BUFFER_WORDS: usize = 1 << 17;
/// Frames of a stack that are kept: the innermost ones.
const DEPTH_MAX: usize = 128;
/// Different stacks that are counted.
const STACKS_MAX: usize = 50_000;

/// Samples from its start until it is dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    buffers: Arc<Buffers>,
    signal: signal_hook_registry::SigId,
    stacks: HashMap<Box<[usize]>, u64>,
    /// Dropped last.
    _turn: Turn,
}

impl Sampler {
    /// # Errors
    /// When stacks cannot be walked in a signal handler on this system.
    pub(crate) fn start(turn: Turn) -> io::Result<Self> {
        if !walks_without_locks() {
            let why = "CPU profiles need glibc 2.35 or newer, by which a signal handler can walk stacks without locks";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let buffers = Arc::new(Buffers::new());
        let of_handler = Arc::clone(&buffers);
        #[expect(unsafe_code, reason = "a signal handler")]
        // SAFETY: `Buffers::note` is async-signal-safe, as its documentation argues.
        let signal = unsafe { signal_hook_registry::register(libc::SIGPROF, move || of_handler.note()) }?;
        let sampler = Self { buffers, signal, stacks: HashMap::new(), _turn: turn };
        // From here on dropping it ends what was begun.
        set_timer(PERIOD)?;
        Ok(sampler)
    }

    /// Samples for a while.
    pub(crate) async fn run(&mut self, mut time: Duration) {
        while !time.is_zero() {
            let step = time.min(DRAIN_EVERY);
            tokio::time::sleep(step).await;
            self.drain();
            time -= step;
        }
    }

    fn drain(&mut self) {
        let Self { buffers, stacks, .. } = self;
        buffers.drain(|stack| {
            if let Some(count) = stacks.get_mut(stack) {
                *count += 1;
            } else if stacks.len() < STACKS_MAX {
                stacks.insert(stack.into(), 1);
            } else {
                buffers.lost.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Ends it. What was sampled, as a profile.
    pub(crate) fn end(mut self, mappings: &[Mapping]) -> Profile {
        self.drain();
        let lost = self.buffers.lost.load(Ordering::Relaxed);
        let stacks = std::mem::take(&mut self.stacks);
        drop(self);
        let period = i64::try_from(PERIOD.as_nanos()).unwrap_or(i64::MAX);
        let sample = |(stack, count): (Box<[usize]>, u64)| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let frames = interrupted(&stack, mappings);
            // Of the innermost frame it is the address of an instruction, of the others that after a call.
            let frames = frames.iter().enumerate().map(|(depth, ip)| Frame::Code(ip - usize::from(depth > 0)));
            Sample { frames: frames.collect(), values: vec![count, count.saturating_mul(period)] }
        };
        let mut profile = Profile::new(&[("samples", "count"), ("cpu", "nanoseconds")]);
        profile.period = Some((("cpu", "nanoseconds"), period));
        profile.samples = stacks.into_iter().map(sample).collect();
        if lost > 0 {
            profile
                .comments
                .push(format!("{lost} samples were lost: the buffer was full, or there were too many stacks"));
        }
        profile
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // A signal that is on its way finds a handler that does nothing: that of the crate stays.
        if let Err(error) = set_timer(Duration::ZERO) {
            tracing::error!(%error, "cannot stop the timer of CPU profiles");
        }
        signal_hook_registry::unregister(self.signal);
    }
}

/// The frames of what was interrupted: those behind the trampoline from which the handler was called, which lies in another file
/// (libc, or the vDSO) than the handler.
fn interrupted<'a>(stack: &'a [usize], mappings: &[Mapping]) -> &'a [usize] {
    let file = |ip: &usize| mappings.iter().position(|mapping| mapping.contains(ip - 1));
    let handler = stack.first().and_then(file);
    match stack.iter().position(|ip| file(ip) != handler) {
        Some(trampoline) => &stack[trampoline + 1..],
        None => stack,
    }
}

/// Two buffers: one takes samples while the other is read.
#[derive(Debug)]
struct Buffers {
    both: [Buffer; 2],
    /// Which one takes samples.
    taking: AtomicUsize,
    lost: AtomicU64,
}

/// Stacks, each behind the number of its frames.
#[derive(Debug)]
struct Buffer {
    words: Box<[AtomicUsize]>,
    /// May grow beyond the words there are.
    used: AtomicUsize,
    /// Handlers that are about to write, or do.
    writers: AtomicUsize,
}

impl Buffers {
    fn new() -> Self {
        let buffer = || Buffer {
            words: (0..BUFFER_WORDS).map(|_| AtomicUsize::new(0)).collect(),
            used: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
        };
        Self { both: [buffer(), buffer()], taking: AtomicUsize::new(0), lost: AtomicU64::new(0) }
    }

    /// Notes the stack of the thread it is called on.
    ///
    /// Async-signal-safe: besides atomic operations it only walks the stack, which libgcc does without memory or locks where glibc
    /// has `_dl_find_object`. It never waits, also not for a handler that it interrupted.
    fn note(&self) {
        let (mut stack, mut depth) = ([0; DEPTH_MAX], 0);
        #[expect(unsafe_code, reason = "the version with a lock must not be called in a signal handler")]
        // SAFETY: the lock guards the search for names, of which none is done here.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                stack[depth] = frame.ip() as usize;
                depth += usize::from(stack[depth] != 0);
                depth < DEPTH_MAX
            });
        }
        self.write(&stack[..depth]);
    }

    fn write(&self, stack: &[usize]) {
        let taking = self.taking.load(Ordering::SeqCst);
        let buffer = &self.both[taking];
        buffer.writers.fetch_add(1, Ordering::SeqCst);
        // Asked again: either this sees the exchange, or who exchanges sees this writer and waits (all `SeqCst`).
        let is_noted = self.taking.load(Ordering::SeqCst) == taking && buffer.append(stack);
        buffer.writers.fetch_sub(1, Ordering::SeqCst);
        if !is_noted {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Exchanges the buffers and hands out what was written before. Called by one thread at a time.
    fn drain(&self, mut each: impl FnMut(&[usize])) {
        let full = self.taking.load(Ordering::SeqCst);
        self.taking.store(1 - full, Ordering::SeqCst);
        let buffer = &self.both[full];
        // A handler of some hundred instructions at most.
        while buffer.writers.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        buffer.drain(&mut each);
    }
}

impl Buffer {
    fn append(&self, stack: &[usize]) -> bool {
        let at = self.used.fetch_add(1 + stack.len(), Ordering::Relaxed);
        // What does not fit leaves a gap, behind which nothing fits either unless it is shorter.
        let Some(words) = self.words.get(at..at + 1 + stack.len()) else {
            if let Some(word) = self.words.get(at) {
                word.store(0, Ordering::Relaxed);
            }
            return false;
        };
        words[0].store(stack.len(), Ordering::Relaxed);
        words[1..].iter().zip(stack).for_each(|(word, ip)| word.store(*ip, Ordering::Relaxed));
        true
    }

    fn drain(&self, each: &mut impl FnMut(&[usize])) {
        let used = self.used.load(Ordering::Relaxed).min(self.words.len());
        let words: Vec<usize> = self.words[..used].iter().map(|word| word.load(Ordering::Relaxed)).collect();
        let mut rest = &words[..];
        while let Some((depth, stacks)) =
            rest.split_first().filter(|(depth, stacks)| **depth > 0 && **depth <= stacks.len())
        {
            let (stack, others) = stacks.split_at(*depth);
            each(stack);
            rest = others;
        }
        self.used.store(0, Ordering::Relaxed);
    }
}

/// Has the timer ring whenever the process has computed for so long; zero stops it.
fn set_timer(period: Duration) -> io::Result<()> {
    let time = libc::timeval { tv_sec: 0, tv_usec: i64::from(period.subsec_micros()) };
    let timer = libc::itimerval { it_interval: time, it_value: time };
    #[expect(unsafe_code, reason = "the standard library has no interval timers")]
    // SAFETY: `timer` lives as long as the call, and no old value is asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Can a stack be walked without locks? Older versions of glibc look for the tables of a function under a lock, which the
/// interrupted thread may hold.
fn walks_without_locks() -> bool {
    #[expect(unsafe_code, reason = "asks the dynamic linker")]
    // SAFETY: the name ends with a zero, and what is found is not called.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    !found.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_once() {
        let buffers = Buffers::new();
        let read = || {
            let mut read = Vec::new();
            buffers.drain(|stack| read.push(stack.to_vec()));
            read
        };
        buffers.write(&[1, 2, 3]);
        buffers.write(&[4]);
        assert_eq!(read(), [vec![1, 2, 3], vec![4]]);
        assert!(read().is_empty());
        buffers.write(&[5]);
        assert_eq!(read(), [[5]]);
        assert_eq!(buffers.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_full_buffer_loses_what_comes_and_goes_on() {
        let buffers = Buffers::new();
        let (stack, fit) = ([7; DEPTH_MAX], BUFFER_WORDS / (DEPTH_MAX + 1));
        for _ in 0..fit + 10 {
            buffers.write(&stack);
        }
        assert_eq!(buffers.lost.load(Ordering::Relaxed), 10);
        let mut n = 0;
        buffers.drain(|read| {
            assert_eq!(read, stack);
            n += 1;
        });
        assert_eq!(n, fit);
        buffers.drain(|_| panic!("nothing was written"));
        buffers.write(&[1]);
        buffers.drain(|read| assert_eq!(read, [1]));
    }

    #[test]
    fn writers_and_the_reader_do_not_meet() {
        let buffers = Buffers::new();
        let (writers, each) = (4_usize, 20_000_usize);
        let mut seen = 0;
        std::thread::scope(|scope| {
            let all: Vec<_> = (1..=writers)
                .map(|writer| {
                    let buffers = &buffers;
                    scope.spawn(move || (0..each).for_each(|n| buffers.write(&vec![writer; 1 + n % 20])))
                })
                .collect();
            let mut check = |stack: &[usize]| {
                assert!(stack.iter().all(|ip| *ip == stack[0] && *ip <= writers) && stack.len() <= 20, "{stack:?}");
                seen += 1;
            };
            while !all.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                buffers.drain(&mut check);
            }
            // Both: the last exchange may have come between two samples.
            buffers.drain(&mut check);
            buffers.drain(&mut check);
        });
        assert_eq!(seen + usize::try_from(buffers.lost.load(Ordering::Relaxed)).unwrap(), writers * each);
        assert!(seen > 0);
    }

    #[test]
    fn frames_of_the_handler_are_left_out() {
        let mapping = |start, end| Mapping { start, end, offset: 0, file: String::new() };
        let mappings = [mapping(100, 200), mapping(500, 600)];
        assert_eq!(interrupted(&[150, 160, 550, 170, 560], &mappings), [170, 560]);
        assert_eq!(interrupted(&[150, 160], &mappings), [150, 160]);
        assert!(interrupted(&[], &mappings).is_empty());
    }
}
