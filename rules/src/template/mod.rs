//! Go templates of labels and annotations: Go's `text/template` with the functions that Prometheus adds (decision 0044).
//!
//! A text is parsed once, when rules are loaded (`lex`, `literal`, `parse`, to a `tree`), and expanded at each evaluation
//! (`exec`, `call`, `functions`), within bounds (`budget`). Results and errors are Go's; texts are UTF-8, so what Go would cut
//! within a character has U+FFFD there.

mod budget;
mod call;
mod data;
mod exec;
mod format;
mod functions;
mod lex;
mod literal;
mod parse;
mod quote;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod value;

use std::rc::Rc;
use std::sync::Arc;

use self::parse::Trees;
use self::value::{Alert, Value};

pub use self::data::{TemplateData, TemplateError};
pub use self::functions::template_functions;
pub use self::time::duration_text;

/// Variables that every template of an alert has.
const PRELUDE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}\
                       {{$value := .Value}}";

/// A template of a label or an annotation.
#[derive(Debug)]
pub struct Template {
    name: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// A text without actions is its own expansion.
    Constant(Arc<str>),
    Parsed {
        text: String,
        trees: Trees,
    },
}

impl Template {
    /// Parses the text of a label or an annotation. Upstream names it by its rule, `__alert_` and the alert's name.
    ///
    /// # Errors
    /// When it is no template, or uses functions or variables that do not exist.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self { name: name.to_owned(), body: Body::Constant(Arc::from(text)) });
        }
        // Parsed as one, as upstream does: errors are located behind the variables.
        Self::without_prelude(name, &format!("{PRELUDE}{text}"))
    }

    fn without_prelude(name: &str, text: &str) -> Result<Self, TemplateError> {
        let trees = parse::parse(name, text)?;
        Ok(Self { name: name.to_owned(), body: Body::Parsed { text: text.to_owned(), trees } })
    }

    /// Is the text its own expansion, whatever the data?
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self.body, Body::Constant(_))
    }

    /// The text for one alert.
    ///
    /// # Errors
    /// When a function fails or is called with what it does not take, a field does not exist, a query fails, or the template
    /// exceeds its bounds.
    pub fn expand(&self, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        let root = Value::Alert(Rc::new(Alert {
            labels: data.sample.labels.clone(),
            external_labels: data.external_labels.clone(),
            external_url: Arc::from(data.external_url),
            value: value::of_sample(data.sample),
        }));
        self.expand_value(root, data)
    }

    fn expand_value(&self, root: Value, data: &TemplateData<'_>) -> Result<String, TemplateError> {
        match &self.body {
            Body::Constant(text) => Ok(text.to_string()),
            Body::Parsed { text, trees } => exec::expand(&self.name, text, trees, root, data),
        }
    }
}
