//! The labels of one target, and groups of targets.

use std::collections::BTreeMap;
use std::fmt::Display;

use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup, TargetLabels};
use serde_json::Value;

use crate::host_port::host_port;
use crate::json::Json as _;

/// Makes a part of a label name of a key of a service: other characters become underscores.
pub(crate) fn sanitise(key: &str) -> String {
    // `strutil.SanitizeLabelName`, whatever names the job allows: `a.b` and `a-b` become one label.
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// The labels of a target, most of which begin alike. An empty value leaves no label.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    prefix: &'static str,
    labels: LabelsBuilder,
}

impl Meta {
    /// No labels; the prefix is that of `set` and the others: `__meta_consul_`.
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self { prefix, labels: LabelsBuilder::default() }
    }

    /// Sets the label of this name behind the prefix.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.labels.set(&format!("{}{name}", self.prefix), value);
    }

    /// Sets a label whose name ends with a key of the service.
    pub(crate) fn keyed(&mut self, name: &str, key: &str, value: impl Into<String>) {
        self.set(&format!("{name}{}", sanitise(key)), value);
    }

    /// Sets a label by its whole name.
    pub(crate) fn plain(&mut self, name: &str, value: impl Into<String>) {
        self.labels.set(name, value);
    }

    /// Sets the address.
    pub(crate) fn address(&mut self, host: &str, port: impl Display) {
        self.plain(ADDRESS, host_port(host, port));
    }

    /// Sets a label to all of a list, the separator around it as well, so that rules need not look where one stands. An empty list
    /// leaves no label.
    pub(crate) fn list<T: AsRef<str>>(&mut self, name: &str, separator: &str, items: &[T]) {
        if !items.is_empty() {
            self.set(name, separated(separator, items));
        }
    }

    /// Sets labels to what is at JSON pointers.
    pub(crate) fn texts(&mut self, of: &Value, fields: &[(&str, &str)]) {
        for (name, pointer) in fields {
            self.set(name, of.text(pointer));
        }
    }

    /// The same of numbers, which are 0 if they are missing.
    pub(crate) fn numbers(&mut self, of: &Value, fields: &[(&str, &str)]) {
        for (name, pointer) in fields {
            self.set(name, of.number(pointer));
        }
    }

    /// The same of booleans, which are false if they are missing.
    pub(crate) fn flags(&mut self, of: &Value, fields: &[(&str, &str)]) {
        for (name, pointer) in fields {
            self.set(name, of.is(pointer).to_string());
        }
    }

    /// Sets a label for each member of an object.
    pub(crate) fn members(&mut self, name: &str, of: &Value) {
        for (key, value) in of.members("") {
            self.keyed(name, key, value.text(""));
        }
    }

    /// Takes the labels of another.
    pub(crate) fn join(&mut self, other: &Self) {
        for (name, value) in other.labels.iter() {
            self.labels.set(name, value);
        }
    }

    /// Takes the labels of that one of several that has this key, if there is one.
    pub(crate) fn join_of(&mut self, others: &BTreeMap<String, Self>, key: &str) {
        if let Some(other) = others.get(key) {
            self.join(other);
        }
    }

    /// The value of a label by its whole name.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.labels.get(name)
    }

    pub(crate) fn labels(&self) -> Labels {
        self.labels.labels()
    }

    pub(crate) fn target(&self) -> TargetLabels {
        self.labels().into()
    }
}

/// The items with the separator between and around them.
pub(crate) fn separated<T: AsRef<str>>(separator: &str, items: &[T]) -> String {
    let mut text = separator.to_owned();
    for item in items {
        text.push_str(item.as_ref());
        text.push_str(separator);
    }
    text
}

/// A group whose targets have no labels in common.
pub(crate) fn group(source: impl Into<String>, targets: Vec<TargetLabels>) -> TargetGroup {
    TargetGroup { source: source.into(), labels: Labels::default(), targets }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_set_from_what_a_service_says() {
        let mut meta = Meta::new("__meta_x_");
        let said = json!({"id": 7, "name": "", "up": false, "tags": {"a.b": "1", "c": 2, "d": null}});
        meta.texts(&said, &[("id", "/id"), ("name", "/name"), ("gone", "/gone")]);
        meta.numbers(&said, &[("size", "/size")]);
        meta.flags(&said, &[("up", "/up")]);
        meta.members("tag_", &said["tags"]);
        meta.list("groups", ",", &["a", "b"]);
        meta.list::<&str>("none", ",", &[]);
        meta.address("2001:db8::1", 80);
        assert_eq!(
            meta.labels().to_string(),
            r#"{__address__="[2001:db8::1]:80", __meta_x_groups=",a,b,", __meta_x_id="7", __meta_x_size="0", __meta_x_tag_a_b="1", __meta_x_tag_c="2", __meta_x_up="false"}"#
        );
    }
}
