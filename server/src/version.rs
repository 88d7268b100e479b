//! What this program says it is.

/// The version of Prometheus whose behaviour this is: clients such as Grafana choose what to ask for by it.
pub(crate) const COMPATIBLE: &str = "3.16.0";
/// Our own.
pub(crate) const WEFT: &str = env!("CARGO_PKG_VERSION");
/// What `--version` prints behind the name.
pub(crate) const LONG: &str = concat!(env!("CARGO_PKG_VERSION"), " (compatible with Prometheus 3.16.0)");
