//! `promtool schema config`, `scrape-configs`, `rules`, `rule-tests`, `web`: JSON schemas of the files, for editors.

use config::{SchemaOf, json_schema};

use crate::flags::{Flags, Known};
use crate::outcome::{Outcome, Stop};
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool schema config|scrape-configs|rules|rule-tests|web";

/// Prints the schema of the kind of file that is named.
pub(crate) fn schema(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, Known::NONE)?;
    let known = || SchemaOf::ALL.map(SchemaOf::name).join(", ");
    let [name] = flags.files.as_slice() else {
        return Err(Stop::Misuse(format!("name one kind of file: {}", known())));
    };
    match SchemaOf::ALL.into_iter().find(|of| of.name() == *name) {
        Some(of) => write!(streams.out, "{}", json_schema(of))?,
        None => return Err(Stop::Misuse(format!("no schema of {name:?}; there are those of {}", known()))),
    }
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn each_kind_is_printed() {
        for of in SchemaOf::ALL {
            let ran = run(&["schema", of.name()]);
            assert_eq!((ran.outcome, ran.out), (Outcome::Passed, json_schema(of)), "{}", of.name());
            assert!(USAGE.contains(of.name()), "{}", of.name());
        }
        for args in [&["schema"][..], &["schema", "config", "rules"], &["schema", "prometheus"]] {
            let ran = run(args);
            assert!(ran.outcome == Outcome::Misused && ran.err.contains("scrape-configs, rules"), "{}", ran.err);
        }
    }
}
