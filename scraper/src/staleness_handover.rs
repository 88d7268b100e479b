//! Staleness handover: a loop that ends passes its series to one that scrapes the same. Part of step 2 of the scrape path.
//!
//! A target may come back under another address, in another job, or with another interval, and expose the same series. Stale
//! markers written by the loop that ended would interrupt them. That loop therefore hands its scrape cache over to a loop
//! whose series have the same labels, which writes stale markers at its next scrape for what is no longer exposed. Only
//! when there is no such loop the one that ends writes the markers itself.

use std::collections::HashMap;
use std::sync::Arc;

use model::Labels;
use parking_lot::{Mutex, MutexGuard};

use crate::scrape_cache::ScrapeCache;

/// Equal for loops whose jobs have the same relabelling and limits: they make the same series of the same body.
#[derive(Clone, Debug, Default)]
pub(crate) struct SameRules(Arc<()>);

impl PartialEq for SameRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a loop hands over.
#[derive(Debug)]
pub(crate) struct HandedOver {
    pub(crate) cache: ScrapeCache,
    pub(crate) rules: SameRules,
}

/// The running loops of all jobs, by the labels of their series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handovers(Arc<Mutex<HashMap<Labels, Arc<Place>>>>);

#[derive(Debug, Default)]
struct Place {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scraping: usize,
    left: Vec<HandedOver>,
}

/// The registration of a running loop, until it is dropped.
#[derive(Debug)]
pub(crate) struct HandoverSlot {
    handovers: Handovers,
    labels: Labels,
    place: Arc<Place>,
}

impl Handovers {
    /// Registers a loop that begins to scrape.
    pub(crate) fn enter(&self, labels: &Labels) -> HandoverSlot {
        let mut places = lock(&self.0);
        let place = Arc::clone(places.entry(labels.clone()).or_default());
        lock(&place.state).scraping += 1;
        HandoverSlot { handovers: self.clone(), labels: labels.clone(), place }
    }

    /// Hands over to a loop that scrapes the same series; returns it when there is none.
    pub(crate) fn hand_over(&self, labels: &Labels, handed_over: HandedOver) -> Option<HandedOver> {
        let places = lock(&self.0);
        let Some(place) = places.get(labels) else { return Some(handed_over) };
        // The map stays locked meanwhile, so the last loop of this place cannot leave and drop what was handed over.
        lock(&place.state).left.push(handed_over);
        None
    }
}

impl HandoverSlot {
    /// What was handed over since the last call.
    pub(crate) fn take(&self) -> Vec<HandedOver> {
        std::mem::take(&mut lock(&self.place.state).left)
    }
}

impl Drop for HandoverSlot {
    fn drop(&mut self) {
        let mut places = lock(&self.handovers.0);
        let mut state = lock(&self.place.state);
        // Lock order: the map, then the place, as everywhere in this file.
        state.scraping -= 1;
        if state.scraping == 0 {
            places.remove(&self.labels);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handover_goes_to_a_loop_that_scrapes_the_same_series() {
        let (handovers, labels) = (Handovers::default(), Labels::from_pairs([("job", "a")]));
        let handed_over = || HandedOver { cache: ScrapeCache::new(labels.clone()), rules: SameRules::default() };
        assert!(handovers.hand_over(&labels, handed_over()).is_some(), "nobody is there");
        let (one, other) = (handovers.enter(&labels), handovers.enter(&labels));
        assert!(handovers.hand_over(&Labels::empty(), handed_over()).is_some(), "other labels");
        assert!(handovers.hand_over(&labels, handed_over()).is_none());
        drop(one);
        assert_eq!((other.take().len(), other.take().len()), (1, 0));
        drop(other);
        assert!(handovers.hand_over(&labels, handed_over()).is_some(), "all are gone");
        assert!(lock(&handovers.0).is_empty());
    }
}
