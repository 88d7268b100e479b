//! Writes label sets one after another. Neighbouring series share most of their labels; these are copied from the output
//! of the series before instead of being escaped again.

use std::ops::Range;

use model::Labels;

use super::json::label_string;

/// Writes label sets into one text, which must not be shortened meanwhile.
#[derive(Debug, Default)]
pub(crate) struct LabelSets<'a> {
    /// The pairs of the last set, and where each was written: `"name":"value"`.
    last: Vec<(&'a str, &'a str, Range<usize>)>,
}

impl<'a> LabelSets<'a> {
    /// `{"job":"a"}`
    pub(crate) fn write(&mut self, out: &mut String, labels: &'a Labels) {
        out.push('{');
        let mut count = 0;
        for (name, value) in labels {
            if count > 0 {
                out.push(',');
            }
            let from = out.len();
            match self.last.get(count) {
                // Values first: names are equal nearly always, values tell sets apart. Copying the written pair skips
                // its escaping.
                Some((last_name, last_value, range)) if *last_value == value && *last_name == name => {
                    out.extend_from_within(range.clone());
                }
                _ => {
                    label_string(out, name);
                    out.push(':');
                    label_string(out, value);
                }
            }
            // Also a pair that was copied: the next set copies from the nearest place, which is likelier to be in the
            // cache.
            let written = (name, value, from..out.len());
            match self.last.get_mut(count) {
                Some(last) => *last = written,
                None => self.last.push(written),
            }
            count += 1;
        }
        // A shorter set must not leave pairs of an earlier one behind.
        self.last.truncate(count);
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::format;

    #[test]
    fn as_each_by_itself() {
        let odd = ["a", "b", "\"", "x\\y", "long enough to be more than one word", "é\u{1}"];
        // All pairs of sets that follow each other, with labels that come, go, move and change.
        let sets: Vec<Labels> = (0..300)
            .map(|i: usize| {
                let pairs = (0..5).filter(|n| (i * 7 + i / 3) >> n & 1 == 0);
                Labels::from_pairs(pairs.map(|n| (format!("l{n}"), odd[(i / (n + 1) + n) % odd.len()])))
            })
            .collect();
        let (mut out, mut expected, mut writer) = (String::new(), String::new(), LabelSets::default());
        for set in &sets {
            writer.write(&mut out, set);
            format::object(&mut expected, set, format::label_string);
        }
        assert_eq!(out, expected);
    }
}
