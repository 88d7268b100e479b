//! `promtool check …`: reads files as the server does, and says what is wrong with them.

pub(crate) mod config;
mod lint;
pub(crate) mod rules;
