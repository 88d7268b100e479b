//! What `promtool diff-query` says of many expressions.

/// Its verdicts.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// The same on both.
    pub same: usize,
    /// Of these, those that find something.
    pub not_empty: usize,
    /// The names of those that find nothing.
    pub empty: Vec<String>,
    /// What is told of each.
    pub differ: Vec<String>,
    pub fail: Vec<String>,
}

impl Verdicts {
    /// Reads what it printed.
    pub fn read(&mut self, printed: &str) {
        // The verdict on one begins a line; what belongs to it is indented, or a line of the expression.
        let mut into: Option<&mut Vec<String>> = None;
        for line in printed.lines() {
            if let Some(told) = line.strip_prefix("same     ") {
                into = None;
                self.same += 1;
                if told.contains("(instant: 0 series") && !has_range(told) {
                    self.empty.push(told.to_owned());
                } else {
                    self.not_empty += 1;
                }
            } else if line.starts_with("differs  ") {
                self.differ.push(line.to_owned());
                into = Some(&mut self.differ);
            } else if line.starts_with("fails    ") {
                self.fail.push(line.to_owned());
                into = Some(&mut self.fail);
            } else if let Some(last) = into.as_mut().and_then(|into| into.last_mut()) {
                last.push('\n');
                last.push_str(line);
            }
        }
    }

    /// How many there are of each, and which find nothing.
    pub fn summary(&self) -> String {
        let all = self.same + self.differ.len() + self.fail.len();
        format!(
            "{all} expressions: {} the same, {} of them not empty, {} differ, {} fail; empty are\n  {}",
            self.same,
            self.not_empty,
            self.differ.len(),
            self.fail.len(),
            self.empty.join("\n  ")
        )
    }
}

/// Does the range have series?
fn has_range(told: &str) -> bool {
    let range = told.rsplit("range: ").next().unwrap_or_default();
    told.contains("range: ") && !range.starts_with("0 series")
}
