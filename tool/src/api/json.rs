//! JSON as Go's encoder writes it.

use std::collections::BTreeMap;

/// Adds a string in quotes. Signs of HTML are escaped.
pub(crate) fn push_string(out: &mut String, text: &str) {
    // Keys and values of a map of strings cannot fail.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    for c in quoted.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Adds an object of strings.
pub(crate) fn push_map<N: AsRef<str>, V: AsRef<str>>(out: &mut String, map: impl IntoIterator<Item = (N, V)>) {
    out.push('{');
    for (i, (name, value)) in map.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name.as_ref());
        out.push(':');
        push_string(out, value.as_ref());
    }
    out.push('}');
}

/// Adds a list, each item by `push`.
pub(crate) fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// The labels of an object of the API, sorted by name.
pub(crate) fn labels(json: &serde_json::Value) -> Result<BTreeMap<String, String>, String> {
    let Some(object) = json.as_object() else { return Err(format!("{json} is not a set of labels")) };
    let pair = |(name, value): (&String, &serde_json::Value)| {
        let value =
            value.as_str().ok_or_else(|| format!("the label {name} has the value {value}, which is not text"))?;
        Ok((name.clone(), value.to_owned()))
    };
    object.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let mut out = String::new();
        push_string(&mut out, "a\"\\<b>&\u{2028}\n\u{1}é\u{7f}");
        assert_eq!(out, "\"a\\\"\\\\\\u003cb\\u003e\\u0026\\u2028\\n\\u0001é\u{7f}\"");
        let mut out = String::new();
        push_map(&mut out, [("a", "1"), ("b", "<")]);
        push_list(&mut out, &[1, 2], |out, n| out.push_str(&n.to_string()));
        assert_eq!(out, r#"{"a":"1","b":"\u003c"}[1,2]"#);
    }
}
