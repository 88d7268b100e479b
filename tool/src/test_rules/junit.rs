//! Results of tests as JUnit's XML, for CI systems. (Prometheus: `util/junitxml`.)

use std::error::Error;

use model::Timestamp;

/// The results of all files.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Suite>);

/// The results of a file.
#[derive(Debug)]
pub(super) struct Suite {
    name: String,
    began: Timestamp,
    cases: Vec<Case>,
}

/// The result of a test.
#[derive(Debug, Default)]
struct Case {
    name: String,
    failures: Vec<String>,
    error: Option<String>,
}

impl Report {
    /// Begins the results of a file.
    pub(super) fn suite(&mut self, name: &str) -> &mut Suite {
        self.0.push_mut(Suite { name: name.to_owned(), began: Timestamp::now(), cases: Vec::new() })
    }

    /// The elements and attributes that upstream writes.
    pub(super) fn to_xml(&self) -> String {
        let suites: String = self.0.iter().map(Suite::to_xml).collect();
        format!("<testsuites>{suites}</testsuites>")
    }
}

impl Suite {
    /// Adds the result of a test.
    pub(super) fn add(&mut self, name: String, failures: &[String]) {
        self.cases.push(Case { name, failures: failures.to_vec(), error: None });
    }

    /// The tests could not be run. Returns the errors as texts.
    pub(super) fn abort<E: Error + 'static>(&mut self, errors: &[E]) -> Vec<String> {
        let texts: Vec<String> = errors.iter().map(|error| model::with_causes(error)).collect();
        self.cases.push(Case { name: "unknown".to_owned(), error: Some(texts.join("\n")), ..Case::default() });
        texts
    }

    fn to_xml(&self) -> String {
        let (n_tests, name) = (self.cases.len(), escaped(&self.name));
        let n_failures: usize = self.cases.iter().map(|case| case.failures.len()).sum();
        let n_errors = self.cases.iter().filter(|case| case.error.is_some()).count();
        let began = jiff::Timestamp::from_millisecond(self.began.0).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S");
        let cases: String = self.cases.iter().map(Case::to_xml).collect();
        format!(
            r#"<testsuite name="{name}" tests="{n_tests}" failures="{n_failures}" errors="{n_errors}" skipped="0" timestamp="{began}">{cases}</testsuite>"#
        )
    }
}

impl Case {
    fn to_xml(&self) -> String {
        let element = |name: &str, text: &str| format!("<{name}>{}</{name}>", escaped(text));
        let failures: String = self.failures.iter().map(|failure| element("failure", failure)).collect();
        let error = self.error.as_deref().map(|error| element("error", error)).unwrap_or_default();
        format!(r#"<testcase name="{}">{failures}{error}</testcase>"#, escaped(&self.name))
    }
}

/// A text as an attribute or between tags, escaped as Go does.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            // XML has no way to write these, as `--diff` does.
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_texts() {
        let mut report = Report::default();
        let suite = report.suite("a&b.yml");
        suite.began = Timestamp(1_700_000_000_000);
        suite.add("good".to_owned(), &[]);
        suite.add("bad".to_owned(), &["exp: \"<1>\"\n\u{1b}".to_owned(), "'".to_owned()]);
        let suite = report.suite("c.yml");
        suite.began = Timestamp(0);
        let errors = [std::fmt::Error, std::fmt::Error];
        let text = std::fmt::Error.to_string();
        assert_eq!(suite.abort(&errors), [text.as_str(); 2]);
        let expected = format!(
            "<testsuites><testsuite name=\"a&amp;b.yml\" tests=\"2\" failures=\"2\" errors=\"0\" skipped=\"0\" \
             timestamp=\"2023-11-14T22:13:20\"><testcase name=\"good\"></testcase><testcase name=\"bad\"><failure>exp: \
             &#34;&lt;1&gt;&#34;&#xA;\u{fffd}</failure><failure>&#39;</failure></testcase></testsuite><testsuite \
             name=\"c.yml\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\" timestamp=\"1970-01-01T00:00:00\">\
             <testcase name=\"unknown\"><error>{text}&#xA;{text}</error></testcase></testsuite></testsuites>"
        );
        assert_eq!(report.to_xml(), expected);
    }
}
