//! How numbers are distributed, as bars of text.

use std::io::{self, Write};

/// Prints how many of the numbers lie in each range, with a `#` for each percent of `total`.
pub(super) fn print(what: &str, mut numbers: Vec<usize>, total: usize, out: &mut dyn Write) -> io::Result<()> {
    numbers.sort_unstable();
    let (Some(least), Some(most)) = (numbers.first().copied(), numbers.last().copied()) else {
        return writeln!(out, "{what}: N/A\n");
    };
    let (start, end, step) = ranges(least, most);
    let mut bars = vec![0usize; (end - start) / step + 1];
    for number in &numbers {
        if let Some(bar) = bars.get_mut((number - start) / step) {
            *bar += 1;
        }
    }
    let sum: usize = numbers.iter().sum();
    writeln!(out, "{what} (min/avg/max): {least}/{}/{most}", sum / numbers.len())?;
    let width = |number: usize| number.to_string().len();
    let (left, right) = (width(end), width(end + step));
    let count = width(bars.iter().copied().max().unwrap_or(0));
    for (i, n) in bars.iter().enumerate() {
        let (from, to) = (i * step + start + 1, (i + 1) * step + start);
        let bar = "#".repeat(100 * n / total.max(1));
        writeln!(out, "[{from:left$}, {to:right$}]: {n:count$} {bar}")?;
    }
    writeln!(out)
}

/// Where the ranges begin and end, and how wide they are: about ten of them, by powers of ten.
fn ranges(least: usize, most: usize) -> (usize, usize, usize) {
    let wanted = (most - least) / 10;
    let mut step = 10;
    while step < wanted && step <= 10_000 {
        step *= 10;
    }
    (least - least % step, most - most % step + step, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(numbers: &[usize], total: usize) -> String {
        let mut out = Vec::new();
        print("samples", numbers.to_vec(), total, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_become_bars() {
        assert_eq!(printed(&[], 0), "samples: N/A\n\n");
        let expected = "samples (min/avg/max): 3/11/25\n[ 1, 10]: 2 ##################################################\n\
                        [11, 20]: 1 #########################\n[21, 30]: 1 #########################\n[31, 40]: 0 \n\n";
        assert_eq!(printed(&[25, 3, 4, 12], 4), expected);
        assert_eq!(ranges(100, 5000), (0, 6000, 1000));
    }
}
