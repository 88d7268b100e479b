//! What a command gets from the program that it is a part of: where it reads and prints, and what only the server can do.

use std::fmt;
use std::io::{Read, Write};

use config::WebTls;

/// The standard streams of a command, and a check that the server does when it starts.
pub struct Streams<'a> {
    /// The standard input.
    pub input: &'a mut dyn Read,
    /// The standard output: results.
    pub out: &'a mut dyn Write,
    /// The standard error: what is wrong.
    pub err: &'a mut dyn Write,
    /// Reads the certificates and keys of a web configuration as the server does; with HTTP/2 or without.
    pub check_web_tls: fn(&WebTls, bool) -> Result<(), String>,
}

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}
