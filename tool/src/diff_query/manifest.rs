//! Rules and dashboards in objects of Kubernetes: PrometheusRule, ConfigMap, and lists of these.

use config::Yaml;

/// What a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The text of a rule file.
    Rules(String),
    /// A dashboard by its name in a ConfigMap.
    Dashboard { name: String, json: String },
}

/// What the objects of a text hold; nothing if it has none.
pub(super) fn parts(text: &str, file: &str) -> Vec<Part> {
    let mut found = Vec::new();
    // Documents are told apart before they are parsed: what stands at the start of a line is in no block of text.
    for document in text.split("\n---") {
        if let Ok(object) = Yaml::parse(document, file) {
            of_object(&object, &mut found);
        }
    }
    found
}

fn of_object(object: &Yaml, found: &mut Vec<Part>) {
    match (field(object, "kind").and_then(scalar), field(object, "items")) {
        (Some("PrometheusRule"), _) => {
            found.extend(field(object, "spec").map(|spec| Part::Rules(spec.print())));
        }
        (Some("ConfigMap"), _) => {
            let Some(Yaml::Map(data)) = field(object, "data") else { return };
            let dashboards = data.iter().filter(|(name, _)| name.ends_with(".json"));
            found.extend(dashboards.filter_map(|(name, value)| {
                Some(Part::Dashboard { name: name.to_string(), json: scalar(value)?.to_owned() })
            }));
        }
        (_, Some(Yaml::List(items))) => items.iter().for_each(|item| of_object(item, found)),
        _ => {}
    }
}

fn field<'y>(object: &'y Yaml, name: &str) -> Option<&'y Yaml> {
    let Yaml::Map(fields) = object else { return None };
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn scalar(value: &Yaml) -> Option<&str> {
    match value {
        Yaml::Text(text) | Yaml::Raw(text) => Some(text),
        Yaml::List(_) | Yaml::Flow(_) | Yaml::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_looked_into() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- kind: ConfigMap\n  data:\n    a.json: |\n      {\"x\": 1}\n    b.txt: no\n\
                    ---\nkind: PrometheusRule\nspec:\n  groups:\n  - name: g\n    rules:\n    - record: a\n      expr: |-\n        sum(\n          up)\n";
        let found = parts(text, "f");
        let dashboard = Part::Dashboard { name: "a.json".to_owned(), json: "{\"x\": 1}\n".to_owned() };
        assert_eq!(found[0], dashboard);
        let Part::Rules(rules) = &found[1] else { panic!("{found:?}") };
        assert!(rules.starts_with("groups:\n") && rules.contains("sum("), "{rules}");
        assert_eq!(parts("groups: []\n", "f"), []);
        assert_eq!(parts("a: [", "f"), []);
    }
}
