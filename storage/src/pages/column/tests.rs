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

/// Steps of a deterministic column.
fn noise(i: usize, below: u64) -> f64 {
    ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).wrapping_mul(below).wrapping_shr(31) as f64
}

fn summed(samples: usize, start: f64, divisor: f64, step: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut total = start;
    let next = |i| {
        total += step(i);
        total / divisor
    };
    (0..samples).map(next).collect()
}

#[test]
fn constants_take_their_digits() {
    let stale = model::sample::stale_nan();
    for (value, bytes) in [(0.0, 1), (1.0, 2), (-1.0, 2), (0.37, 2), (4096e5, 4), (1_700_000_000.123, 7)] {
        assert_eq!((round_trip(&[value; 240]).len(), round_trip(&[value]).len()), (bytes, bytes), "{value}");
    }
    for (value, bytes) in [(f64::INFINITY, 3), (-0.0, 2), (0.5, 2), (1e300, 9), (std::f64::consts::PI, 9), (stale, 9)] {
        assert_eq!(round_trip(&[value; 5760]).len(), bytes, "{value}");
    }
}

/// Sizes may shrink: then they shrink here too.
#[test]
fn no_class_of_columns_grows() {
    let stale = model::sample::stale_nan();
    let small: Vec<f64> = (0..480).map(|i| noise(i, 16)).collect();
    let staled = [&small[..479], &[stale]].concat();
    let reset: Vec<f64> = (0..240)
        .map(|i| (if i < 100 { 5e6 + 30.0 * i as f64 } else { 31.0 * (i - 100) as f64 }) + noise(i, 4))
        .collect();
    let idle: Vec<f64> = (0..240).map(|i| if i / 60 == 2 { noise(i, 1000) / 1000.0 } else { f64::NAN }).collect();
    for (name, values, bytes) in [
        ("small integers", small, 251),
        ("small integers and a stale marker", staled, 256),
        ("constant, then stale", [vec![5.0; 100], vec![stale; 3]].concat(), 7),
        ("slow counter", summed(480, 1e4, 1.0, |i| f64::from(u8::from(i % 23 == 7))), 34),
        ("counter", summed(480, 1e6, 1.0, |i| 900.0 + noise(i, 100)), 434),
        ("counter of few samples", summed(40, 1e6, 1.0, |i| 900.0 + noise(i, 100)), 42),
        ("counter with a reset", reset, 105),
        ("counter that is mostly idle", summed(240, 1e6, 1.0, |i| if i % 4 == 0 { noise(i, 1000) } else { 0.0 }), 113),
        ("seconds of CPU", summed(480, 1e6, 100.0, |i| 1400.0 + noise(i, 60)), 374),
        ("memory", summed(480, 4096e5, 1.0, |i| (noise(i, 100) - 50.0) * 4096.0), 437),
        ("an accelerating counter", summed(480, 0.0, 1.0, |i| (i * 1000) as f64 + noise(i, 4)), 193),
        ("large integers", summed(480, 1.7e18, 1.0, |i| 15e9 + noise(i, 1000) * 1024.0), 683),
        ("single-precision floats", (0..480).map(|i| f64::from(noise(i, 1000) as f32 / 777.0)).collect(), 1654),
        ("sum of floats", summed(480, 1e4, 1.0, |i| 1.0 + noise(i, 1000) / 777.0), 2420),
        ("NaN with an hour of decimals", idle, 89),
        ("two floats by turns", (0..480).map(|i| 1.0 / (3.0 + noise(i, 2))).collect(), 87),
    ] {
        assert_eq!(round_trip(&values).len(), bytes, "{name}, {} values", values.len());
    }
}

/// The examples of `docs/formats/pages.md`.
#[test]
fn the_documented_examples_hold() {
    let stale = model::sample::stale_nan();
    assert_eq!(round_trip(&[0.37; 40]), [0x02, 0x4a]);
    let reset = [100.0, 102.5, 105.5, 107.5, 110.5, stale, 0.5, 3.0, 6.0, 8.5];
    let documented = [0xc0, 0x01, 0x05, 0x01, 0x00, 0x91, 0x05, 0xd0, 0x0f, 0x08, 0x42, 0x89, 0x64, 0x84, 0xbf, 0x03];
    assert_eq!(round_trip(&reset), documented);
    let sparse = [7.0, 7.0, 7.0, 7.0, 7.0, 40.0, 40.0, 40.0, 40.0, 40.0, 40.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0];
    assert_eq!(round_trip(&sparse), [0x50, 0x0e, 0x37, 0x86, 0x10, 0x04, 0x3d, 0x00]);
}
