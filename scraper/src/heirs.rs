//! Who goes on with the series of a target that is gone. Part of step 2 of the scrape path.
//!
//! A target may come back under another address, in another job, or with another interval, and expose the same series. Stale
//! markers of the loop that ended would tear them. It therefore leaves what it knew to a loop whose series have the same
//! labels, and that loop marks at its next scrape what is no longer there. Only where there is none, the loop that ends
//! writes the markers itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Labels;

use crate::layout::TargetLayout;

/// Equal for loops that make the same of the same bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct SameRules(Arc<()>);

impl PartialEq for SameRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a loop leaves.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) layout: TargetLayout,
    pub(crate) rules: SameRules,
}

/// The loops that scrape now, of all jobs, by the labels of their series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heirs(Arc<Mutex<HashMap<Labels, Arc<Place>>>>);

#[derive(Debug, Default)]
struct Place {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scraping: usize,
    left: Vec<Estate>,
}

/// A loop that scrapes; it stops doing so when this is dropped.
#[derive(Debug)]
pub(crate) struct Heir {
    heirs: Heirs,
    labels: Labels,
    place: Arc<Place>,
}

impl Heirs {
    /// A loop begins to scrape.
    pub(crate) fn enter(&self, labels: &Labels) -> Heir {
        let mut places = lock(&self.0);
        let place = Arc::clone(places.entry(labels.clone()).or_default());
        lock(&place.state).scraping += 1;
        Heir { heirs: self.clone(), labels: labels.clone(), place }
    }

    /// Leaves it to a loop that scrapes the same series; gives it back when there is none.
    pub(crate) fn leave(&self, labels: &Labels, estate: Estate) -> Option<Estate> {
        let places = lock(&self.0);
        let Some(place) = places.get(labels) else { return Some(estate) };
        lock(&place.state).left.push(estate);
        None
    }
}

impl Heir {
    /// What others left since the last call.
    pub(crate) fn take(&self) -> Vec<Estate> {
        std::mem::take(&mut lock(&self.place.state).left)
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let mut places = lock(&self.heirs.0);
        let mut state = lock(&self.place.state);
        state.scraping -= 1;
        if state.scraping == 0 {
            places.remove(&self.labels);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_to_one_that_scrapes_the_same_series() {
        let (heirs, labels) = (Heirs::default(), Labels::from_pairs([("job", "a")]));
        let estate = || Estate { layout: TargetLayout::new(labels.clone()), rules: SameRules::default() };
        assert!(heirs.leave(&labels, estate()).is_some(), "nobody is there");
        let (one, other) = (heirs.enter(&labels), heirs.enter(&labels));
        assert!(heirs.leave(&Labels::empty(), estate()).is_some(), "other labels");
        assert!(heirs.leave(&labels, estate()).is_none());
        drop(one);
        assert_eq!((other.take().len(), other.take().len()), (1, 0));
        drop(other);
        assert!(heirs.leave(&labels, estate()).is_some(), "all are gone");
        assert!(lock(&heirs.0).is_empty());
    }
}
