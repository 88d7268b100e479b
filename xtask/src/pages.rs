//! The pages of Markdown: links lead to files that are there, and no merge has left its marks.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::files;

/// Checks the pages of the workspace's root, and all below `docs`.
pub(crate) fn check(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let mut pages = files::below(&root.join("docs"), "md")?;
    for entry in fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    for page in pages {
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        if text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
            faults.push(format!("{} has the marks of an unresolved merge", page.display()));
        }
        let folder = page.parent().unwrap_or(root);
        let dead = links(&text).into_iter().filter(|link| !folder.join(link).exists());
        faults.extend(dead.map(|link| format!("{} links to {link}, which is not there", page.display())));
    }
    Ok(())
}

/// The files that a page links to, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.starts_with("```");
        // Between backticks there is code, in which brackets mean something else.
        let prose = line.split('`').step_by(2).filter(|_| !in_block);
        for part in prose.flat_map(|part| part.split("](").skip(1)) {
            let target = part.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                found.push(file);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_and_code_is_not() {
        let text = "[a](b.md) and [c](d/e.md#f), [g](https://h), [i](#j) `k](l)`\n```\n[m](n)\n```\n![o](p.png)\n";
        assert_eq!(links(text), ["b.md", "d/e.md", "p.png"]);
    }
}
