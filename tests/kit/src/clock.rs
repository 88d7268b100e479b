//! A clock that a test sets for the server that it starts.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The system's clock of one process, off by as much as a test says.
#[derive(Debug)]
pub struct TestClock {
    library: PathBuf,
    offset: PathBuf,
}

impl TestClock {
    /// Right at first. Its files go into `folder`.
    ///
    /// # Panics
    /// When `tests/clock.c` cannot be compiled.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let (library, offset) = (folder.join("clock.so"), folder.join("offset"));
        fs::write(&offset, 0i64.to_le_bytes()).unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clock.c");
        let mut compiler = Command::new("clang");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]);
        assert!(compiler.status().unwrap().success());
        Self { library, offset }
    }

    /// The environment of the process that goes by it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", self.library.display().to_string()), ("TEST_CLOCK_OFFSET", self.offset.display().to_string())]
    }

    /// Sets it off by so many milliseconds. The file is mapped: it must not be cut.
    ///
    /// # Panics
    /// When its file is gone.
    pub fn set(&self, ms: i64) {
        File::options().write(true).open(&self.offset).unwrap().write_all(&ms.to_le_bytes()).unwrap();
    }
}
