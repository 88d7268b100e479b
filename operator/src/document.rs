//! Builds mappings of a configuration.

use std::borrow::Cow;
use std::collections::BTreeMap;

use config::Yaml;

/// A mapping, in the order in which it is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping(Vec<(Cow<'static, str>, Yaml)>);

impl Mapping {
    /// Adds a field.
    pub(crate) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: impl ToYaml) {
        // At the end: the order is that of upstream, which people compare with.
        self.0.push((name.into(), value.to_yaml()));
    }

    /// Adds a field if there is a value.
    pub(crate) fn put_some(&mut self, name: &'static str, value: Option<impl ToYaml>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Adds a field that is a text or a list, if it is not empty.
    pub(crate) fn put_filled(&mut self, name: &'static str, value: &(impl ToYaml + Filled + ?Sized)) {
        if value.is_filled() {
            self.put(name, value);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_yaml(self) -> Yaml {
        Yaml::Map(self.0)
    }
}

/// What becomes a value of a configuration.
pub(crate) trait ToYaml {
    fn to_yaml(&self) -> Yaml;
}

/// What may be empty, which is the same as not set.
pub(crate) trait Filled {
    fn is_filled(&self) -> bool;
}

impl<T: ToYaml + ?Sized> ToYaml for &T {
    fn to_yaml(&self) -> Yaml {
        (**self).to_yaml()
    }
}

impl ToYaml for str {
    fn to_yaml(&self) -> Yaml {
        Yaml::text(self)
    }
}

impl Filled for str {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }
}

impl ToYaml for String {
    fn to_yaml(&self) -> Yaml {
        Yaml::text(self.as_str())
    }
}

impl Filled for String {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }
}

impl ToYaml for bool {
    fn to_yaml(&self) -> Yaml {
        Yaml::raw(self)
    }
}

impl ToYaml for i64 {
    fn to_yaml(&self) -> Yaml {
        Yaml::raw(self)
    }
}

impl ToYaml for f64 {
    fn to_yaml(&self) -> Yaml {
        Yaml::raw(self)
    }
}

impl ToYaml for Yaml {
    fn to_yaml(&self) -> Yaml {
        self.clone()
    }
}

impl ToYaml for Mapping {
    fn to_yaml(&self) -> Yaml {
        Yaml::Map(self.0.clone())
    }
}

impl<T: ToYaml> ToYaml for [T] {
    fn to_yaml(&self) -> Yaml {
        Yaml::List(self.iter().map(ToYaml::to_yaml).collect())
    }
}

impl<T> Filled for [T] {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }
}

impl<T: ToYaml> ToYaml for Vec<T> {
    fn to_yaml(&self) -> Yaml {
        self.as_slice().to_yaml()
    }
}

impl<T> Filled for Vec<T> {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }
}

// Sorted, as Go prints maps.
impl<T: ToYaml> ToYaml for BTreeMap<String, T> {
    fn to_yaml(&self) -> Yaml {
        Yaml::Map(self.iter().map(|(key, value)| (key.clone().into(), value.to_yaml())).collect())
    }
}

impl<T> Filled for BTreeMap<String, T> {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }
}
