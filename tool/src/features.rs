//! `--enable-feature`: which parts of the query language are on.

use std::io::{self, Write};

use query::EngineOptions;

use crate::flags::Flags;
use crate::outcome::Stop;

/// The options that the named features make; the others are warned of, as upstream does.
pub(crate) fn options(flags: &Flags<'_>, out: &mut dyn Write) -> io::Result<EngineOptions> {
    let named = flags.list("enable-feature").unwrap_or_default();
    for name in named.iter().filter(|name| !is_known(name)) {
        writeln!(out, "  WARNING: Unknown feature passed to --enable-feature: {name}")?;
    }
    Ok(EngineOptions::default().with_features(named))
}

/// The named features, for commands of our own: a misspelt one is an error, since something else would silently be done.
pub(crate) fn known<'a>(flags: &Flags<'a>) -> Result<Vec<&'a str>, Stop> {
    let named = flags.list("enable-feature").unwrap_or_default();
    match named.iter().find(|name| !is_known(name)) {
        Some(unknown) => {
            let all: Vec<&str> = EngineOptions::features().chain(EngineOptions::ALWAYS_ON).collect();
            let all = all.join(", ");
            Err(Stop::Misuse(format!("unknown feature {unknown:?} in --enable-feature; there are {all}")))
        }
        None => Ok(named),
    }
}

fn is_known(name: &str) -> bool {
    EngineOptions::features().chain(EngineOptions::ALWAYS_ON).any(|known| known == name)
}
