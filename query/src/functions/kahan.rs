//! Kahan-Neumaier summation: the rounding error is carried beside the sum.

/// A sum and its compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kahan {
    pub(crate) sum: f64,
    pub(crate) lost: f64,
}

impl Kahan {
    pub(crate) fn new(sum: f64) -> Self {
        Self { sum, lost: 0.0 }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        // At infinity the compensation would become NaN.
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - total) + value;
        } else {
            self.lost += (value - total) + self.sum;
        }
        self.sum = total;
    }

    #[inline]
    pub(crate) fn value(self) -> f64 {
        self.sum + self.lost
    }
}

/// A mean that switches to incremental means when the sum would overflow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    kahan: Kahan,
    count: f64,
    running: bool,
}

impl Mean {
    pub(crate) fn new(first: f64) -> Self {
        Self { kahan: Kahan::new(first), count: 1.0, running: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.running {
            let mut next = self.kahan;
            next.add(value);
            if !next.sum.is_infinite() {
                self.kahan = next;
                return;
            }
            // The sum overflows: from here on the mean itself is updated.
            self.running = true;
            self.kahan.sum /= self.count - 1.0;
            self.kahan.lost /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        self.kahan.sum *= kept;
        self.kahan.lost *= kept;
        self.kahan.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.running { self.kahan.value() } else { self.kahan.sum / self.count + self.kahan.lost / self.count }
    }
}

/// Mean and squared deviation in one pass (Welford), both compensated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variance {
    count: f64,
    mean: Kahan,
    squares: Kahan,
}

impl Variance {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        // The deviations from the old and from the new mean: their product is what the sum of squares grows by.
        let delta = value - self.mean.value();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.value()));
    }

    pub(crate) fn value(self) -> f64 {
        self.squares.value() / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_addends_survive() {
        let mut sum = Kahan::default();
        for value in [5.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.value(), 6.0);
        let mut mean = Mean::new(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.value(), f64::MAX);
    }
}
