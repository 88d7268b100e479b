//! A part of a file system, held in memory, sorted by path: written as tar, it is the same bytes every time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// User and group of everything that is not the server's own.
pub(crate) const ROOT: u64 = 0;

/// What is at a path.
enum Node {
    Folder,
    File(Vec<u8>),
    Link(String),
}

struct Entry {
    node: Node,
    mode: u32,
    owner: u64,
}

/// Entries by path, which has no slash at its beginning.
#[derive(Default)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Adds a folder, or changes one that is there as the parent of something.
    pub(crate) fn folder(&mut self, path: &str, mode: u32, owner: u64) {
        self.add(path, Entry { node: Node::Folder, mode, owner });
    }

    /// Adds a file that belongs to root.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.add(path, Entry { node: Node::File(bytes.into()), mode, owner: ROOT });
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.add(path, Entry { node: Node::Link(target.to_owned()), mode: 0o777, owner: ROOT });
    }

    /// Is there something at the path?
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let path = path.trim_start_matches('/');
        for (i, _) in path.match_indices('/') {
            let parent = || Entry { node: Node::Folder, mode: 0o755, owner: ROOT };
            self.0.entry(path[..i].to_owned()).or_insert_with(parent);
        }
        self.0.insert(path.to_owned(), entry);
    }

    /// As a tar archive in which everything has the same time.
    pub(crate) fn tar(&self, mtime: u64) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, Entry { node, mode, owner }) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mode(*mode);
            header.set_uid(*owner);
            header.set_gid(*owner);
            header.set_mtime(mtime);
            header.set_size(0);
            let added = match node {
                Node::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    tar.append_data(&mut header, path, &[][..])
                }
                Node::File(bytes) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, &**bytes)
                }
                Node::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    tar.append_link(&mut header, path, target)
                }
            };
            added.with_context(|| format!("cannot add {path} to an archive"))?;
        }
        Ok(tar.into_inner()?)
    }

    /// The same, compressed.
    pub(crate) fn tar_gz(&self, mtime: u64, level: Compression) -> Result<Vec<u8>> {
        gzip(&self.tar(mtime)?, level)
    }

    /// Writes everything below a folder, with its owners.
    pub(crate) fn unpack(&self, folder: &Path, mtime: u64) -> Result<()> {
        let bytes = self.tar(mtime)?;
        let mut tar = tar::Archive::new(&*bytes);
        tar.set_preserve_permissions(true);
        tar.set_preserve_ownerships(true);
        tar.unpack(folder).with_context(|| format!("cannot write {}", folder.display()))
    }
}

/// Compresses bytes. Neither a name nor a time nor the kind of machine is in what comes out: they would change the digest.
pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), level);
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_the_order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Tree::default(), Tree::default());
        one.file("/a/b/c", 0o644, "text");
        one.link("a-b", "a/b/c");
        one.folder("a/b", 0o700, 65534);
        other.folder("a/b", 0o700, 65534);
        other.link("a-b", "a/b/c");
        other.file("a/b/c", 0o644, "text");
        assert_eq!(one.tar(7).expect("one"), other.tar(7).expect("other"));
        let bytes = one.tar(7).expect("one");
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().expect("entries").map(|entry| {
            let entry = entry.expect("an entry");
            let header = entry.header();
            let numbers = (header.mode().expect("a mode"), header.uid().expect("a user"));
            assert_eq!(header.mtime().expect("a time"), 7);
            (entry.path().expect("a path").display().to_string(), numbers)
        });
        let expected = [("a", (0o755, 0)), ("a-b", (0o777, 0)), ("a/b", (0o700, 65534)), ("a/b/c", (0o644, 0))];
        assert_eq!(entries.collect::<Vec<_>>(), expected.map(|(path, numbers)| (path.to_owned(), numbers)));
    }
}
