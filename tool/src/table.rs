//! Columns of text, as Go's `tabwriter` aligns them.

use std::io::{self, Write};

/// How wide columns are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// The least width.
    pub(crate) min: usize,
    /// Blanks behind the widest cell.
    pub(crate) padding: usize,
    /// Is the last column padded as well?
    pub(crate) pad_last: bool,
}

impl Columns {
    /// Prints rows, which all have as many cells.
    pub(crate) fn print(self, rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
        let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..n_columns).map(|at| self.width(rows, at)).collect();
        for row in rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(cell);
                if self.pad_last || at + 1 < n_columns {
                    line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn width(self, rows: &[Vec<String>], at: usize) -> usize {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count() + self.padding).max().unwrap_or(0).max(self.min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["ccéc".to_owned(), "dddd".to_owned()]];
        let printed = |columns: Columns| {
            let mut out = Vec::new();
            columns.print(&rows, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(printed(Columns { min: 4, padding: 2, pad_last: true }), "a     b     \nccéc  dddd  \n");
        assert_eq!(printed(Columns { min: 8, padding: 1, pad_last: false }), "a       b\nccéc    dddd\n");
    }
}
