//! The binary; its parts follow.
fn main(){}
