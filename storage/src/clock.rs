//! The clock that retention goes by: the system's, but guarded against steps, so that no single wrong reading drops data.
//!
//! A clock that steps ahead makes everything look old. Time then continues at the pace of the monotonic clock, and the step is
//! accepted once it has lasted as long as it is wide, or a day. A step back is accepted at once, as nothing is dropped for it. A
//! start continues from the time that was last stored.

use model::Timestamp;

/// Differences up to this are ordinary: clocks are slewed, readings are late.
const STEP_MS: i64 = 60_000;
/// A step ahead that has lasted for so long is accepted, however wide it is.
const ACCEPTED_MS: i64 = 24 * 60 * 60 * 1000;

/// Follows the system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Reading>,
    ahead: Option<Ahead>,
}

/// The same moment by both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The accepted time.
    now: Timestamp,
    /// Milliseconds since any moment.
    monotonic_ms: i64,
}

/// A step ahead that is not accepted yet.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    by_ms: i64,
    /// By the clock that never steps.
    since_ms: i64,
}

/// The result of one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The time up to which data is old or not; never after the system's.
    pub now: Timestamp,
    /// By how much the system's clock has stepped since the last reading; negative: back. `None` when it has not.
    pub step_ms: Option<i64>,
}

impl Clock {
    /// Begins with the time that was stored last, if there was any ([`crate::Db::last_told`]).
    #[must_use]
    pub fn new(last: Option<Timestamp>, monotonic_ms: i64) -> Self {
        Self { now: last.map(|now| Reading { now, monotonic_ms }), ahead: None }
    }

    /// Takes one reading of the system's clock, and of one that never steps (milliseconds since any moment).
    pub fn read(&mut self, system: Timestamp, monotonic_ms: i64) -> Told {
        let Some(last) = self.now else {
            self.now = Some(Reading { now: system, monotonic_ms });
            return Told { now: system, step_ms: None };
        };
        let expected = last.now.saturating_add(monotonic_ms.saturating_sub(last.monotonic_ms));
        let by_ms = system.saturating_since(expected);
        let mut step_ms = None;
        let now = if by_ms <= STEP_MS {
            // Back from a step that was not accepted: time itself did not step.
            if self.ahead.take().is_some() || by_ms < -STEP_MS {
                step_ms = Some(by_ms.min(-1));
            }
            system
        } else {
            // The step that was met before, as far as clocks are slewed and readings late.
            let known = self.ahead.filter(|ahead| (by_ms - ahead.by_ms).abs() <= STEP_MS);
            let ahead = known.unwrap_or_else(|| {
                step_ms = Some(by_ms - self.ahead.map_or(0, |before| before.by_ms));
                Ahead { by_ms, since_ms: monotonic_ms }
            });
            let accepted = monotonic_ms.saturating_sub(ahead.since_ms) >= ahead.by_ms.min(ACCEPTED_MS);
            self.ahead = (!accepted).then_some(ahead);
            if accepted { system } else { expected }
        };
        self.now = Some(Reading { now, monotonic_ms });
        Told { now, step_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    const T: Timestamp = Timestamp(1_800_000_000_000);

    /// A clock that was read each minute, and what it tells once the system's is `by` off.
    struct Run {
        clock: Clock,
        real: Timestamp,
    }

    impl Run {
        fn new() -> Self {
            let mut clock = Clock::new(None, 0);
            assert_eq!(clock.read(T, 0), Told { now: T, step_ms: None });
            Self { clock, real: T }
        }

        /// The error of what is believed after so many minutes, and the steps told.
        fn minutes(&mut self, minutes: i64, off_ms: i64) -> (i64, Vec<i64>) {
            let mut steps = Vec::new();
            let mut error = 0;
            for _ in 0..minutes {
                self.real += MINUTE;
                let told = self.clock.read(self.real + off_ms, self.real - T);
                error = told.now - self.real;
                steps.extend(told.step_ms);
            }
            (error, steps)
        }
    }

    #[test]
    fn a_month_ahead_for_a_minute_is_not_believed() {
        let mut run = Run::new();
        assert_eq!(run.minutes(2, 30 * DAY), (0, vec![30 * DAY]));
        let (error, steps) = run.minutes(1, 0);
        assert_eq!((error, steps.len()), (0, 1), "the way back is told");
        assert!(steps[0] < 0);
        assert_eq!(run.minutes(100, 0), (0, vec![]));
    }

    #[test]
    fn a_step_that_lasts_is_believed() {
        let mut run = Run::new();
        assert_eq!(run.minutes(10, 10 * MINUTE), (0, vec![10 * MINUTE]));
        assert_eq!(run.minutes(1, 10 * MINUTE), (10 * MINUTE, vec![]));
        let mut run = Run::new();
        assert_eq!(run.minutes(DAY / MINUTE, 30 * DAY).0, 0);
        assert_eq!(run.minutes(1, 30 * DAY), (30 * DAY, vec![]));
        // Back again, which holds at once.
        let (error, steps) = run.minutes(1, 0);
        assert_eq!((error, steps), (0, vec![-30 * DAY]));
    }

    #[test]
    fn each_further_step_begins_anew() {
        let mut run = Run::new();
        assert_eq!(run.minutes(9, 10 * MINUTE), (0, vec![10 * MINUTE]));
        assert_eq!(run.minutes(14, 15 * MINUTE), (0, vec![5 * MINUTE]));
        assert_eq!(run.minutes(2, 15 * MINUTE), (15 * MINUTE, vec![]));
    }

    #[test]
    fn small_differences_are_followed() {
        let mut run = Run::new();
        assert_eq!(run.minutes(3, MINUTE), (MINUTE, vec![]));
        assert_eq!(run.minutes(3, 0), (0, vec![]));
    }

    #[test]
    fn a_start_goes_on_from_the_time_told_last() {
        // Off for ten days: nobody can tell that from a wrong clock.
        let mut clock = Clock::new(Some(T - 10 * DAY), 0);
        assert_eq!(clock.read(T, 0), Told { now: T - 10 * DAY, step_ms: Some(10 * DAY) });
        assert_eq!(clock.read(T + DAY, DAY).now, T + DAY);
        // The clock is behind.
        let mut clock = Clock::new(Some(T), 0);
        assert_eq!(clock.read(T - DAY, 0), Told { now: T - DAY, step_ms: Some(-DAY) });
    }

    #[test]
    fn no_reading_overflows() {
        let mut clock = Clock::new(Some(Timestamp::MAX), i64::MIN);
        for reading in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX, Timestamp::MIN] {
            clock.read(reading, i64::MAX);
        }
    }
}
