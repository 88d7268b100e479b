//! The labels of pods, made once for all discoveries that see a pod: they are most of what discovery holds.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use model::Labels;
use parking_lot::Mutex;

use super::objects::Pod;

/// So many entries of pods that are gone do no harm.
const GONE_MAX: usize = 256;

/// The labels of pods, by the addresses of these.
#[derive(Debug, Default)]
pub(crate) struct PodLabels(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    labels: HashMap<usize, (Weak<Pod>, Labels)>,
    /// With so many entries those of pods that are gone are looked for.
    full: usize,
}

impl PodLabels {
    /// As they were made before, or else by `make`.
    pub(crate) fn get(&self, pod: &Arc<Pod>, make: &dyn Fn() -> Labels) -> Labels {
        let address = Arc::as_ptr(pod).addr();
        if let Some((_, labels)) = self.0.lock().labels.get(&address) {
            // The weak reference keeps the address from being used again.
            return labels.clone();
        }
        let labels = make();
        let mut known = self.0.lock();
        known.labels.insert(address, (Arc::downgrade(pod), labels.clone()));
        if known.labels.len() > known.full {
            known.labels.retain(|_, (pod, _)| pod.strong_count() > 0);
            known.full = known.labels.len() + known.labels.len() / 8 + GONE_MAX;
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_made_once_for_a_pod_and_forgotten_with_it() {
        let known = PodLabels::default();
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Labels::from_pairs([("n", made.get().to_string())])
        };
        let pod = Arc::new(Pod::default());
        assert_eq!((known.get(&pod, &make), known.get(&pod, &make)), (make_like(1), make_like(1)));
        for n in 2..2 * GONE_MAX {
            assert_eq!(known.get(&Arc::new(Pod::default()), &make), make_like(n));
        }
        assert!(known.0.lock().labels.len() <= GONE_MAX + 1);
        assert_eq!(known.get(&pod, &make), make_like(1));
    }

    fn make_like(n: usize) -> Labels {
        Labels::from_pairs([("n", n.to_string())])
    }
}
