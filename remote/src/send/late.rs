//! Samples that were stored for a time that was read already. They are sent in requests of their own: a receiver that takes nothing
//! late refuses these and no others.

use std::ops::Range;

use model::{Timestamp, Touched};

use super::limits;
use super::remote::{Remote, Stopped};
use super::sending::Delivered;
use super::window::{Late, Piece, Unread, Wanted, Window};

/// Notes that lie no further apart than this, milliseconds, are read together.
const TOGETHER_MS: i64 = 60_000;

impl Remote {
    /// Sends what notes tell of.
    pub(super) async fn send_late(&self) -> Result<(), Stopped> {
        let mut taken = self.shared.commits.take_notes(&self.key);
        if taken.notes.is_empty() {
            // Files may be left without a note.
            taken.done();
            return Ok(());
        }
        taken.notes.sort_unstable_by_key(|note| note.from);
        for (range, notes) in together(&taken.notes) {
            self.send_range(range, notes).await?;
        }
        taken.done();
        Ok(())
    }

    /// Sends what notes tell of in a stretch of time, in as many readings as are needed.
    async fn send_range(&self, range: Range<Timestamp>, notes: &[Touched]) -> Result<(), Stopped> {
        // The earliest is last.
        let mut left = vec![(range, 1, 0)];
        while let Some((range, passes, pass)) = left.pop() {
            let late = Some(Late::of(notes));
            let window = match self.read(Wanted { late, passes, pass, ..self.wanted(range.clone()) }).await {
                Ok(window) => window,
                Err(Unread::TooLarge) => {
                    left.extend(divided(&range, passes, pass));
                    continue;
                }
                Err(Unread::Store(error)) => {
                    self.failed(&format!("cannot read the store: {}", model::with_causes(&error)));
                    self.pause(std::time::Duration::from_secs(1)).await?;
                    left.push((range, passes, pass));
                    continue;
                }
            };
            for slot in 0..window.n_slots() {
                for pieces in window.requests(slot, self.samples_per_send()) {
                    self.deliver_split(&window, pieces).await?;
                }
            }
        }
        Ok(())
    }

    /// Delivers pieces; where they are refused, half by half: some may be there already, and hold up the others.
    async fn deliver_split(&self, window: &Window, pieces: Vec<Piece>) -> Result<(), Stopped> {
        let mut left = vec![pieces];
        let mut splits = 0;
        while let Some(mut pieces) = left.pop() {
            let delivered = self.deliver(window, &pieces).await?;
            if delivered == Delivered::Refused && pieces.len() > 1 && splits < limits::SPLITS {
                splits += 1;
                let second = pieces.split_off(pieces.len() / 2);
                left.extend([second, pieces]);
            }
        }
        Ok(())
    }
}

/// Notes, ascending, by stretches of time that are read at once.
fn together(notes: &[Touched]) -> Vec<(Range<Timestamp>, &[Touched])> {
    let mut found: Vec<(Range<Timestamp>, &[Touched])> = Vec::new();
    let (mut first, mut end) = (0, Timestamp::MIN);
    for (i, note) in notes.iter().enumerate() {
        if i > first && note.from.saturating_since(end) > TOGETHER_MS {
            found.push((notes[first].from..end, &notes[first..i]));
            (first, end) = (i, Timestamp::MIN);
        }
        end = end.max(note.to.saturating_add(1));
    }
    if let Some(note) = notes.get(first) {
        found.push((note.from..end, &notes[first..]));
    }
    found
}

/// The two halves of what is too much at once, the later one first: by time, or by series where that is short.
fn divided(range: &Range<Timestamp>, passes: u64, pass: u64) -> [(Range<Timestamp>, u64, u64); 2] {
    let length_ms = range.end.saturating_since(range.start);
    if length_ms > limits::WINDOW_MS.0 {
        let middle = range.start.saturating_add(length_ms / 2);
        return [(middle..range.end, passes, pass), (range.start..middle, passes, pass)];
    }
    [(range.clone(), 2 * passes, 2 * pass + 1), (range.clone(), 2 * passes, 2 * pass)]
}
