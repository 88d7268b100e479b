//! `--config.auto-reload`: has the configuration loaded again once its file, or one that it includes, has another content.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use config::IncludedFiles;
use parking_lot::Mutex;

use crate::app::{App, What};
use crate::flags::Flags;

/// What the files held when they were loaded last; nothing if they could not be read.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<Vec<u8>>>);

/// What became of the files since.
#[derive(Debug)]
enum Look {
    Same,
    Changed,
    Unreadable(io::Error),
}

impl Seen {
    /// The files as they are now, if the flags ask for reloading.
    pub(crate) fn new(flags: &Flags) -> Option<Arc<Self>> {
        flags.reloads_by_itself().then(|| {
            let seen = Self::default();
            seen.note(Path::new(&flags.config_file));
            Arc::new(seen)
        })
    }

    /// Notes what is about to be loaded, whoever asked for it. Before it is read: what changes meanwhile is loaded afterwards.
    /// Noted also if it is then refused, so that it is tried again when it has changed again, and not before.
    pub(crate) fn note(&self, file: &Path) {
        *self.0.lock() = checksum(file).ok();
    }

    fn look(&self, file: &Path) -> Look {
        match checksum(file) {
            Ok(now) if self.0.lock().as_ref() == Some(&now) => Look::Same,
            Ok(_) => Look::Changed,
            // It may be about to be replaced.
            Err(error) => Look::Unreadable(error),
        }
    }
}

/// A checksum of the configuration file, and of all files that `rule_files` and `scrape_config_files` match. Of the content: a
/// volume of a ConfigMap is replaced as a whole, with times of its own.
fn checksum(file: &Path) -> io::Result<Vec<u8>> {
    let mut sum = Context::new(&SHA256);
    let mut add = |path: &Path| -> io::Result<Vec<u8>> {
        let content = std::fs::read(path)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))?;
        // With their lengths, so that no other names and contents make the same row of bytes.
        for part in [path.as_os_str().as_encoded_bytes(), &content] {
            sum.update(&(part.len() as u64).to_le_bytes());
            sum.update(part);
        }
        Ok(content)
    };
    let text = add(file)?;
    // A file that is no YAML, as it may be while it is written, names no others.
    for path in IncludedFiles::of(&String::from_utf8_lossy(&text), file).matching() {
        add(&path)?;
    }
    Ok(sum.finish().as_ref().to_vec())
}

/// Looks at the files again and again, and has them loaded when they have changed.
pub(crate) async fn follow(app: Arc<App>, seen: Arc<Seen>, every: Duration) {
    tracing::info!(interval = ?every, "Enabled automatic configuration file reloading");
    let mut is_told = false;
    loop {
        tokio::time::sleep(every).await;
        let (of, file) = (Arc::clone(&seen), app.flags.config_file.clone());
        let looked = tokio::task::spawn_blocking(move || of.look(Path::new(&file))).await;
        match looked {
            Ok(Look::Same) => is_told = false,
            Ok(Look::Changed) => {
                is_told = false;
                tracing::info!("Configuration file change detected, reloading the configuration.");
                // Its error is logged where it happens.
                app.reload(What::File).await.ok();
            }
            // Without a file that was asked for there is nothing to miss.
            Ok(Look::Unreadable(_)) if app.has_default_config() => {}
            Ok(Look::Unreadable(error)) => {
                if !is_told {
                    tracing::warn!(%error, "cannot look for changes of the configuration; trying again");
                }
                is_told = true;
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::bootstrap;

    #[test]
    fn included_files_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yml");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("p.yml", "rule_files: ['r*.yml']\nscrape_config_files: [s.yml]\n");
        let mut known = vec![checksum(&file).unwrap()];
        for (name, text) in [
            ("r1.yml", "groups: []\n"),
            ("r1.yml", "groups: [{name: a}]\n"),
            ("r2.yml", "groups: [{name: a}]\n"),
            ("s.yml", "scrape_configs: []\n"),
            ("p.yml", "rule_files: ['r*.yml']\nscrape_config_files: [s.yml]\nglobal: {}\n"),
            ("p.yml", "rule_files: ['r*.yml'\n"),
        ] {
            write(name, text);
            let now = checksum(&file).unwrap();
            assert!(!known.contains(&now), "{name}: {text}");
            known.push(now);
        }
        write("other.yml", "a: b\n");
        assert_eq!(checksum(&file).unwrap(), *known.last().unwrap(), "a file that is not named does not count");
        std::fs::remove_file(&file).unwrap();
        assert!(checksum(&file).unwrap_err().to_string().contains("p.yml"));
    }

    /// As a kubelet updates the volume of a ConfigMap: a link is replaced by one to another folder.
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [("v1", "global: {}\n"), ("v2", "global: {scrape_interval: 5s}\n")] {
            std::fs::create_dir(path(name)).unwrap();
            std::fs::write(path(name).join("p.yml"), text).unwrap();
        }
        std::os::unix::fs::symlink(path("v1"), path("data")).unwrap();
        let (seen, file) = (Seen::default(), path("data/p.yml"));
        seen.note(&file);
        assert!(matches!(seen.look(&file), Look::Same));
        std::fs::remove_file(path("data")).unwrap();
        assert!(matches!(seen.look(&file), Look::Unreadable(_)));
        std::os::unix::fs::symlink(path("v2"), path("data")).unwrap();
        assert!(matches!(seen.look(&file), Look::Changed));
    }

    #[tokio::test]
    async fn a_change_is_loaded() {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yml");
        std::fs::write(&file, "global: {}\n").unwrap();
        let flags = Flags::parse([
            "weft".to_owned(),
            "--config.auto-reload".to_owned(),
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
        ]);
        let flags = flags.unwrap();
        let (reloads, mut asked) = mpsc::channel(1);
        let seen = Seen::new(&flags).unwrap();
        let config = config::Config::parse("", &file, &|_| None).unwrap();
        let app = bootstrap::build(flags, &config, reloads).unwrap();
        let mut following = tokio::task::JoinSet::new();
        following.spawn(follow(app, Arc::clone(&seen), Duration::from_millis(1)));
        for text in ["global: {scrape_interval: 5s}\n", "global: {}\n"] {
            std::fs::write(&file, text).unwrap();
            let ask = asked.recv().await.unwrap();
            assert_eq!(ask.what, What::File);
            seen.note(&file);
            ask.answer.send(Ok(())).unwrap();
        }
    }
}
