/// A value as a node exporter has them: a third constant, counters of all speeds, decimals, a few full floats.
pub(crate) fn value(source: usize, column: usize, row: usize) -> f64 {
    let seed = (source * 7919 + column * 104_729) as u64;
    let (row, jitter) = (row as u64, (seed ^ row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
    match column % 20 {
        0..=6 => (seed % 1000) as f64,
        7..=10 => (seed % 100_000 + row / 7) as f64,
        11..=14 => (seed % 1_000_000 + row * (seed % 50) + jitter % 20) as f64,
        15..=16 => (seed * 1000 + row * 150_000 + jitter % 90_000) as f64,
        17 => (seed % 100_000 + row * 1413 + jitter % 30) as f64 / 100.0,
        18 => (jitter % 64) as f64,
        _ => (seed % 1000) as f64 + jitter as f64 / 16_777_259.0,
    }
}
