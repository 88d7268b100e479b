//! The web page: what `ui/` was built into, as it is embedded in the binary, and the paths that lead to it.
//!
//! Every page of the UI is the same document; the path says which page a browser shows. All that the document refers to is
//! relative to it, so it works below any prefix and behind any proxy.

mod assets;
mod document;
mod old_paths;
mod pages;

pub(super) use assets::asset;
pub(super) use document::document;
pub(super) use old_paths::{consoles, graph, home, prefix};
pub(super) use pages::PAGES;
