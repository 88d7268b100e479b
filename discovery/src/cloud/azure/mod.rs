//! `azure_sd_configs`: virtual machines of Azure (upstream: `discovery/azure`): `machines` what they become, `tokens` who may ask.

mod machines;
mod tokens;

pub(crate) use machines::new;
