//! The selector of what a rule writes.

/// `{"metric", "label"="value", …}`
pub(crate) fn selector<'a>(metric: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    // The escapes of JSON are among those of PromQL.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let labels = labels.map(|(name, value)| format!("{}={}", quoted(name), quoted(value)));
    let all: Vec<String> = std::iter::once(quoted(metric)).chain(labels).collect();
    format!("{{{}}}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted() {
        assert_eq!(selector("job:up", [].into_iter()), r#"{"job:up"}"#);
        let text = selector("a b", [("x.y", "\"\\\n")].into_iter());
        assert_eq!(text, r#"{"a b", "x.y"="\"\\\n"}"#);
        query::parse_selector(&text).unwrap();
    }
}
