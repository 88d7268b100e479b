//! The text of a YAML document while it is written: lines, their indentation, and blanks between words, as go-yaml v2 sets them.

/// Spaces from one level to the next.
pub(super) const INDENT: usize = 2;
/// Past this column a line is broken where it can be.
pub(super) const WIDTH: usize = 80;

/// The text so far, and what stands at its end.
#[derive(Default)]
pub(super) struct Printer {
    pub(super) out: String,
    /// Characters of the last line.
    pub(super) column: usize,
    /// Nothing needs to stand between the last character and the next word.
    pub(super) is_blank: bool,
    /// The last line holds nothing but blanks, and marks of lists and of complex keys.
    pub(super) is_indentation: bool,
}

impl Printer {
    /// Begins a line, unless nothing stands on this one yet, and indents it.
    pub(super) fn line(&mut self, indent: usize) {
        let is_taken = self.column > indent || (self.column == indent && !self.is_blank);
        if !self.is_indentation || is_taken {
            self.line_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.is_blank = true;
        self.is_indentation = true;
    }

    /// A line break that is part of a text.
    pub(super) fn line_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.is_indentation = true;
    }

    pub(super) fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    /// A blank, if there is none yet.
    pub(super) fn space(&mut self) {
        if !self.is_blank {
            self.put(' ');
        }
    }

    /// A mark that begins something. If it `indents`, what follows may begin on its line.
    pub(super) fn mark(&mut self, mark: &str, indents: bool) {
        self.space();
        mark.chars().for_each(|c| self.put(c));
        self.is_blank = false;
        self.is_indentation &= indents;
    }

    /// A mark that ends something.
    pub(super) fn end(&mut self, mark: &str) {
        self.is_blank = true;
        self.mark(mark, false);
    }
}
