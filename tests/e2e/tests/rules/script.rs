//! A target that both servers see alike: its samples have times of their own, and it goes on to the next ones only after both
//! servers have got the last.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kit::{Answer, Exporter};

use crate::series;

/// Least time between two samples of a series, milliseconds.
pub const STEP_MS: i64 = 1_500;
/// The pages, below the name of a server.
pub const PAGES: [&str; 2] = ["kube", "own"];
pub const SERVERS: [&str; 2] = ["weft", "prometheus"];

struct State {
    /// The number of the samples shown and their time; `None` before the begin.
    step: Option<(i64, i64)>,
    /// Pages that were fetched in this step.
    fetched: BTreeSet<String>,
}

impl State {
    fn advance(&mut self, now_ms: i64) {
        let Some((step, ts)) = self.step else { return };
        let is_over = self.fetched.len() == SERVERS.len() * PAGES.len() && now_ms - ts >= STEP_MS;
        if is_over {
            self.step = Some((step + 1, now_ms));
            self.fetched.clear();
        }
    }
}

pub struct Script {
    exporter: Exporter,
    state: Arc<Mutex<State>>,
    clock: Clock,
}

/// The time since the epoch, in milliseconds.
#[derive(Clone, Copy)]
struct Clock(Instant, i64);

impl Clock {
    fn now(self) -> i64 {
        self.1 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

impl Script {
    /// Says nothing until it begins. `selected` are the selectors for which it will have series, `now_ms` is the time.
    pub fn start(selected: &[series::Selector], now_ms: i64) -> Self {
        let clock = Clock(Instant::now(), now_ms);
        let state = Arc::new(Mutex::new(State { step: None, fetched: BTreeSet::new() }));
        let (shared, kube) = (Arc::clone(&state), series::of_selectors(selected));
        let exporter = Exporter::start(move |path| {
            let mut state = shared.lock().unwrap();
            state.advance(clock.now());
            let Some((step, ts)) = state.step else { return Answer::Metrics(String::new()) };
            state.fetched.insert(path.to_owned());
            drop(state);
            let is_own = path.ends_with("own");
            Answer::Metrics(if is_own { series::own(step, ts) } else { series::page(&kube, step, ts) })
        });
        Self { exporter, state, clock }
    }

    pub fn address(&self) -> &str {
        &self.exporter.address
    }

    /// Begins; returns the time of the first samples.
    pub fn begin(&self) -> i64 {
        let now = self.clock.now();
        self.state.lock().unwrap().step = Some((0, now));
        now
    }

    /// The number of the samples that are shown.
    pub fn step(&self) -> i64 {
        self.state.lock().unwrap().step.unwrap().0
    }
}
