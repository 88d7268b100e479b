//! Recorded exchanges that differ, by name, and why.

pub(super) const KNOWN: &[(&str, &str)] = &[
    ("time min formatted", "upstream's time overflows here, ours does not"),
    ("time max formatted", "upstream's time overflows here, ours does not"),
    (
        "status tsdb (head only; blocks are not counted)",
        "upstream counts its head alone, which is empty here; Weft has no head",
    ),
];
