//! `label_replace` and `label_join`: new labels for series, whatever their values.

use model::labels::METRIC_NAME;
use model::regex::CapturingRegex;
use model::{Labels, LabelsBuilder};

use crate::Error;
use crate::parse::Text;
use crate::value::Series;

/// Gives every series whose `source` label matches wholly the label `target`, expanded from `replacement`.
pub(crate) fn replace(series: &mut [Series], args: [&str; 4]) -> Result<(), Error> {
    let [target, replacement, source, pattern] = args;
    let regex = CapturingRegex::new(pattern)
        .map_err(|_| Error::execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    for one in series {
        if let Some(value) = regex.expand(one.labels.value(source), replacement) {
            set(one, target, value);
        }
    }
    Ok(())
}

/// What is said of a name that no label can have.
pub(crate) fn no_target(function: &'static str) -> impl Fn(&Text) -> String {
    move |name| format!("invalid destination label name in {function}(): {}", name.lossy())
}

/// Gives every series the label `target`: the values of `sources`, joined.
pub(crate) fn join(series: &mut [Series], target: &str, separator: &str, sources: &[&str]) {
    for one in series {
        let values: Vec<&str> = sources.iter().map(|name| one.labels.value(name)).collect();
        let value = values.join(separator);
        set(one, target, value);
    }
}

fn set(series: &mut Series, target: &str, value: String) {
    let mut builder = LabelsBuilder::new(&series.labels);
    builder.set(target, value);
    series.labels = builder.labels();
    if target == METRIC_NAME {
        series.drop_name = false;
    }
}

/// The labels that `absent` gives its only series: those that equality matchers fix, each named once.
pub(crate) fn fixed_by(matchers: &[model::Matcher]) -> Labels {
    let mut builder = LabelsBuilder::default();
    for (i, matcher) in matchers.iter().enumerate() {
        let once = !matchers.iter().enumerate().any(|(j, other)| j != i && other.name == matcher.name);
        if matcher.name != METRIC_NAME && matcher.op == model::MatchOp::Equal && once {
            builder.set(&matcher.name, matcher.value.as_str());
        }
    }
    builder.labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> [Series; 1] {
        let labels = Labels::from_pairs([("__name__", "m"), ("src", "source-10")]);
        [Series::of_floats(labels, true, vec![1.0])]
    }

    #[test]
    fn groups_and_joins() {
        let mut s = series();
        replace(&mut s, ["dst", "value-$1", "src", "source-(.*)"]).unwrap();
        assert_eq!(s[0].labels.value("dst"), "value-10");
        join(&mut s, "__name__", "_", &["src", "dst"]);
        assert_eq!((s[0].labels.name(), s[0].drop_name), ("source-10_value-10", false));
        assert!(replace(&mut s, ["dst", "", "src", "("]).is_err());
    }
}
