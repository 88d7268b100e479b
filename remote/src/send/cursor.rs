//! How far a remote got, on disk: one small file of text, replaced by renaming. Drawn in `docs/formats/directory.md`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use model::Timestamp;

const FILE: &str = "cursor";
const HEAD: &str = "weft remote write 1";

/// What a remote has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Everything before this is sent, but for what notes tell of.
    pub(super) sent_until: Timestamp,
    /// The number of the next exemplar.
    pub(super) exemplars: u64,
    /// What is being sent from there on.
    pub(super) window: Option<OpenWindow>,
}

/// A stretch of time whose requests are on their way. Which series is in which request follows from these numbers and its labels
/// alone, so that a request that is sent again after a crash has what it had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenWindow {
    /// Its end, which is not in it.
    pub(super) end: Timestamp,
    /// The number of the first exemplar after it.
    pub(super) exemplars_end: u64,
    /// Into how many passes the series are divided, and which one this is.
    pub(super) passes: u64,
    pub(super) pass: u64,
    /// Which slots of the pass are acknowledged.
    pub(super) acked: Vec<bool>,
}

impl Cursor {
    /// Of a remote that begins at a time.
    pub(super) fn at(sent_until: Timestamp, exemplars: u64) -> Self {
        Self { sent_until, exemplars, window: None }
    }

    /// Up to where the store was read.
    pub(super) fn cut(&self) -> Timestamp {
        self.window.as_ref().map_or(self.sent_until, |window| window.end)
    }

    /// The one in a directory, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn load(directory: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(directory.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is not a cursor of remote write");
        Self::parse(&text).map(Some).ok_or_else(damaged)
    }

    /// Replaces the one in a directory; `sync`: it is on the disk then, too.
    ///
    /// # Errors
    /// When it cannot be written; the one before stays.
    pub(super) fn store(&self, directory: &Path, url: &str, sync: bool) -> io::Result<()> {
        let (path, new) = (directory.join(FILE), directory.join("cursor.new"));
        let mut file = File::create(&new)?;
        file.write_all(self.text(url).as_bytes())?;
        if sync {
            file.sync_data()?;
        }
        fs::rename(new, path)
    }

    fn text(&self, url: &str) -> String {
        let mut text = format!("{HEAD}\nurl {url}\nsent_until {}\nexemplars {}\n", self.sent_until, self.exemplars);
        if let Some(OpenWindow { end, exemplars_end, passes, pass, acked }) = &self.window {
            write!(text, "window {end} {exemplars_end} {passes} {pass} ").ok();
            text.extend(acked.iter().map(|acked| if *acked { '1' } else { '0' }));
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|head| *head == HEAD)?;
        lines.next()?.strip_prefix("url ")?;
        let sent_until = Timestamp(lines.next()?.strip_prefix("sent_until ")?.parse().ok()?);
        let exemplars = lines.next()?.strip_prefix("exemplars ")?.parse().ok()?;
        let Some(line) = lines.next() else { return Some(Self::at(sent_until, exemplars)) };
        let mut parts = line.strip_prefix("window ")?.split(' ');
        let end = Timestamp(parts.next()?.parse().ok()?);
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (exemplars_end, passes, pass) = (number()?, number()?, number()?);
        let acked = parts.next()?.bytes().map(|byte| byte == b'1').collect();
        let window = OpenWindow { end, exemplars_end, passes, pass, acked };
        // What would make no progress, or divide by zero.
        (window.pass < passes && end > sent_until).then_some(Self { sent_until, exemplars, window: Some(window) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Cursor::load(folder.path()).unwrap(), None);
        let mut cursor = Cursor::at(Timestamp(-7), 3);
        for acked in [None, Some(vec![]), Some(vec![true, false, true])] {
            cursor.window =
                acked.map(|acked| OpenWindow { end: Timestamp(9), exemplars_end: 4, passes: 2, pass: 1, acked });
            cursor.store(folder.path(), "http://h/x y", true).unwrap();
            assert_eq!(Cursor::load(folder.path()).unwrap().as_ref(), Some(&cursor));
        }
        assert_eq!((cursor.cut(), Cursor::at(Timestamp(5), 0).cut()), (Timestamp(9), Timestamp(5)));
    }

    #[test]
    fn a_damaged_cursor_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let head = format!("{HEAD}\nurl u\nsent_until 5\nexemplars 0\n");
        for text in
            ["", "weft", &head[..20], &format!("{head}window 4 0 1 0 1\n"), &format!("{head}window 6 0 1 1 1\n")]
        {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(Cursor::load(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
