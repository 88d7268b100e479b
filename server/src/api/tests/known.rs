//! Recorded exchanges that differ, by name, and why.

const STABLE: &str = "extended selectors are always on since 3.16 (#19697)";

pub(super) const KNOWN: &[(&str, &str)] = &[
    ("anchored gated", STABLE),
    ("smoothed gated", STABLE),
    ("time min formatted", "upstream's time overflows here, ours does not"),
    ("time max formatted", "upstream's time overflows here, ours does not"),
    (
        "status tsdb (head only; blocks are not counted)",
        "upstream counts its head alone, which is empty here; Weft has no head",
    ),
];
