//! What a job makes of the native histograms of its targets.

use model::Histogram;

use crate::parse::Native;
use crate::sample_mutation::Refusal;

/// The finest schema that is stored. What is finer, up to [`SCHEMA_KNOWN`], is joined where the job asks for wider buckets,
/// and refused otherwise, as upstream has it.
const SCHEMA_STORED: i32 = Histogram::EXPONENTIAL_MAX;
const SCHEMA_KNOWN: i32 = 52;

/// Limits of native histograms.
#[derive(Clone, Copy, Debug)]
pub struct HistogramRules {
    /// Most buckets; neighbours are joined until there are no more. 0: any number.
    pub bucket_limit: usize,
    /// The finest schema that is kept.
    pub schema_max: i32,
}

impl Default for HistogramRules {
    fn default() -> Self {
        Self { bucket_limit: 0, schema_max: SCHEMA_STORED }
    }
}

impl HistogramRules {
    /// With buckets whose bounds grow at least by this factor; at 1 and below by any (upstream: `pickSchema` in
    /// `scrape/scrape.go`).
    #[must_use]
    pub fn new(bucket_limit: usize, factor_min: f64) -> Self {
        let steps = -factor_min.log2().log2();
        let schema_max =
            if factor_min <= 1.0 { SCHEMA_STORED } else { (steps.floor() as i32).clamp(-4, SCHEMA_STORED) };
        Self { bucket_limit, schema_max }
    }

    /// Checks a histogram and fits it into the limits. As upstream has it, the limits speak first.
    ///
    /// # Errors
    /// When it cannot be, or is no histogram.
    pub(crate) fn fit(&self, mut native: Native) -> Result<Histogram, Refusal> {
        let schema = native.histogram.schema;
        if self.schema_max < SCHEMA_STORED && (SCHEMA_STORED + 1..=SCHEMA_KNOWN).contains(&schema) {
            // It will not stay that fine.
            native.histogram.schema = SCHEMA_STORED;
        }
        // Joined buckets do not show any more that they made no sense.
        let valid = native.validate();
        let histogram = &mut native.histogram;
        if (Histogram::EXPONENTIAL_MIN..=SCHEMA_STORED).contains(&histogram.schema) {
            histogram.schema = schema;
            histogram.coarsen(self.schema_max);
        }
        let buckets = |histogram: &Histogram| histogram.positive.counts.len() + histogram.negative.counts.len();
        while self.bucket_limit > 0 && buckets(histogram) > self.bucket_limit {
            if !(Histogram::EXPONENTIAL_MIN + 1..=Histogram::EXPONENTIAL_MAX).contains(&histogram.schema) {
                return Err(Refusal::of_buckets(buckets(histogram), self.bucket_limit));
            }
            histogram.coarsen(histogram.schema - 1);
        }
        valid.map_err(|error| Refusal::invalid(model::with_causes(&error)))?;
        Ok(native.histogram)
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;

    use super::*;

    /// scrape-037
    #[test]
    fn a_factor_is_a_schema() {
        let table = [
            (65536.0, -4),
            (256.0, -3),
            (16.0, -2),
            (4.0, -1),
            (2.0, 0),
            (1.4, 1),
            (1.1, 2),
            (1.09, 3),
            (1.04, 4),
            (1.02, 5),
            (1.01, 6),
            (1.005, 7),
            (1.002, 8),
            (0.0, 8),
        ];
        for (factor, schema) in table {
            assert_eq!(HistogramRules::new(0, factor).schema_max, schema, "{factor}");
        }
    }

    /// scrape-036
    #[test]
    fn buckets_are_joined_until_they_fit() {
        let mut one = Histogram {
            schema: 3,
            count: 16.0,
            positive: Buckets::run(1, vec![1.0; 8]),
            negative: Buckets::run(1, vec![1.0; 8]),
            ..Histogram::default()
        };
        one = HistogramRules::new(4, 0.0).fit(float(&one)).unwrap_or_else(|_| panic!("it fits"));
        assert_eq!((one.schema, &one.positive), (1, &Buckets::run(1, vec![4.0, 4.0])));
        assert!(HistogramRules::new(1, 0.0).fit(float(&one)).is_err(), "a bucket on each side of zero");
        let bounds = [0.5, 1.0].into();
        let positive = Buckets::run(0, vec![1.0, 1.0, 1.0]);
        let custom = Histogram {
            schema: Histogram::CUSTOM,
            custom_values: bounds,
            count: 3.0,
            positive,
            ..Histogram::default()
        };
        assert!(HistogramRules::new(3, 2.0).fit(float(&custom)).is_ok());
        assert!(HistogramRules::new(2, 2.0).fit(float(&custom)).is_err());
    }

    #[test]
    fn what_is_finer_than_can_be_stored_is_joined_where_a_factor_is_asked_for() {
        for schema in [9, 52] {
            let positive = Buckets::run(1, vec![1.0; 8]);
            let finer = float(&Histogram { schema, positive, count: 8.0, ..Histogram::default() });
            let refusal = HistogramRules::default().fit(finer.clone()).unwrap_err();
            let text = refusal.at("there".to_owned()).to_string();
            assert!(text.contains(&format!("got schema {schema}")), "{text}");
            let joined = HistogramRules::new(0, 1.005).fit(finer).unwrap_or_else(|_| panic!("it fits"));
            assert_eq!((joined.schema, joined.positive.counts.iter().sum::<f64>()), (7, 8.0));
        }
        let beyond = Histogram { schema: 53, ..Histogram::default() };
        assert!(HistogramRules::new(0, 1.005).fit(float(&beyond)).is_err());
    }

    fn float(histogram: &Histogram) -> Native {
        Native { histogram: histogram.clone(), counts: None }
    }
}
