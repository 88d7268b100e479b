//! `file_sd_configs`: targets from files, which are read again when they change. A file that cannot be read or parsed keeps its
//! former groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{FileGroup, FileSdConfig, SdConfig, target_groups};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::labels::ADDRESS;
use model::{Labels, LabelsBuilder, TargetGroup};
use notify::{EventKind, RecursiveMode, Watcher as _};
use prometheus::IntCounter;
use tokio::sync::Notify;

use crate::Error;
use crate::discoverer::{Context, Discoverer, Kind};
use crate::store::Publisher;

/// The label that holds the path of the file a target is from.
const FILEPATH: &str = "__meta_filepath";

/// The row of the table of kinds.
pub(crate) const KIND: Kind = Kind { field: "file_sd_configs", new };

fn new(config: &SdConfig, context: &Context) -> Option<Box<dyn Discoverer>> {
    let SdConfig::File(config) = config else { return None };
    Some(Box::new(Files { config: config.clone(), read_errors: context.metrics.file_errors.clone() }))
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
    let interval = Duration::from_millis(u64::try_from(config.refresh_interval_ms).unwrap_or(0).max(1000));
    let mut sources: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    loop {
        let patterns = config.files.clone();
        // Files may lie on a slow network volume.
        if let Ok(read) = tokio::task::spawn_blocking(move || read_all(&patterns)).await {
            let n_errors = read.iter().filter(|(_, result)| result.is_err()).count();
            read_errors.inc_by(n_errors as u64);
            take(read, &mut sources, &publisher);
        }
        // A change or the interval, whichever comes first.
        let _ = tokio::time::timeout(interval, changed.notified()).await;
    }
}

/// Publishes what was read, and removes the groups of files that are gone.
fn take(
    read: Vec<(PathBuf, Result<Vec<TargetGroup>, Error>)>,
    sources: &mut BTreeMap<PathBuf, BTreeSet<String>>,
    publisher: &Publisher,
) {
    let mut errors = Vec::new();
    let mut groups = Vec::new();
    let mut kept = BTreeMap::new();
    for (path, result) in read {
        let own = match result {
            Ok(found) => {
                let own = found.iter().map(|group| group.source.clone()).collect();
                groups.extend(found);
                own
            }
            Err(error) => {
                errors.push(error.to_string());
                // A file that is just being written may not parse; its former targets stay until it does.
                sources.get(&path).cloned().unwrap_or_default()
            }
        };
        kept.insert(path, own);
    }
    // Compared over all files: two patterns may match the same one.
    let all_kept: BTreeSet<&String> = kept.values().flatten().collect();
    let removed: Vec<String> =
        sources.values().flatten().filter(|source| !all_kept.contains(source)).cloned().collect();
    publisher.update(groups, &removed);
    *sources = kept;
    let error = (!errors.is_empty()).then(|| errors.join("; "));
    if publisher.report(error.clone())
        && let Some(error) = error
    {
        tracing::warn!(%error, "file discovery failed; the former target groups are kept, trying again");
    }
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

fn read_all(patterns: &[PathBuf]) -> Vec<(PathBuf, Result<Vec<TargetGroup>, Error>)> {
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
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let groups = target_groups(&text, is_json).map_err(|reason| Error::Groups { path: path.to_owned(), reason })?;
    let group = |(i, group): (usize, FileGroup)| {
        let mut labels = LabelsBuilder::default();
        for (name, value) in group.labels {
            labels.set(&name, value);
        }
        // Last, so that the file cannot set it.
        labels.set(FILEPATH, path.display().to_string());
        TargetGroup {
            source: format!("{}:{i}", path.display()),
            labels: labels.labels(),
            targets: group.targets.iter().map(|target| Labels::from_pairs([(ADDRESS, target)]).into()).collect(),
        }
    };
    Ok(groups.into_iter().enumerate().map(group).collect())
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
            let groups = read(&path).unwrap();
            assert_eq!(groups.len(), 2, "{path:?}");
            assert_eq!(groups[0].source, format!("{}:0", path.display()));
            assert_eq!(groups[0].targets.len(), 2);
            assert_eq!((groups[0].labels.value("job"), groups[0].labels.value("n")), ("j", "1"));
            assert_eq!(groups[1].labels.value(FILEPATH), path.display().to_string());
        }
        for (name, text) in [("b.yml", "- targets: [x]\n  label: {}\n"), ("c.json", "[null]"), ("d.yml", "x: [")] {
            assert!(read(&write(name, text)).is_err(), "{name}");
        }
        assert!(read(&write("e.yml", "")).unwrap().is_empty());
    }
}
