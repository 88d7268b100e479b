//! Runs commands in tests.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::outcome::Outcome;
use crate::streams::Streams;
use crate::{COMMANDS, commands};

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
    /// Both, as a terminal shows them.
    pub(crate) both: String,
}

/// Runs a command without input.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_with(args, b"")
}

/// Runs a command with this on its standard input.
pub(crate) fn run_with(args: &[&str], mut input: &[u8]) -> Ran {
    let both = Rc::new(RefCell::new(Vec::new()));
    let (mut out, mut err) = (Tee::to(&both), Tee::to(&both));
    let check_web_tls = |_: &config::WebTls, _| Err("the server refuses it".to_owned());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err, check_web_tls };
    let outcome = commands::run(COMMANDS, args, &mut streams).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { outcome, code: outcome.code(), out: text(&out.own), err: text(&err.own), both: text(&both.borrow()) }
}

/// Writes to a buffer of its own and to a shared one.
struct Tee {
    own: Vec<u8>,
    both: Rc<RefCell<Vec<u8>>>,
}

impl Tee {
    fn to(both: &Rc<RefCell<Vec<u8>>>) -> Self {
        Self { own: Vec::new(), both: Rc::clone(both) }
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.both.borrow_mut().extend_from_slice(bytes);
        self.own.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
