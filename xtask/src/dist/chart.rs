//! The Helm chart as `helm package` makes it: all files of its folder, below the name of the chart.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::tree::Tree;

/// The files of a chart. What it links to is in it as a file, since nothing of the links is left elsewhere.
pub(super) fn package(folder: &Path) -> Result<Tree> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut tree = Tree::default();
    add(folder, &name, &ignored(folder)?, &mut tree)?;
    Ok(tree)
}

/// The patterns in `.helmignore`, of which those in use are `NAME/` and `*.ENDING`.
fn ignored(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(".helmignore");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

fn add(folder: &Path, inside: &str, ignored: &[String], tree: &mut Tree) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ignored = ignored.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(ending) => name.ends_with(ending),
            None => pattern.trim_end_matches('/') == name,
        });
        let inside = format!("{inside}/{name}");
        // Follows links.
        match path.is_dir() {
            _ if is_ignored => (),
            true => add(&path, &inside, ignored, tree)?,
            false => {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                tree.file(&inside, 0o644, bytes);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    #[test]
    fn the_chart_has_what_it_links_to() {
        let tree = package(&root().join("deploy/helm/weft")).expect("a chart");
        let files =
            ["Chart.yaml", "values.yaml", "crds/crds.yaml", "files/alerts.yaml", "files/dashboards/weft-overview.json"];
        for file in files {
            assert!(tree.has(&format!("weft/{file}")), "{file}");
        }
        let bytes = tree.tar(0).expect("an archive");
        let mut archive = tar::Archive::new(&*bytes);
        for entry in archive.entries().expect("entries") {
            let kind = entry.expect("an entry").header().entry_type();
            assert!(kind.is_file() || kind.is_dir(), "{kind:?}");
        }
    }
}
