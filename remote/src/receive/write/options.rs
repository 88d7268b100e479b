//! What of a request is stored besides its samples.

/// What is made of series beyond what the message says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Their types and units become labels, `__type__` and `__unit__`.
    pub type_labels: bool,
    /// A zero is stored where their counting began.
    pub start_zeros: bool,
}
