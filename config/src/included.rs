//! Which files a configuration names, whether or not the rest of it is valid.

use std::path::{Path, PathBuf};

use model::NameValidation;

use crate::read::{document, matching};
use crate::rules::matching_rule_files;
use crate::schema::{Fields, Source};

/// The files that a configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncludedFiles {
    /// The patterns of `rule_files`.
    pub rule_files: Vec<PathBuf>,
    /// The patterns of `scrape_config_files`.
    pub scrape_config_files: Vec<PathBuf>,
    /// Which names of metrics and labels are valid in these files.
    pub names: NameValidation,
}

impl IncludedFiles {
    /// Those of a configuration of this text that lies at `file`. Of what is not valid there are none.
    #[must_use]
    pub fn of(text: &str, file: &Path) -> Self {
        let source = Source::new(file, &|_| None);
        let Ok(document) = document(&source, text) else { return Self::default() };
        let Ok(mut fields) = Fields::new(&source, document.as_ref(), String::new()) else { return Self::default() };
        let mut patterns = |name| {
            let texts = fields.texts(name).unwrap_or_default();
            texts.iter().map(|text| source.resolve(text)).collect()
        };
        let (rule_files, scrape_config_files) = (patterns("rule_files"), patterns("scrape_config_files"));
        let global = fields.fields("global").ok().flatten();
        let scheme = global.and_then(|mut global| global.text("metric_name_validation_scheme").ok().flatten());
        let names = if scheme.as_deref() == Some("legacy") { NameValidation::Legacy } else { NameValidation::Utf8 };
        Self { rule_files, scrape_config_files, names }
    }

    /// All files that the patterns match: rule files, then files of jobs, each in the order in which they are read.
    #[must_use]
    pub fn matching(&self) -> Vec<PathBuf> {
        let mut files = matching_rule_files(&self.rule_files);
        files.extend(self.scrape_config_files.iter().flat_map(|pattern| matching(pattern)));
        files
    }
}
