//! What Prometheus left in a data directory that became Weft's.

use std::fs;
use std::path::Path;

/// What of Prometheus lies in a directory: how many blocks, and whether there is a write-ahead log. `None` when nothing does.
pub(crate) fn of_prometheus(path: &Path) -> Option<String> {
    let entries = fs::read_dir(path).ok()?.flatten();
    let blocks = entries.filter(|entry| is_ulid(&entry.file_name().to_string_lossy()) && is_block(&entry.path()));
    let blocks = match blocks.count() {
        0 => None,
        1 => Some("1 block".to_owned()),
        n => Some(format!("{n} blocks")),
    };
    let log = ["wal", "chunks_head"].iter().any(|name| has_entries(&path.join(name)));
    let log = log.then(|| "a write-ahead log".to_owned());
    let parts: Vec<String> = blocks.into_iter().chain(log).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// The name of a block: 26 digits of Crockford's base 32.
fn is_ulid(name: &str) -> bool {
    name.len() == 26 && name.bytes().all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b)))
}

fn is_block(path: &Path) -> bool {
    path.join("meta.json").is_file() && path.join("index").is_file()
}

fn has_entries(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_logs_are_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of_prometheus(dir.path()), None);
        assert_eq!(of_prometheus(&dir.path().join("none")), None);
        // What Weft itself keeps there is nothing of Prometheus'.
        fs::create_dir_all(dir.path().join("snapshots/20260101T000000Z-0011223344556677")).unwrap();
        fs::create_dir(dir.path().join("wal")).unwrap();
        assert_eq!(of_prometheus(dir.path()), None);
        fs::write(dir.path().join("wal/00000000"), "").unwrap();
        assert_eq!(of_prometheus(dir.path()).unwrap(), "a write-ahead log");
        for ulid in ["01BKGTZQ1SYQJTR4PB43C8PD98", "01BKGV7JBM69T2G1BGBGM6KB12"] {
            fs::create_dir(dir.path().join(ulid)).unwrap();
            fs::write(dir.path().join(ulid).join("meta.json"), "{}").unwrap();
            fs::write(dir.path().join(ulid).join("index"), "").unwrap();
        }
        fs::create_dir(dir.path().join("01BKGV7JC0RY8A6MACW02A2PJD")).unwrap();
        assert_eq!(of_prometheus(dir.path()).unwrap(), "2 blocks and a write-ahead log");
    }
}
