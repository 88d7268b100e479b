//! Top-k heap: the k largest or smallest values. Which of equal values stay depends on the heap operations, which are those of
//! Go's `container/heap`, so that results equal upstream's.

/// At most `count` values, with the index of their series.
#[derive(Debug)]
pub(super) struct TopKHeap {
    heap: Vec<(f64, usize)>,
    count: usize,
    largest: bool,
}

impl TopKHeap {
    pub(super) fn new(count: usize, largest: bool) -> Self {
        Self { heap: Vec::new(), count, largest }
    }

    /// Adds a value if it is among the k best so far; true if it was added.
    pub(super) fn offer(&mut self, value: f64, of: usize) -> bool {
        // As Go's `heap.Push`: appended, and moved up.
        if self.heap.len() < self.count {
            self.heap.push((value, of));
            self.up(self.heap.len() - 1);
            return true;
        }
        let Some(&(worst, _)) = self.heap.first() else { return false };
        // The root is the worst of the k: a better value replaces it. NaN is replaced by any number.
        let better = if self.largest { worst < value } else { worst > value };
        let taken = better || worst.is_nan() && !value.is_nan();
        if taken {
            // As Go's `heap.Fix` of the root.
            self.heap[0] = (value, of);
            self.down();
        }
        taken
    }

    /// Empties the heap; returns indexes, the best value first.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = usize> {
        let largest = self.largest;
        // A stable sort from the layout of the heap, so that the order of equal values is defined.
        self.heap.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
            (false, false) if largest => b.0.total_cmp(&a.0),
            (false, false) => a.0.total_cmp(&b.0),
            (a, b) => a.cmp(&b),
        });
        self.heap.drain(..).map(|(_, of)| of)
    }

    /// The order of the heap; NaN is always the smallest.
    fn less(&self, i: usize, j: usize) -> bool {
        let (a, b) = (self.heap[i].0, self.heap[j].0);
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    fn up(&mut self, mut at: usize) {
        while at > 0 && self.less(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn down(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                return;
            }
            // Of equal children Go takes the left one.
            let child = if right < self.heap.len() && self.less(right, left) { right } else { left };
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(count: usize, largest: bool, values: &[f64]) -> Vec<usize> {
        let mut best = TopKHeap::new(count, largest);
        for (i, value) in values.iter().enumerate() {
            best.offer(*value, i);
        }
        best.drain().collect()
    }

    #[test]
    fn numbers_come_before_what_is_none() {
        let values = [2.0, f64::NAN, 5.0, -1.0, 3.0];
        assert_eq!(best(3, true, &values), [2, 4, 0]);
        assert_eq!(best(2, false, &values), [3, 0]);
        assert_eq!(best(9, true, &values), [2, 4, 0, 3, 1]);
        assert!(best(0, true, &values).is_empty());
    }

    #[test]
    fn of_equal_ones_the_first_stay_unless_the_heap_moved_them() {
        assert_eq!(best(2, true, &[1.0, 1.0, 1.0]), [0, 1]);
        // The third pushes out one of the two that are equal: the one on top.
        assert_eq!(best(2, true, &[1.0, 1.0, 2.0]), [2, 1]);
    }
}
