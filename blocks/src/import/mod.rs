//! A data directory, into any store.
//!
//! Blocks are read oldest first, each source by source, so that what the store keeps together comes together (`plan`); then the logs
//! (`head`). How far it is stands in a file (`notes`), so that an import which ended early goes on where it was. Importing something
//! twice is harmless: what is stored stays, and counts as stored.

mod head;
mod notes;
mod plan;
mod report;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use model::{Labels, Lateness, SeriesAppender, SeriesBatch, SeriesSamples, SourceLabels};

use crate::block::Block;
use crate::chunk::Samples;
use crate::{DataDirectory, Error, wal};
use head::Head;
use notes::Notes;
use plan::{Plan, SAMPLES_AT_ONCE};
pub use report::{Progress, Report};

/// The name that the file of notes has in a data directory.
pub const NOTES: &str = "imported.json";

/// Reads a data directory into a store.
pub struct Import<'i> {
    store: &'i dyn SeriesAppender,
    notes: Notes,
    report: Report,
    /// Told after each batch; may end the import.
    watch: &'i mut dyn FnMut(&Progress) -> ControlFlow<()>,
    progress: Progress,
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("report", &self.report).field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// Why the import does not go on.
enum Stop {
    /// Whoever watches wants no more.
    Asked,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<'i> Import<'i> {
    /// Imports all of `directory` into `store`, from where `notes`, a file that need not exist, says that an earlier import ended.
    /// `watch` is told after each batch how far it is, and may end it.
    ///
    /// # Errors
    /// When the store does not take samples, or `notes` cannot be written. What of the directory cannot be read is in the report.
    pub fn run(
        directory: &DataDirectory,
        store: &'i dyn SeriesAppender,
        notes: &Path,
        watch: &'i mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Report, Error> {
        let progress =
            Progress { samples_total: directory.blocks().map(crate::Meta::samples).sum(), ..Progress::default() };
        let mut import = Self { store, notes: Notes::read(notes)?, report: Report::default(), watch, progress };
        directory.refused.iter().for_each(|why| import.report.fault(why.clone()));
        match import.all(directory) {
            Ok(()) => import.report.is_complete = import.report.unread == 0,
            Err(Stop::Asked) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
        Ok(import.report)
    }

    fn all(&mut self, directory: &DataDirectory) -> Result<(), Stop> {
        for (path, meta) in &directory.blocks {
            self.progress.part.clone_from(&meta.ulid);
            if self.notes.is_complete(&meta.ulid) {
                self.progress.samples += meta.samples();
                self.report.blocks_before += 1;
                continue;
            }
            match Block::open(path, meta.clone()) {
                Ok(block) => self.block(block)?,
                // The others can be read all the same.
                Err(error) => self.report.error(&error),
            }
        }
        let names: Vec<Option<String>> = directory.logs.iter().map(|log| self.name_of(log)).collect();
        if names.iter().flatten().any(|name| !self.notes.is_complete(name)) {
            self.head(&directory.logs, &names)?;
        }
        Ok(())
    }

    /// The name that a log has in the notes: another one once something was written to it.
    fn name_of(&mut self, log: &Path) -> Option<String> {
        wal::name(log).map_err(|error| self.report.error(&error)).ok()
    }

    fn block(&mut self, mut block: Block) -> Result<(), Stop> {
        let unread_before = self.report.unread;
        let report = &mut self.report;
        let plan = match Plan::new(&block, &mut |error| report.error(&error)) {
            Ok(plan) => plan,
            Err(error) => {
                self.report.error(&error);
                return Ok(());
            }
        };
        let (ulid, before) = (block.meta.ulid.clone(), self.progress.samples);
        for (i, batch) in plan.batches.iter().enumerate() {
            if i < self.notes.batches(&ulid) {
                continue;
            }
            let mut gathered = Vec::new();
            for at in &plan.series[batch.series.clone()] {
                let report = &mut self.report;
                match block.read(at.at, batch.times, &mut |error| report.error(&error)) {
                    Ok((labels, samples)) => gathered.push((labels, samples)),
                    Err(error) => self.report.error(&error),
                }
            }
            let done = (i + 1) as u64 * block.meta.samples() / plan.batches.len() as u64;
            self.progress.samples = before + done;
            self.store(&gathered)?;
            // Damage stays; what could not be read for now is read again, from this batch on.
            if self.report.unread == unread_before {
                self.notes.note(&ulid, i + 1)?;
            }
            self.watched()?;
        }
        self.progress.samples = before + block.meta.samples();
        self.report.blocks += 1;
        if self.report.unread == unread_before {
            self.notes.complete(&ulid)?;
        }
        Ok(())
    }

    fn head(&mut self, logs: &[PathBuf], names: &[Option<String>]) -> Result<(), Stop> {
        let (mut head, mut is_known) = (Head::default(), true);
        for log in logs {
            if let Err(error) = head.learn(log) {
                is_known = false;
                self.report.error(&error);
            }
        }
        for (log, name) in logs.iter().zip(names) {
            self.progress.part = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_read = self.samples(&head, log)?;
            // What is damaged stays so; what could not be read now may be later.
            if let Some(name) = name
                && is_known
                && is_read
            {
                self.notes.complete(name)?;
            }
        }
        self.report.has_head = true;
        Ok(())
    }

    /// Imports one log; whether all of it could be read, damaged or not.
    fn samples(&mut self, head: &Head, log: &Path) -> Result<bool, Stop> {
        let (mut stopped, mut faults) = (Ok(()), Vec::new());
        let take = &mut |gathered: &[(Labels, Samples)]| {
            stopped = self.store(gathered).and_then(|()| self.watched());
            if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let read = head.samples(log, SAMPLES_AT_ONCE, take, &mut |error| faults.push(error));
        let is_read = read.is_ok();
        faults.extend(read.err());
        faults.iter().for_each(|error| self.report.error(error));
        stopped.map(|()| is_read)
    }

    fn store(&mut self, gathered: &[(Labels, Samples)]) -> Result<(), Stop> {
        let series: Vec<SeriesSamples<'_>> =
            gathered.iter().filter_map(|(labels, samples)| borrowed(labels, samples)).collect();
        self.report.invalid += gathered.iter().map(|(_, samples)| samples.invalid).sum::<u64>();
        if series.is_empty() {
            return Ok(());
        }
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        let committed = self.store.append_series(&batch)?;
        self.report.samples += batch.samples() as u64;
        self.report.add(committed);
        Ok(())
    }

    fn watched(&mut self) -> Result<(), Stop> {
        match (self.watch)(&self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Asked),
        }
    }
}

fn borrowed<'s>(labels: &'s Labels, samples: &'s Samples) -> Option<SeriesSamples<'s>> {
    let Samples { timestamps, values, histograms, .. } = samples;
    (!timestamps.is_empty())
        .then_some(SeriesSamples { histograms, ..SeriesSamples::floats(labels, timestamps, values) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kit::MemQuerier;
    use model::{Committed, MergedQuerier, SeriesAppendError, Timestamp};

    use super::*;

    /// Counts samples.
    #[derive(Debug, Default)]
    struct Taken(AtomicUsize);

    impl SeriesAppender for Taken {
        fn append_series(&self, batch: &SeriesBatch<'_>) -> Result<Committed, SeriesAppendError> {
            self.0.fetch_add(batch.samples(), Ordering::Relaxed);
            Ok(Committed { stored: batch.samples() as u32, ..Committed::default() })
        }
    }

    #[test]
    fn what_cannot_be_read_for_now_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let labels = Labels::from_pairs([("__name__", "a"), ("job", "j")]);
        let samples = (1..9).map(|i| (Timestamp(i * 1000), (2, Timestamp::EPOCH))).collect();
        let store = Arc::new(MemQuerier { series: [(labels, samples)].into(), fails_at: None });
        // Merged series have no absent slots, as those of a store in label order.
        let store = MergedQuerier::new(store, vec![Arc::new(MemQuerier::default())]);
        let from = folder.path().join("from");
        std::fs::create_dir(&from).unwrap();
        crate::export(&store, (Timestamp(0), Timestamp(60_000)), &[], &from, &mut |_| {}).unwrap();
        let (directory, notes) = (DataDirectory::open(&from).unwrap(), folder.path().join(NOTES));
        let (taken, mut watch) = (Taken::default(), |_: &Progress| ControlFlow::Continue(()));
        let mut import = Import {
            store: &taken,
            notes: Notes::read(&notes).unwrap(),
            report: Report::default(),
            watch: &mut watch,
            progress: Progress::default(),
        };
        let [(path, meta)] = &directory.blocks[..] else { panic!("one block") };
        let mut block = Block::open(path, meta.clone()).unwrap();
        block.refuse_reads();
        assert!(import.block(block).is_ok());
        assert_eq!((import.report.unread, import.report.n_faults, taken.0.load(Ordering::Relaxed)), (1, 1, 0));
        assert_eq!((import.notes.batches(&meta.ulid), import.notes.is_complete(&meta.ulid)), (0, false));
        assert!(import.report.to_string().contains("1 of them may pass"), "{}", import.report);
        let report = Import::run(&directory, &taken, &notes, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.is_complete, report.blocks, report.samples, report.n_faults), (true, 1, 8, 0));
        // A file that is no file cannot be opened for now; one that is missing never comes back.
        let chunks = path.join("chunks/000001");
        std::fs::remove_file(&chunks).unwrap();
        std::fs::create_dir(&chunks).unwrap();
        let again = folder.path().join("again");
        let run = || Import::run(&directory, &taken, &again, &mut |_| ControlFlow::Continue(())).unwrap();
        let report = run();
        assert_eq!((report.is_complete, report.unread), (false, 1), "{:?}", report.faults);
        std::fs::remove_dir(&chunks).unwrap();
        let report = run();
        assert_eq!((report.is_complete, report.unread), (true, 0), "{:?}", report.faults);
        assert!(report.n_faults > 0);
    }
}
