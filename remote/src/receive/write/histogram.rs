//! A native histogram of a message, in place (`Histogram` of both protocols; `proto::histogram` declares the same).

use model::histogram::{Encoded, EncodedCounts, Span};
use model::protobuf::{Broken, Fields, unzigzag};
use model::sample::is_stale;
use model::{Histogram, ResetHint, Timestamp};

use crate::receive::storing::Received;

/// The longest message of a histogram: of a few bytes for each bucket, far more than any has.
const BYTES_MAX: usize = 1 << 20;
/// Finer schemas than are stored exist, and can be made coarser (upstream: `IsExponentialSchemaReserved`).
const SCHEMA_MAX: i32 = 52;

/// Reads a histogram; the inner error says why it makes no sense.
pub(crate) fn read(message: &[u8]) -> Result<Result<Received, String>, Broken> {
    if message.len() > BYTES_MAX {
        return Err("a histogram of more than 1 MiB");
    }
    let (mut encoded, mut ts) = (Encoded::default(), 0);
    // Which of both kinds it is, its count says alone.
    let (mut floats, mut count, mut count_float) = (false, 0, 0.0);
    let (mut zero_count, mut zero_float) = (0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => (floats, count) = (false, value.varint()?),
            2 => (floats, count_float) = (true, value.double()?),
            3 => encoded.sum = value.double()?,
            4 => encoded.schema = small(unzigzag(value.varint()?)),
            5 => encoded.zero_threshold = value.double()?,
            6 => zero_count = value.varint()?,
            7 => zero_float = value.double()?,
            8 => encoded.negative.spans.push(Span::read(value.bytes()?)?),
            9 => value.each_varint(|n| encoded.negative.deltas.push(unzigzag(n)))?,
            10 => value.each_double(|n| encoded.negative.counts.push(n))?,
            11 => encoded.positive.spans.push(Span::read(value.bytes()?)?),
            12 => value.each_varint(|n| encoded.positive.deltas.push(unzigzag(n)))?,
            13 => value.each_double(|n| encoded.positive.counts.push(n))?,
            14 => encoded.reset_hint = hint(value.varint()?),
            15 => ts = value.int()?,
            16 => value.each_double(|n| encoded.custom_values.push(n))?,
            // Since when it counts (17) is not kept: a zero of histograms has no form that is known.
            _ => {}
        }
    }
    encoded.counts = if floats {
        EncodedCounts::Floats { count: count_float, zero_count: zero_float }
    } else {
        EncodedCounts::Whole { count, zero_count }
    };
    let ts = Timestamp(ts);
    if is_stale(encoded.sum) {
        return Ok(Ok(Received { ts, histogram: None }));
    }
    Ok(valid(encoded).map(|histogram| Received { ts, histogram: Some(histogram) }))
}

/// The histogram, if it makes sense: without empty buckets, and as coarse as is stored.
fn valid(encoded: Encoded) -> Result<Histogram, String> {
    let (mut histogram, counts) = encoded.histogram();
    let schema = histogram.schema;
    let is_too_fine = (Histogram::EXPONENTIAL_MAX + 1..=SCHEMA_MAX).contains(&schema);
    if is_too_fine {
        // What is checked does not depend on which schema it is.
        histogram.schema = Histogram::EXPONENTIAL_MAX;
    }
    let checked = counts.map_or_else(|| histogram.validate(), |counts| histogram.validate_whole(counts));
    checked.map_err(|why| why.to_string())?;
    histogram.schema = schema;
    if is_too_fine {
        histogram.coarsen(Histogram::EXPONENTIAL_MAX);
    }
    histogram.compact();
    Ok(histogram)
}

/// Of a number that fits nowhere the nearest that does, which no check lets through.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Buckets;
    use prost::Message as _;

    use super::*;
    use crate::proto::histogram::{self as proto, BucketSpan, Count, ZeroCount};

    fn whole() -> proto::Histogram {
        proto::Histogram {
            count: Some(Count::Int(7)),
            zero_count: Some(ZeroCount::Int(1)),
            sum: 2.5,
            schema: 3,
            zero_threshold: 0.001,
            positive_spans: vec![BucketSpan { offset: -2, length: 3 }],
            positive_deltas: vec![3, -3, 2],
            negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
            negative_deltas: vec![1],
            reset_hint: 2,
            timestamp: -5,
            start_timestamp: -9,
            ..proto::Histogram::default()
        }
    }

    fn received(message: &proto::Histogram) -> Result<Received, String> {
        read(&message.encode_to_vec()).unwrap()
    }

    #[test]
    fn both_kinds_of_counts_and_custom_bounds() {
        let one = received(&whole()).unwrap();
        assert_eq!(one.ts, Timestamp(-5));
        let histogram = one.histogram.unwrap();
        let expected = Histogram {
            schema: 3,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 7.0,
            sum: 2.5,
            positive: [(-2, 3.0), (0, 2.0)].into_iter().collect(),
            negative: Buckets::run(0, vec![1.0]),
            ..Histogram::default()
        };
        assert_eq!((&histogram, histogram.reset_hint), (&expected, ResetHint::NotReset));
        let custom = proto::Histogram {
            count: Some(Count::Float(1.5)),
            schema: -53,
            positive_spans: vec![BucketSpan { offset: 1, length: 1 }],
            positive_counts: vec![1.5],
            custom_values: vec![0.5, 1.0],
            ..proto::Histogram::default()
        };
        let histogram = received(&custom).unwrap().histogram.unwrap();
        assert_eq!(histogram.positive, [(1, 1.5)].into_iter().collect());
        assert_eq!((histogram.count, &histogram.custom_values[..]), (1.5, &[0.5, 1.0][..]));
    }

    #[test]
    fn a_stale_marker_is_no_histogram() {
        let stale = proto::Histogram { sum: model::sample::stale_nan(), ..whole() };
        assert!(received(&stale).unwrap().histogram.is_none());
    }

    #[test]
    fn what_is_too_fine_is_made_coarser() {
        let fine = proto::Histogram { schema: 9, ..whole() };
        let histogram = received(&fine).unwrap().histogram.unwrap();
        assert_eq!((histogram.schema, &histogram.positive), (8, &[(-1, 3.0), (0, 2.0)].into_iter().collect()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_upstreams_words() {
        for (message, why) in [
            (proto::Histogram { schema: 53, ..whole() }, "histogram has an invalid schema"),
            (proto::Histogram { schema: -9, ..whole() }, "histogram has an invalid schema"),
            (
                proto::Histogram { positive_deltas: vec![3], ..whole() },
                "positive side: spans need 3 buckets, have 1 buckets",
            ),
            (
                proto::Histogram { count: Some(Count::Int(8)), ..whole() },
                "7 observations found in buckets, but the Count field is 8",
            ),
            (proto::Histogram { count: None, ..whole() }, "7 observations found in buckets, but the Count field is 0"),
            (proto::Histogram { custom_values: vec![1.0], ..whole() }, "must not have custom bounds"),
        ] {
            let error = received(&message).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(read(&vec![0; BYTES_MAX + 1]).is_err() && read(b"\x18\x01").is_err());
    }
}
