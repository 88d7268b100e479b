//! Configurations into force: one after another, in all components or in none.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use config::Config;
use tokio::sync::mpsc;

use crate::app::{App, Ask, What};
use crate::auto_reload::Seen;
use crate::component::{Change, Component};
use crate::config_file::load;
use crate::rule_groups::load_rule_files;

/// The one task that applies configurations.
pub(crate) struct Reloader {
    app: Arc<App>,
    components: Vec<Arc<dyn Component>>,
    /// Told what is loaded, with `--config.auto-reload`.
    seen: Option<Arc<Seen>>,
}

impl Reloader {
    /// Of these components, in the order in which they get a configuration.
    pub(crate) fn new(app: Arc<App>, components: Vec<Arc<dyn Component>>) -> Self {
        Self { app, components, seen: None }
    }

    /// The same, which notes what it loads.
    pub(crate) fn noting(self, seen: Option<Arc<Seen>>) -> Self {
        Self { seen, ..self }
    }

    /// Reloads one after another, whoever asks and whether they wait or not.
    pub(crate) async fn run(self, mut asked: mpsc::Receiver<Ask>) {
        while let Some(Ask { what, answer }) = asked.recv().await {
            let applied = match what {
                What::File => self.reload().await,
                What::Objects => self.apply_objects().await,
            };
            // The error is logged and counted already; nobody may be listening.
            answer.send(applied).ok();
        }
    }

    /// Puts what objects ask for into force. A file that has become unreadable meanwhile does not matter.
    async fn apply_objects(&self) -> Result<()> {
        let file = Arc::clone(&self.app.file.read());
        let applied = self.apply_config(self.app.with_objects(&file)).await;
        if let Err(error) = &applied {
            tracing::error!(err = %format!("{error:#}"), "cannot apply what objects ask for; the old configuration stays in force");
        }
        applied
    }

    async fn reload(&self) -> Result<()> {
        let (app, seen) = (Arc::clone(&self.app), self.seen.clone());
        let loading = tokio::task::spawn_blocking(move || {
            if let Some(seen) = seen {
                seen.note(Path::new(&app.flags.config_file));
            }
            load(&app.flags)
        });
        let loaded = loading.await.context("the thread that loads the configuration has ended").flatten();
        let applied = match loaded {
            Ok(file) => self.apply_file(file).await,
            Err(error) => Err(error),
        };
        match &applied {
            Ok(()) => {
                tracing::info!(filename = &self.app.flags.config_file, "Completed loading of configuration file");
            }
            Err(error) => {
                self.app.reload_failed();
                tracing::error!(err = %format!("{error:#}"), "Error reloading config; the old one stays in force");
            }
        }
        applied
    }

    /// Puts a configuration file, and what objects ask for, into force.
    ///
    /// # Errors
    /// When a component cannot work with it.
    pub(crate) async fn apply_file(&self, mut file: Config) -> Result<()> {
        // Once, and here: when objects change, files are not read again.
        file.rules = load_rule_files(&self.app.engine(), &file)?;
        self.apply_config(self.app.with_objects(&file)).await?;
        *self.app.file.write() = Arc::new(file);
        Ok(())
    }

    /// Puts a configuration into force: in all components, or in none and the one before stays in force.
    ///
    /// # Errors
    /// When a component cannot work with it.
    pub(crate) async fn apply_config(&self, new: Config) -> Result<()> {
        let (current, new) = (self.app.config(), Arc::new(new));
        // All components check the configuration before the first one changes.
        let changes = self.prepare(&new)?;
        // Only now: of a configuration that is refused its error is enough.
        // Objects change often, and what was said of the configuration before need not be said again.
        let said: HashSet<String> = current.warnings.iter().cloned().chain(current.not_served()).collect();
        let is_first = Arc::ptr_eq(&current, &new) || *current == *new;
        for warning in new.warnings.iter().cloned().chain(new.not_served()) {
            if is_first || !said.contains(&warning) {
                tracing::warn!("{warning}");
            }
        }
        for (i, change) in changes.into_iter().enumerate() {
            let Err(error) = change.await else { continue };
            let name = self.components[i].name();
            self.take_back(i, &current).await;
            return Err(error.context(format!("cannot apply the configuration to {name}")));
        }
        // Last: handlers never see a configuration that is taken back.
        self.app.reloaded(new);
        Ok(())
    }

