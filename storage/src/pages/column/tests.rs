use proptest::prelude::*;

use super::*;

/// Encodes and decodes, and gives the bytes.
#[track_caller]
fn round_trip(values: &[f64]) -> Vec<u8> {
    let mut bytes = vec![];
    encode(values, &mut bytes);
    let mut out = vec![7.0];
    decode(&bytes, values.len(), &mut out).unwrap();
    assert_eq!(out.len(), values.len() + 1);
    for (i, (got, expected)) in out[1..].iter().zip(values).enumerate() {
        assert_eq!(got.to_bits(), expected.to_bits(), "value {i}: {got} for {expected}");
    }
    bytes
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1000i64..1000).prop_map(|n| n as f64),
        any::<i64>().prop_map(|n| n as f64),
        (-100_000i64..100_000, 0..15i32).prop_map(|(n, places)| n as f64 / 10f64.powi(places)),
        Just(-0.0),
        Just(model::sample::stale_nan()),
        Just(f64::INFINITY),
        Just(f64::from_bits(0x7ff8_0000_0000_0001)),
        Just(i64::MAX as f64),
        Just(i64::MIN as f64),
    ]
}

/// A counter with steps, resets and stale markers; decimals when `places` says so.
fn counter() -> impl Strategy<Value = Vec<f64>> {
    let steps = prop::collection::vec((0..1000u32, 0..1_000_000i64), 0..400);
    (steps, 0..6i32, 1..1000i64, any::<i32>()).prop_map(|(steps, places, factor, start)| {
        let mut n = i64::from(start).abs();
        let next = |(kind, step): &(u32, i64)| {
            n = if *kind < 5 { 0 } else { n + factor * (step % (i64::from(*kind) + 1)) };
            if *kind > 990 { model::sample::stale_nan() } else { n as f64 / 10f64.powi(places) }
        };
        steps.iter().map(next).collect()
    })
}

proptest! {
    #[test]
    fn any_bits_come_back(bits in prop::collection::vec(any::<u64>(), 0..300)) {
        round_trip(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
    }

    #[test]
    fn any_mixture_comes_back(values in prop::collection::vec(any_value(), 0..300)) {
        round_trip(&values);
    }

    #[test]
    fn integers_at_their_ends_come_back(
        ints in prop::collection::vec(prop_oneof![any::<i64>(), Just(i64::MAX), Just(i64::MIN), -4i64..4], 0..200),
    ) {
        round_trip(&ints.into_iter().map(|n| n as f64).collect::<Vec<_>>());
    }

    #[test]
    fn counters_come_back(values in counter()) {
        round_trip(&values);
    }

    #[test]
    fn few_kinds_of_values_in_runs_come_back(
        kinds in prop::collection::vec(any_value(), 1..4),
        runs in prop::collection::vec((0..4usize, 1..90usize), 0..12),
    ) {
        let values = runs.iter().flat_map(|&(kind, len)| vec![kinds[kind % kinds.len()]; len]);
        round_trip(&values.collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..500usize, kind in any::<u8>()) {
        let mut out = vec![];
        for head in [bytes.clone(), [vec![kind], bytes.clone()].concat(), [vec![ASIDE, 1], bytes].concat()] {
            if decode(&head, count, &mut out).is_err() {
                prop_assert!(out.is_empty());
            }
            out.clear();
        }
    }

    #[test]
    fn every_cut_is_refused_or_harmless(values in counter()) {
        let bytes = round_trip(&values);
        let mut out = vec![];
        for len in 0..bytes.len() {
            // A constant may be cut to another one: the page's checksum is what notices that.
            if decode(&bytes[..len], values.len(), &mut out).is_ok() {
                prop_assert!(bytes[0] >> 6 == 0 || bytes[0] == ASIDE);
            }
            out.clear();
        }
    }
}

#[test]
fn no_values_are_no_bytes() {
    assert_eq!(round_trip(&[]), []);
    assert!(decode(&[0], 0, &mut vec![]).is_err());
    assert!(decode(&[], 1, &mut vec![]).is_err());
}
