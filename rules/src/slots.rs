//! When groups are evaluated: at an offset within the interval that is a hash of file and name, so that groups are spread and a
//! restart does not move them. (Prometheus: `Group.EvalTimestamp` in `rules/group.go`.)

use model::{Labels, Timestamp};

/// Nanoseconds of a millisecond.
const MS: i128 = 1_000_000;

/// The evaluation times of a group: `offset + n * interval`, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    interval_ns: i128,
    offset_ns: i128,
}

impl Slots {
    /// Of a group; an interval of less than a millisecond counts as one.
    pub(crate) fn new((file, name): (&str, &str), interval_ms: i64) -> Self {
        let interval_ns = i128::from(interval_ms.max(1)) * MS;
        let hash = Labels::from_pairs([("file", file), ("name", name)]).hash64();
        Self { interval_ns, offset_ns: i128::from(hash) % interval_ns }
    }

    /// The number of the slot that is not after this time.
    pub(crate) fn at(self, now: Timestamp) -> Slot {
        // A slot begins within a millisecond, and its time is that millisecond: it is over as soon as the clock shows it.
        let now_ns = i128::from(now.0) * MS + (MS - 1);
        Slot((now_ns - self.offset_ns).div_euclid(self.interval_ns))
    }

    /// The first slot that is not before this time.
    pub(crate) fn not_before(self, ts: Timestamp) -> Slot {
        let slot = self.at(ts);
        if self.time(slot) < ts { slot.next() } else { slot }
    }

    /// The time of a slot, in whole milliseconds as samples have it.
    pub(crate) fn time(self, slot: Slot) -> Timestamp {
        let ns = slot.0 * self.interval_ns + self.offset_ns;
        Timestamp(i64::try_from(ns.div_euclid(MS)).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX }))
    }
}

/// The number of an evaluation of a group, counted since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) i128);

impl Slot {
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Slots between an earlier one and this one.
    pub(crate) fn missed_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0 - earlier.0 - 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_upstreams() {
        // `labels.New({name …}, {file …}).Hash() % 30e9` of Prometheus 3.16.
        let offset = |file, name| Slots::new((file, name), 30_000).offset_ns;
        assert_eq!(offset("f", "g"), 9_188_605_192);
        assert_eq!(offset("/etc/rules.yml", "node.rules"), 8_948_313_661);
    }

    #[test]
    fn a_slot_is_reached_at_its_own_time() {
        for name in ["a", "b", "node.rules", "kubernetes-apps"] {
            for interval_ms in [1, 7, 1000, 30_000, 86_400_000] {
                let slots = Slots::new(("/etc/rules.yml", name), interval_ms);
                for now in [-1_000_000, 0, 1, 1_700_000_000_123] {
                    let slot = slots.at(Timestamp(now));
                    let (this, next) = (slots.time(slot), slots.time(slot.next()));
                    assert!(this.0 <= now && now < next.0, "{name} {interval_ms} {now}: {this} {next}");
                    assert_eq!((slots.at(this), slots.at(next)), (slot, slot.next()));
                }
            }
        }
    }

    #[test]
    fn times_beyond_the_clock_end_at_its_bounds() {
        let slots = Slots::new(("f", "g"), i64::MAX);
        for now in [i64::MIN, i64::MAX] {
            slots.time(slots.at(Timestamp(now)).next());
        }
        assert_eq!(slots.at(Timestamp(5)).missed_since(slots.at(Timestamp(5))), 0);
    }

    #[test]
    fn missed_slots_lie_in_between() {
        assert_eq!(Slot(5).missed_since(Slot(4)), 0);
        assert_eq!(Slot(9).missed_since(Slot(4)), 4);
        assert_eq!(Slot(3).missed_since(Slot(4)), 0, "the clock was set back");
    }
}