    /// The change of every component.
    fn prepare(&self, new: &Arc<Config>) -> Result<Vec<Change>> {
        let prepare = |component: &Arc<dyn Component>| {
            let refused = || format!("{} cannot work with the configuration", component.name());
            component.prepare(new).with_context(refused)
        };
        self.components.iter().map(prepare).collect()
    }

    /// Gives the configuration before back to the first components, up to the one that failed.
    async fn take_back(&self, failed: usize, before: &Arc<Config>) {
        // The one that failed too: it may have done a part.
        for component in &self.components[..=failed] {
            let changed = match component.prepare(before) {
                Ok(change) => change.await,
                Err(error) => Err(error),
            };
            if let Err(error) = changed {
                let (component, err) = (component.name(), format!("{error:#}"));
                tracing::error!(component, err, "cannot take the new configuration back; restart the server");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anyhow::bail;

    use super::*;
    use crate::bootstrap;
    use crate::flags::Flags;

    /// Keeps the scrape interval of each configuration that reached it, and refuses one.
    struct Fake {
        applied: Arc<Mutex<Vec<i64>>>,
        refuses_ms: i64,
        fails_at_ms: i64,
    }

    impl Component for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn prepare(&self, new: &Arc<Config>) -> Result<Change> {
            let (ms, fails_at_ms) = (new.global.scrape_interval_ms, self.fails_at_ms);
            if ms == self.refuses_ms {
                bail!("no such interval");
            }
            let applied = Arc::clone(&self.applied);
            Ok(Box::pin(async move {
                applied.lock().unwrap().push(ms);
                if ms == fails_at_ms { bail!("the disk is full") } else { Ok(()) }
            }))
        }
    }

    fn config(seconds: i64) -> Config {
        let text = format!("global: {{scrape_interval: {seconds}s, evaluation_interval: {seconds}s}}");
        Config::parse(&text, "p.yml".as_ref(), &|_| None).unwrap()
    }

    fn app(folder: &std::path::Path) -> Arc<App> {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let args = ["weft".to_owned(), format!("--storage.tsdb.path={}", folder.join("data").display())];
        bootstrap::build(Flags::parse(args).unwrap(), &config(1), mpsc::channel(1).0).unwrap()
    }

    #[tokio::test]
    async fn a_configuration_reaches_all_components_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let lists: [Arc<Mutex<Vec<i64>>>; 3] = <_>::default();
        let fakes = lists.iter().zip([(0, 0), (2_000, 3_000), (0, 0)]).map(|(applied, (refuses_ms, fails_at_ms))| {
            let applied = Arc::clone(applied);
            Arc::new(Fake { applied, refuses_ms, fails_at_ms }) as Arc<dyn Component>
        });
        let reloader = Reloader::new(Arc::clone(&app), fakes.collect());
        let applied = || lists.iter().map(|list| std::mem::take(&mut *list.lock().unwrap())).collect::<Vec<_>>();
        reloader.apply_config(config(1)).await.unwrap();
        assert_eq!(applied(), [[1_000], [1_000], [1_000]]);
        // Refused by one before any is changed.
        let error = reloader.apply_config(config(2)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "fake cannot work with the configuration: no such interval");
        assert_eq!(applied(), [[0i64; 0]; 3]);
        // Fails in the second: it and the first get the one before back, the third gets nothing.
        let error = reloader.apply_config(config(3)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot apply the configuration to fake: the disk is full");
        assert_eq!(applied(), [vec![3_000, 1_000], vec![3_000, 1_000], vec![]]);
        assert_eq!(app.config().global.scrape_interval_ms, 1_000);
        reloader.apply_config(config(4)).await.unwrap();
        assert_eq!(applied(), [[4_000], [4_000], [4_000]]);
        assert_eq!(app.config().global.scrape_interval_ms, 4_000);
    }

    #[tokio::test]
    async fn intervals_reach_the_query_engine() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let reloader = Reloader::new(Arc::clone(&app), vec![crate::components::query(&app)]);
        for seconds in [7, 9] {
            reloader.apply_config(config(seconds)).await.unwrap();
            let engine = app.engine();
            let options = engine.options();
            assert_eq!((options.default_step_ms, options.scrape_interval_ms), (seconds * 1_000, seconds * 1_000));
        }
    }
}
