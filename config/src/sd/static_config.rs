//! `static_configs`: targets that are listed in the configuration itself.

use model::Labels;

use crate::Error;
use crate::schema::{Codec, Fields, Shape, TextMap, Texts, Unread, section};
use crate::yaml::Yaml;

section! {
    /// One group of targets that have labels in common.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct StaticConfig as "static_config" {
        /// The index of the group in its list, by which Prometheus names it.
        #[yaml(Unread)]
        pub source: String,
        /// The addresses: `host:port`.
        #[yaml(Texts; always)]
        pub targets: Vec<String>,
        /// Labels of all these targets.
        #[yaml(GroupLabels, default = Labels::empty())]
        pub labels: Labels,
    }
}

enum GroupLabels {}

impl Codec<Labels> for GroupLabels {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<Labels>, Error> {
        let labels = f.text_map(name)?;
        // Any other name is valid by the UTF-8 rules, which upstream decodes group labels by.
        if labels.contains_key("") {
            return Err(f.refuse(name, "\"\" is not a valid label name"));
        }
        Ok(Some(Labels::from_pairs(labels)))
    }

    fn is_zero(labels: &Labels) -> bool {
        labels.is_empty()
    }

    fn encode(labels: &Labels) -> Yaml {
        Yaml::map(labels.iter().map(|(name, value)| (name, Yaml::text(value))))
    }

    fn shape() -> Shape {
        <TextMap as Codec<std::collections::BTreeMap<String, String>>>::shape()
    }
}
