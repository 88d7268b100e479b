//! Addresses of targets.

use std::fmt::Display;

/// `host:port`, the host in brackets when it is an IPv6 address.
pub(crate) fn host_port(host: &str, port: impl Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
