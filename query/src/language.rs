//! What an engine knows of the language, by name: for clients that complete queries.

use crate::engine::Engine;
use crate::functions::FUNCTIONS;
use crate::parse::ast::{AggregateOp, BinaryOp};
use crate::parse::keywords;

/// Words of the language, each with whether this engine takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    /// Modifiers such as `offset` and `by`.
    pub keywords: Vec<(&'static str, bool)>,
    /// Operators between vectors, of matchers and of times, and aggregations.
    pub operators: Vec<(&'static str, bool)>,
    /// Functions.
    pub functions: Vec<(&'static str, bool)>,
}

impl Engine {
    /// The words that this engine takes, and those that it would take with other features.
    #[must_use]
    pub fn language(&self) -> Language {
        let options = self.options();
        let keywords = keywords().map(|(name, is_fill)| (name, !is_fill || options.fill_modifiers)).collect();
        let binary = BinaryOp::ALL.iter().map(|(name, op)| (*name, *op != BinaryOp::Default || options.extensions));
        let aggregations =
            AggregateOp::ALL.iter().map(|(name, op)| (*name, !op.experimental() || options.experimental_functions));
        // Of matchers, and of times.
        let others = ["=~", "!~", "@"].map(|name| (name, true));
        let functions = FUNCTIONS.iter().map(|function| {
            let is_on = (!function.experimental || options.experimental_functions)
                && (!function.extension || options.extensions);
            (function.name, is_on)
        });
        Language {
            keywords,
            operators: binary.chain(aggregations).chain(others).collect(),
            functions: functions.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineOptions;

    #[test]
    fn what_is_off_is_refused_and_what_is_on_is_taken() {
        for options in [
            EngineOptions::default(),
            EngineOptions::default().with_features(["promql-experimental-functions", "promql-extensions"]),
        ] {
            let engine = Engine::new(options);
            for (name, is_on) in engine.language().functions {
                // With the wrong number of arguments, which is looked at after the name.
                let error = engine.check(&format!("{name}(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)"));
                let error = error.err().map(|error| error.to_string()).unwrap_or_default();
                let refused = error.contains("is not enabled") || error.contains("unknown function");
                assert_eq!(refused, !is_on, "{name}: {error}");
            }
            for (name, is_on) in engine.language().operators {
                let text = match name {
                    "=~" | "!~" => format!("a{{b{name}'c'}}"),
                    "@" => "a @ 1".to_owned(),
                    "topk" | "bottomk" | "quantile" | "limitk" | "limit_ratio" => format!("{name}(1, a)"),
                    "count_values" => format!("{name}('b', a)"),
                    _ if AggregateOp::from_name(name).is_some() => format!("{name}(a)"),
                    _ => format!("a {name} b"),
                };
                assert_eq!(engine.check(&text).is_ok(), is_on, "{text}");
            }
        }
    }

    #[test]
    fn fill_modifiers_are_keywords_that_can_be_off() {
        let of = |options: EngineOptions| Engine::new(options).language().keywords;
        let fill = |on: bool| ["fill", "fill_left", "fill_right"].map(|name| (name, on));
        let off = of(EngineOptions::default());
        assert!(fill(false).iter().all(|word| off.contains(word)) && off.contains(&("offset", true)));
        assert!(off.iter().all(|(name, _)| *name != "start"));
        let on = of(EngineOptions { fill_modifiers: true, ..EngineOptions::default() });
        assert!(fill(true).iter().all(|word| on.contains(word)));
    }
}
