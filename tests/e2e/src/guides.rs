//! The guides (`docs/guides/`), whose blocks the tests run: manifests are applied, queries asked, and what a guide quotes of the
//! server is what the server says.

use std::fs;
use std::path::{Path, PathBuf};

/// A page.
#[derive(Debug)]
pub struct Guide {
    /// Language and text of each fenced block, in their order.
    blocks: Vec<(String, String)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides")
}

impl Guide {
    /// The page of this name, without its ending.
    ///
    /// # Panics
    /// When there is none, or a block does not end.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.md"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut blocks = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(language) = line.strip_prefix("```") else { continue };
            let mut block = String::new();
            loop {
                match lines.next() {
                    Some("```") => break,
                    Some(line) => block += &format!("{line}\n"),
                    None => panic!("{}: a block does not end", path.display()),
                }
            }
            blocks.push((language.to_owned(), block));
        }
        Self { blocks }
    }

    fn of<'a>(&'a self, language: &'a str) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().filter(move |(of, _)| of == language).map(|(_, block)| block.as_str())
    }

    /// What is applied to the API server, as one text of YAML.
    #[must_use]
    pub fn manifests(&self) -> String {
        let applied = self.of("yaml").filter(|block| block.contains("\nkind: "));
        applied.collect::<Vec<_>>().join("---\n")
    }

    /// Configuration files.
    pub fn configurations(&self) -> impl Iterator<Item = &str> {
        self.of("yaml").filter(|block| block.starts_with("scrape_configs:"))
    }

    /// Queries, each of which answers.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.of("promql").flat_map(str::lines)
    }

    /// What the server says, each without line breaks.
    #[must_use]
    pub fn quotes(&self) -> Vec<String> {
        self.of("text").map(|block| block.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_blocks() {
        let index = fs::read_to_string(folder().join("README.md")).unwrap();
        let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|name| name != "README.md").collect();
        let english: Vec<&str> =
            names.iter().filter_map(|name| name.strip_suffix(".md")).filter(|name| !name.contains('.')).collect();
        assert!(english.len() > 3 && names.len() == 2 * english.len(), "{names:?}");
        for name in english {
            let (page, translation) = (Guide::read(name), Guide::read(&format!("{name}.zh-CN")));
            assert!(!page.blocks.is_empty(), "{name}");
            assert_eq!(page.blocks, translation.blocks, "{name}");
            assert!(index.contains(&format!("({name}.md)")) && index.contains(&format!("({name}.zh-CN.md)")), "{name}");
        }
    }
}
