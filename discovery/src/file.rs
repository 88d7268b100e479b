//! `file_sd_configs`: targets from files, which are read again when they change. A file that cannot be read or parsed keeps its
//! former groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{FileSdConfig, target_groups};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::TargetGroup;
use notify::{EventKind, RecursiveMode, Watcher as _};
use prometheus::IntCounter;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;
use crate::discoverer::{Context, Discoverer};
use crate::listed::groups_of;
use crate::refresh::refresh_interval;
use crate::store::Publisher;

/// The label that holds the path of the file a target is from.
const FILEPATH: &str = "__meta_filepath";

pub(crate) fn new(config: &FileSdConfig, context: &Context) -> Box<dyn Discoverer> {
    Box::new(Files { config: config.clone(), read_errors: context.metrics.file_errors.clone() })
}

struct Files {
    config: FileSdConfig,
    read_errors: IntCounter,
}

impl Discoverer for Files {
    fn run(self: Box<Self>, publisher: Publisher) -> BoxFuture<'static, ()> {
        run(*self, publisher).boxed()
    }
}

async fn run(files: Files, publisher: Publisher) {
    let Files { config, read_errors } = files;
    let changed = Arc::new(Notify::new());
    // Held while the task runs; without it the files are read at the interval alone.
    let _watcher = watch(&config, Arc::clone(&changed));
    let interval = refresh_interval(config.refresh_interval_ms);
    let mut known: Arc<BTreeMap<PathBuf, Known>> = Arc::default();
    loop {
        publisher.asks();
        let (patterns, before) = (config.files.clone(), Arc::clone(&known));
        // Files may lie on a slow network volume.
        if let Ok(read) = tokio::task::spawn_blocking(move || read_all(&patterns, &before)).await {
            let n_errors = read.iter().filter(|(_, result)| result.is_err()).count();
            read_errors.inc_by(n_errors as u64);
            known = Arc::new(take(read, &known, &publisher));
        }
        // A change or the interval, whichever comes first.
        let _ = tokio::time::timeout(interval, changed.notified()).await;
    }
}

/// What a file had when it was read last.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The hash of its text; none if there was something wrong with it.
    text: Option<u64>,
    /// The sources of its groups.
    sources: Arc<BTreeSet<String>>,
}

/// What there is in a file.
#[derive(Debug)]
enum Content {
    /// What was there before: it is not parsed again. The watch of a folder also tells of every other file in it, and there may
    /// be logs among them.
    Same,
    Groups {
        text: u64,
        groups: Vec<TargetGroup>,
    },
}

/// Publishes what was read, and removes the groups of files that are gone.
fn take(
    read: Vec<(PathBuf, Result<Content, Error>)>,
    before: &BTreeMap<PathBuf, Known>,
    publisher: &Publisher,
) -> BTreeMap<PathBuf, Known> {
    let mut errors = Vec::new();
    let mut groups = Vec::new();
    let mut known = BTreeMap::new();
    for (path, result) in read {
        let former = || before.get(&path).cloned().unwrap_or_default();
        let one = match result {
            Ok(Content::Same) => former(),
            Ok(Content::Groups { text, groups: found }) => {
                let sources = found.iter().map(|group| group.source.clone()).collect();
                groups.extend(found);
                Known { text: Some(text), sources: Arc::new(sources) }
            }
            Err(error) => {
                errors.push(error.to_string());
                // A file that is just being written may not parse; its former targets stay until it does.
                Known { text: None, ..former() }
            }
        };
        known.insert(path, one);
    }
    // Compared over all files: two patterns may match the same one.
    let all_kept: BTreeSet<&String> = known.values().flat_map(|one| &*one.sources).collect();
    let sources = before.values().flat_map(|one| &*one.sources);
    let removed: Vec<String> = sources.filter(|source| !all_kept.contains(source)).cloned().collect();
    publisher.update(groups, &removed);
    let error = (!errors.is_empty()).then(|| errors.join("; "));
    if publisher.report(error.clone())
        && let Some(error) = error
    {
        tracing::warn!(%error, "file discovery failed; the former target groups are kept, trying again");
    }
    known
}

fn watch(config: &FileSdConfig, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| match event {
        // Reading the files causes events, too.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        _ => changed.notify_one(),
    };
    let mut watcher = match notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "cannot watch files; file discovery reads them at its refresh interval");
            return None;
        }
    };
    // The folder and not the file: editors and config maps replace files by renaming, which a watch of the file would
    // not see.
    let folder = |path: &PathBuf| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let folders: BTreeSet<PathBuf> = config.files.iter().map(folder).collect();
    for folder in folders {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::warn!(%error, folder = %folder.display(), "cannot watch a folder; file discovery reads its files at the refresh interval");
        }
    }
    Some(watcher)
}

/// Reads the files; `known` are those that were read before.
fn read_all(patterns: &[PathBuf], known: &BTreeMap<PathBuf, Known>) -> Vec<(PathBuf, Result<Content, Error>)> {
    // Sorted, and each file once.
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        let mut pattern = pattern.to_string_lossy().into_owned();
        // Two stars mean folders of any depth to the library, and no more than one star to Go's `filepath.Glob`.
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        if let Ok(found) = glob::glob(&pattern) {
            paths.extend(found.filter_map(Result::ok));
        }
    }
    let content = |path: PathBuf| {
        let content = read(&path, known.get(&path).and_then(|one| one.text));
        (path, content)
    };
    paths.into_iter().map(content).collect()
}

fn read(path: &Path, before: Option<u64>) -> Result<Content, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let hash = xxh3_64(&text);
    if before == Some(hash) {
        return Ok(Content::Same);
    }
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let groups = target_groups(&text, is_json).map_err(|reason| Error::Groups { path: path.to_owned(), reason })?;
    Ok(Content::Groups { text: hash, groups: groups_of(groups, FILEPATH, &path.display().to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_and_what_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let yaml = write("a.yml", "- targets: ['x:1', 'y:2']\n  labels: {job: j, n: 1}\n- targets: [z]\n");
        let json = write("a.json", r#"[{"targets":["x:1","y:2"],"labels":{"job":"j","n":"1"}},{"targets":["z"]}]"#);
        for path in [yaml, json] {
            let Content::Groups { text, groups } = read(&path, None).unwrap() else { panic!("nothing is known of it") };
            assert_eq!(groups.len(), 2, "{path:?}");
            assert_eq!(groups[0].source, format!("{}:0", path.display()));
            assert_eq!(groups[0].targets.len(), 2);
            assert_eq!((groups[0].labels.value("job"), groups[0].labels.value("n")), ("j", "1"));
            assert_eq!(groups[1].labels.value(FILEPATH), path.display().to_string());
            assert!(matches!(read(&path, Some(text)), Ok(Content::Same)));
            assert!(matches!(read(&path, Some(text ^ 1)), Ok(Content::Groups { .. })));
        }
        for (name, text) in [("b.yml", "- targets: [x]\n  label: {}\n"), ("c.json", "[null]"), ("d.yml", "x: [")] {
            assert!(read(&write(name, text), None).is_err(), "{name}");
        }
        let empty = read(&write("e.yml", ""), None).unwrap();
        assert!(matches!(empty, Content::Groups { groups, .. } if groups.is_empty()));
    }
}
