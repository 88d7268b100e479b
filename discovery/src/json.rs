//! JSON answers, read as Go reads them into structs: what is missing is the zero of its type.

use serde_json::Value;

static NULL: Value = Value::Null;

/// What is at a JSON pointer (RFC 6901): `/networks/0/ip`.
pub(crate) trait Json {
    /// The value; null if there is none.
    fn at(&self, pointer: &str) -> &Value;

    /// A string as it is, a number or a boolean as text; empty for everything else.
    fn text(&self, pointer: &str) -> String {
        match self.at(pointer) {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        }
    }

    /// The same of a number, which is 0 if it is missing.
    fn number(&self, pointer: &str) -> String {
        Some(self.text(pointer)).filter(|text| !text.is_empty()).unwrap_or_else(|| "0".to_owned())
    }

    /// A string; empty if it is none.
    fn str(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// A whole number; 0 if it is none.
    fn int(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or_default()
    }

    /// Is it true?
    fn is(&self, pointer: &str) -> bool {
        self.at(pointer).as_bool().unwrap_or_default()
    }

    /// The items of a list; none if it is none.
    fn items(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Refuses an answer that is neither a list nor null: taken for an empty list it would cost all targets.
    fn expect_list(&self) -> Result<(), String> {
        match self.at("") {
            Value::Null | Value::Array(_) => Ok(()),
            _ => Err("the answer is not a list".to_owned()),
        }
    }

    /// The same of an object.
    fn expect_object(&self) -> Result<(), String> {
        match self.at("") {
            Value::Null | Value::Object(_) => Ok(()),
            _ => Err("the answer is not an object".to_owned()),
        }
    }

    /// The strings of a list.
    fn strs(&self, pointer: &str) -> Vec<&str> {
        self.items(pointer).iter().filter_map(Value::as_str).collect()
    }

    /// The members of an object.
    fn members(&self, pointer: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.at(pointer).as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }
}

impl Json for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&NULL)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_zero() {
        let value = json!({"a": {"n": 7, "t": "x", "f": true, "l": ["p", 1, "q"], "z": null}});
        let texts = ["/a/n", "/a/t", "/a/f", "/a/z", "/a/l", "/b"].map(|pointer| value.text(pointer));
        assert_eq!(texts, ["7", "x", "true", "", "", ""]);
        assert_eq!((value.number("/a/n"), value.number("/b"), value.int("/a/n")), ("7".into(), "0".into(), 7));
        assert_eq!((value.str("/a/n"), value.is("/a/f"), value.is("/a/t")), ("", true, false));
        assert_eq!((value.strs("/a/l"), value.items("/b").len()), (vec!["p", "q"], 0));
        assert!(json!([1]).expect_list().is_ok() && json!(null).expect_list().is_ok());
        assert!(json!({}).expect_object().is_ok() && json!(null).expect_object().is_ok());
        assert!(json!({}).expect_list().is_err() && json!([]).expect_object().is_err());
        assert_eq!(value.members("/a").map(|(name, _)| name).collect::<String>(), "ntflz");
    }
}
