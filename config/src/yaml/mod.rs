//! YAML: text to a tree that knows the position of every value (`tree`), and values to text (`print`; `layout`, `scalar`,
//! `resolve` and `order` are its parts).

mod layout;
mod order;
mod print;
mod resolve;
mod scalar;
mod tree;

pub use print::Yaml;
pub(crate) use tree::{Key, Kind, Pos, Tree, parse, parse_all, parse_first};
