//! Loads rule files.

use std::path::{Path, PathBuf};

use super::checks::RuleOptions;
use super::group::{Groups, RuleGroup};
use crate::Error;
use crate::read::{matching, read};
use crate::schema::{Fields, Section as _, Source, UnknownFields, Unread, section};
use crate::yaml::{Tree, Yaml, parse_first};

section! {
    /// A file that `rule_files` names, or a PrometheusRule object.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct RuleFile as "rule_file" in (options: &'c RuleOptions<'c>) {
        /// The groups, which are evaluated independently of each other.
        #[yaml(Groups, with = options)]
        pub groups: Vec<RuleGroup>,
        /// The path of the file, or the name of the object.
        #[yaml(Unread)]
        pub file: PathBuf,
        /// What was warned of while reading, one sentence each.
        #[yaml(Unread)]
        pub warnings: Vec<String>,
    }
}

impl RuleFile {
    /// Reads a rule file.
    ///
    /// # Errors
    /// When it cannot be read or is not valid: whatever is wrong, in the order of the file.
    pub fn load(path: &Path, options: &RuleOptions<'_>) -> Result<Self, Vec<Error>> {
        Self::parse(&read(path).map_err(|error| vec![error])?, path, options)
    }

    /// Reads a rule file from its text; errors call it `file`.
    ///
    /// # Errors
    /// When it is not valid: whatever is wrong, in the order of the file.
    pub fn parse(text: &str, file: &Path, options: &RuleOptions<'_>) -> Result<Self, Vec<Error>> {
        let unknown = if options.ignore_unknown_fields { UnknownFields::Ignored } else { UnknownFields::Refused };
        let source = Source::new(file, &|_| None).collecting().with_unknown(unknown).with_text(text);
        // Nothing can be said of what follows a syntax error.
        let parsed = parse_first(text).map_err(|(pos, message)| source.error(pos, "", message));
        let (document, faults, has_more) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return source.finish(Err(error)),
        };
        source.report_syntax(faults).map_err(|error| vec![error])?;
        if has_more {
            let name = file.display();
            source.warn(format!("{name}: rule files have one document; only the first of several is used"));
        }
        Self::decode_document(document.as_ref(), source, options)
    }

    /// Reads the groups of a PrometheusRule object: its `spec`. Errors call it `name` and have no lines.
    ///
    /// # Errors
    /// When it is not valid: whatever is wrong.
    pub fn from_yaml(spec: &Yaml, name: &str, options: &RuleOptions<'_>) -> Result<Self, Vec<Error>> {
        // A field of Thanos' ruler, which the operator removes before Prometheus reads the groups.
        let thanos = UnknownFields::RefusedExcept("partial_response_strategy");
        let unknown = if options.ignore_unknown_fields { UnknownFields::Ignored } else { thanos };
        let source = Source::new(Path::new(name), &|_| None).collecting().with_unknown(unknown);
        Self::decode_document(Some(&Tree::from(spec)), source, options)
    }

    /// Reads all files that the patterns match: all of them, or none.
    ///
    /// # Errors
    /// When a file cannot be read or is not valid: whatever is wrong with any of them.
    pub fn load_all(patterns: &[PathBuf], options: &RuleOptions<'_>) -> Result<Vec<Self>, Vec<Error>> {
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        for path in matching_rule_files(patterns) {
            match Self::load(&path, options) {
                Ok(file) => files.push(file),
                Err(errors) => faults.extend(errors),
            }
        }
        if faults.is_empty() { Ok(files) } else { Err(faults) }
    }

    fn decode_document(
        document: Option<&Tree>,
        source: Source<'_>,
        options: &RuleOptions<'_>,
    ) -> Result<Self, Vec<Error>> {
        let file = Fields::new(&source, document, String::new()).and_then(|mut f| Self::decode(&mut f, options));
        let file = source.finish(file)?;
        Ok(Self { file: source.file.to_owned(), warnings: source.warnings.take(), ..file })
    }
}

/// The files that the patterns match, in their order. It is no error if there are none, as in Prometheus.
#[must_use]
pub fn matching_rule_files(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in patterns.iter().flat_map(|pattern| matching(pattern)) {
        // Groups are known by file and name: upstream too has those of a file once, however often it is matched.
        if !files.contains(&path) {
            files.push(path);
        }
    }
    files
}
