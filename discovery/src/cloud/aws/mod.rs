//! The APIs of Amazon Web Services: `account` who asks and where, `keys` what requests are signed with,
//! `ec2` and `lightsail` the kinds of discovery.

mod account;
pub(crate) mod ec2;
mod keys;
pub(crate) mod lightsail;
