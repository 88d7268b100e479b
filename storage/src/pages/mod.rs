//! Columns at rest. Drawn in `docs/formats/pages.md`.

pub(crate) mod column;
