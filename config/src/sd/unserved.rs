//! Discoveries that are not served yet: they find no targets.

use crate::schema::Opaque;

/// A discovery whose settings are not described.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnservedSd {
    /// The name of the field: `oci_sd_configs`.
    pub kind: &'static str,
    pub(crate) settings: Opaque,
}

/// The kinds whose settings are not described: they are accepted and printed as they are.
pub(crate) const KINDS: [&str; 4] = ["aws_sd_configs", "nerve_sd_configs", "oci_sd_configs", "serverset_sd_configs"];
