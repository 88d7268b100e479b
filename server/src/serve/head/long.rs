//! What of a long query string is kept aside, since the HTTP library's type for URLs ends at 64 KiB.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use parking_lot::Mutex;

/// So much of a query string goes the usual way.
pub(super) const INLINE_MAX: usize = 32 << 10;
/// A request target ends here: with Go's server the whole head may have a mebibyte, and a little.
pub(super) const TARGET_MAX: usize = (1 << 20) + 4096;
/// Memory is taken in such steps.
const STEP: usize = 64 << 10;

/// Memory for what all connections keep aside.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    used: AtomicUsize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, used: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        // Taken first and given back where it does not fit: two connections cannot both take the last room.
        let fits = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.most;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What follows the first [`INLINE_MAX`] bytes of a query string. The memory is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct LongQuery {
    bytes: Vec<u8>,
    room: Arc<Room>,
    taken: usize,
    /// It was not kept whole.
    refused: Option<Refused>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    TooLong,
    NoRoom,
}

impl LongQuery {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { bytes: Vec::new(), room, taken: 0, refused: None }
    }

    pub(super) fn push(&mut self, byte: u8) {
        // The rest of a refused query still arrives and is dropped; the request is answered when its head is whole.
        if self.refused.is_some() {
            return;
        }
        if INLINE_MAX + self.bytes.len() >= TARGET_MAX {
            return self.refuse(Refused::TooLong);
        }
        // Capacity and accounting grow in the same steps, so that what is taken is what is held.
        if self.bytes.len() == self.taken {
            if !self.room.take(STEP) {
                return self.refuse(Refused::NoRoom);
            }
            self.taken += STEP;
            self.bytes.reserve_exact(STEP);
        }
        self.bytes.push(byte);
    }

    fn refuse(&mut self, why: Refused) {
        self.refused = Some(why);
        self.bytes = Vec::new();
        self.room.give(std::mem::take(&mut self.taken));
    }

    /// What of the query string of its request goes before it.
    pub(crate) fn before(query: &str) -> &str {
        query.get(..query.len().saturating_sub(WORD_LEN)).unwrap_or_default()
    }

    /// What was kept aside, or how to refuse the request.
    pub(crate) fn bytes(&self) -> Result<&[u8], (StatusCode, &'static str)> {
        match self.refused {
            None => Ok(&self.bytes),
            Some(Refused::TooLong) => {
                Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "431 Request Header Fields Too Large"))
            }
            Some(Refused::NoRoom) => {
                let text = "too many requests with long URLs at once; try again, or send the parameters by POST\n";
                Err((StatusCode::SERVICE_UNAVAILABLE, text))
            }
        }
    }
}

impl Drop for LongQuery {
    fn drop(&mut self) {
        self.room.give(self.taken);
    }
}

/// The long queries of one connection, by the random word that replaces each at the end of its query string. The words
/// cannot be guessed.
#[derive(Debug)]
pub(crate) struct Aside {
    room: Arc<Room>,
    kept: Mutex<Vec<(String, LongQuery)>>,
}

/// Of letters and digits: a word of this length.
const WORD_LEN: usize = 32;

impl Aside {
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Self { room, kept: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    pub(super) fn begin(&self) -> LongQuery {
        LongQuery::new(Arc::clone(&self.room))
    }

    /// Keeps it, and says under which word.
    pub(super) fn keep(&self, query: LongQuery) -> String {
        // A client that guessed a word could put another's query in place of its own; `RandomState` is seeded by the
        // system.
        let random = |n: u8| RandomState::new().hash_one(n);
        let word = format!("{:016x}{:016x}", random(0), random(1));
        self.kept.lock().push((word.clone(), query));
        word
    }

    /// What the query string of a request goes on with, if anything.
    pub(crate) fn take(&self, query: Option<&str>) -> Option<LongQuery> {
        let query = query.filter(|query| query.len() >= INLINE_MAX)?;
        let word = query.get(query.len() - WORD_LEN..)?;
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| known == word)?;
        Some(kept.swap_remove(at).1)
    }
}
