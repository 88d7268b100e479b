//! YAML: text to a tree that knows the position of every value (`tree`), and values to text (`print`).

mod print;
mod tree;

pub use print::Yaml;
pub(crate) use tree::{Key, Kind, Pos, Tree, parse};
