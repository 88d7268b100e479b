//! `promtool tsdb import-victoriametrics FROM [DIRECTORY]`: what a VictoriaMetrics has stored, as its `/api/v1/export` gives it in lines
//! of JSON, into a data directory of Weft. Line by line, from the server itself or from a file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use model::{Committed, Labels, Lateness, SeriesAppender as _, SeriesBatch, SeriesSamples, SourceLabels, Timestamp};
use prometheus::Registry;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use storage::{Db, Options};
use url::Url;

use super::{DIRECTORY, told};
use crate::flags::{Flags, Known};
use crate::http_config;
use crate::outcome::{Outcome, Stop};
use crate::server::Server;
use crate::streams::Streams;

pub(crate) const USAGE: &str = "usage: promtool tsdb import-victoriametrics [-q] [--match=SELECTOR]... [--start=TIME] [--end=TIME] \
                                [--http.config.file=FILE] FILE|URL [DIRECTORY]";

const FLAGS: Known =
    Known { switches: &["quiet"], values: &["match", "start", "end", http_config::FLAG], short: &[('q', "quiet")] };
/// What concerns a server and no file.
const OF_SERVERS: [&str; 4] = ["match", "start", "end", http_config::FLAG];
const EXPORT: &str = "/api/v1/export";
const EVERYTHING: &str = "{__name__!=\"\"}";
/// A line of a server has no more samples.
const SAMPLES_OF_LINE: &str = "10000";
/// The server is given up when it sends nothing for so long: it looks for the series of all time first.
const PATIENCE: Duration = Duration::from_mins(10);
/// So many samples are stored at once.
const SAMPLES_AT_ONCE: usize = 1_000_000;
/// Longer lines than this are none.
const LINE_BYTES_MAX: usize = 1 << 30;
/// How far the import of a file is, in the data directory.
const NOTES: &str = "imported-victoriametrics.json";
const PIECE_BYTES: usize = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Imports all lines, and says how far it is.
pub(crate) fn import(args: &[&str], streams: &mut Streams<'_>) -> Result<Outcome, Stop> {
    let flags = Flags::parse(args, FLAGS)?;
    let from = flags.some_files("file or URL")?.first().copied().unwrap_or_default();
    let [_, path] = flags.at_most(["", DIRECTORY])?;
    let source = Source::of(from, &flags)?;
    // Kept for ever as far as the import goes; a server drops what its own retention does not keep.
    let options = Options { retention_ms: 0, ..Options::new(Path::new(path)) };
    let db = Db::open(options, &Registry::new()).map_err(|error| {
        let hint = if matches!(error, storage::Error::InUse { .. }) { "; stop the server first" } else { "" };
        Stop::Failed(format!("{}{hint}", model::with_causes(&error)))
    })?;
    // What is past goes where it is kept for good at once.
    db.set_now(Timestamp::now()).map_err(|error| told(&error))?;
    let mut shown = None;
    let is_quiet = flags.is_on("quiet");
    let mut show = |progress: String| {
        if !is_quiet && shown.as_ref() != Some(&progress) {
            // An output that is gone does not end the import.
            writeln!(streams.err, "{progress}").ok();
            shown = Some(progress);
        }
    };
    let mut import = Import::new(&db);
    let read = match source {
        Source::File(file) => file.read(&Path::new(path).join(NOTES), &mut import, &mut show),
        Source::Server(server, url) => from_server(&server, &url, &mut import, &mut show),
    };
    let counted = import.counted;
    let closed = db.close().map_err(|error| told(&error));
    read.map_err(|why| {
        format!("{from}: {why}; what was read until then is stored, and importing it again is harmless")
    })?;
    closed?;
    writeln!(streams.out, "{counted}")?;
    Ok(Outcome::Passed)
}

/// Where the lines are.
enum Source {
    File(LinesFile),
    Server(Box<Server>, Url),
}

impl Source {
    fn of(from: &str, flags: &Flags<'_>) -> Result<Self, Stop> {
        if !from.contains("://") {
            if let Some(flag) = OF_SERVERS.iter().find(|flag| flags.value(flag).is_some()) {
                return Err(Stop::Misuse(format!("--{flag} is for a URL, and {from} is a file")));
            }
            return Ok(Self::File(
                LinesFile::open(Path::new(from)).map_err(|error| format!("cannot read {from}: {error}"))?,
            ));
        }
        let http = http_config::of(flags, from)?;
        let server = Server::new(from, &http, PATIENCE)?;
        let given = server.at("");
        let mut url = if given.path().ends_with(EXPORT) { given } else { server.at(EXPORT) };
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("max_rows_per_line", SAMPLES_OF_LINE);
        let selectors: Vec<&str> = flags.values("match").collect();
        let selectors = if selectors.is_empty() { &[EVERYTHING][..] } else { &selectors };
        for selector in selectors {
            pairs.append_pair("match[]", selector);
        }
        for name in ["start", "end"] {
            if let Some(time) = flags.value(name) {
                pairs.append_pair(name, time);
            }
        }
        drop(pairs);
        Ok(Self::Server(Box::new(server), url))
    }
}

/// Says how far it is.
type Show<'s> = dyn FnMut(String) + 's;

fn from_server(server: &Server, url: &Url, import: &mut Import<'_>, show: &mut Show<'_>) -> Result<(), String> {
    server.stream(url, &mut |piece| {
        import.bytes(piece)?;
        show(format!("{} million samples", import.counted.samples / 1_000_000));
        Ok(())
    })?;
    import.finish()
}

/// A file of lines, as they are or in gzip.
struct LinesFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    is_gzip: bool,
}

/// How far the import of a file is.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct Done {
    file: PathBuf,
    /// Of the file: another one of that name has another length.
    bytes: u64,
    /// All lines before it are stored.
    offset: u64,
}

impl LinesFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(GZIP.len() as u64).read_to_end(&mut head)?;
        file.rewind()?;
        Ok(Self { path: fs::canonicalize(path)?, file, bytes, is_gzip: head == GZIP })
    }

    fn read(mut self, notes: &Path, import: &mut Import<'_>, show: &mut Show<'_>) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        if self.is_gzip {
            // Its bytes have no places that one could go on from.
            let mut lines = MultiGzDecoder::new(&self.file);
            each_piece(&mut lines, &mut |piece| {
                import.bytes(piece)?;
                show(format!("{} million samples", import.counted.samples / 1_000_000));
                Ok(())
            })?;
            return import.finish();
        }
        let before: Done = fs::read(notes).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let begin = if before.file == self.path && before.bytes == self.bytes { before.offset } else { 0 };
        self.file.seek(SeekFrom::Start(begin)).map_err(failed)?;
        let mut noted = begin;
        let (path, bytes) = (self.path, self.bytes);
        each_piece(&mut self.file, &mut |piece| {
            import.bytes(piece)?;
            let offset = begin + import.stored_until;
            if offset != noted {
                noted = offset;
                note(notes, &Done { file: path.clone(), bytes, offset }).map_err(|error| error.to_string())?;
            }
            show(format!("{} %", (offset * 100).checked_div(bytes).unwrap_or(100)));
            Ok(())
        })?;
        import.finish()?;
        // What is imported again is there already: a file that stays costs time and nothing else.
        fs::remove_file(notes).ok();
        Ok(())
    }
}

fn each_piece(from: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&piece[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn note(path: &Path, done: &Done) -> io::Result<()> {
    let new = path.with_extension("tmp");
    fs::write(&new, serde_json::to_vec(done)?)?;
    fs::rename(&new, path)
}

/// What became of the samples.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    lines: u64,
    samples: u64,
    duplicate: u64,
    too_old: u64,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imported {} samples of {} lines", self.samples, self.lines)?;
        for (n, what) in [(self.duplicate, "have another value in their place"), (self.too_old, "are too old")] {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        Ok(())
    }
}

/// A line of an export.
#[derive(Debug, Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<Value>,
    timestamps: Vec<i64>,
}

/// A number, or a word for what JSON has no number for.
#[derive(Clone, Copy, Debug)]
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, null, \"NaN\" or \"Infinity\"")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value(number))
            }

            #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value(number as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value(number as f64))
            }

            // VictoriaMetrics stores no NaN but the stale marker (`lib/storage`), and exports it as null.
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value(model::sample::stale_nan()))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Value, E> {
                Ok(Value(match word.to_lowercase().as_str() {
                    "infinity" | "inf" | "+inf" => f64::INFINITY,
                    "-infinity" | "-inf" => f64::NEG_INFINITY,
                    "nan" | "null" => model::sample::stale_nan(),
                    _ => return Err(E::custom(format!("{word:?} is no number"))),
                }))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Collects samples by series, and stores them now and then.
struct Import<'d> {
    db: &'d Db,
    series: HashMap<Labels, (Vec<Timestamp>, Vec<f64>)>,
    /// Samples that are not stored yet.
    waiting: usize,
    /// The beginning of the next line.
    line: Vec<u8>,
    /// Bytes of the lines before it.
    read: u64,
    /// Of these, the ones whose samples are stored.
    stored_until: u64,
    counted: Counted,
}

impl<'d> Import<'d> {
    fn new(db: &'d Db) -> Self {
        let (series, line, counted) = (HashMap::new(), Vec::new(), Counted::default());
        Self { db, series, waiting: 0, line, read: 0, stored_until: 0, counted }
    }

    /// Takes the next bytes.
    fn bytes(&mut self, mut piece: &[u8]) -> Result<(), String> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (last, rest) = piece.split_at(end);
            if self.line.is_empty() {
                self.line(last)?;
            } else {
                self.line.extend_from_slice(last);
                let line = std::mem::take(&mut self.line);
                self.line(&line)?;
            }
            piece = &rest[1..];
        }
        if self.line.len() + piece.len() > LINE_BYTES_MAX {
            return Err(self.fault("it has more than 1 GiB"));
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// All bytes have come.
    fn finish(&mut self) -> Result<(), String> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line)?;
        }
        self.store()
    }

    fn line(&mut self, text: &[u8]) -> Result<(), String> {
        if !text.trim_ascii().is_empty() {
            let Line { metric, values, timestamps } =
                serde_json::from_slice(text).map_err(|error| self.fault(&error.to_string()))?;
            if values.len() != timestamps.len() {
                return Err(self.fault(&format!("{} values at {} times", values.len(), timestamps.len())));
            }
            let labels = Labels::from_pairs(&metric);
            if labels.is_empty() {
                return Err(self.fault("a series without labels"));
            }
            self.waiting += values.len();
            self.counted.samples += values.len() as u64;
            let samples = self.series.entry(labels).or_default();
            samples.0.extend(timestamps.into_iter().map(Timestamp));
            samples.1.extend(values.iter().map(|value| value.0));
        }
        self.counted.lines += 1;
        self.read += text.len() as u64 + 1;
        if self.waiting < SAMPLES_AT_ONCE { Ok(()) } else { self.store() }
    }

    fn fault(&self, why: &str) -> String {
        format!("line {}: {why}", self.counted.lines + 1)
    }

    fn store(&mut self) -> Result<(), String> {
        self.waiting = 0;
        let collected = std::mem::take(&mut self.series);
        let series: Vec<SeriesSamples<'_>> =
            collected.iter().map(|(labels, (times, values))| SeriesSamples::floats(labels, times, values)).collect();
        let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Any, memo: None };
        let Committed { out_of_order, duplicate, too_old, .. } =
            self.db.append_series(&batch).map_err(|error| model::with_causes(&error))?;
        self.counted.duplicate += u64::from(duplicate);
        self.counted.too_old += u64::from(too_old) + u64::from(out_of_order);
        self.stored_until = self.read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::tests::on;
    use super::*;
    use crate::server::tests::answering;
    use crate::testing::run;

    const LINES: &str = r#"{"metric":{"__name__":"a","job":"j","none":""},"values":[1,2.5,null],"timestamps":[1600000000000,1600000015000,1600000030000]}
{"metric":{"__name__":"b"},"values":["Infinity","-Infinity",-3],"timestamps":[1600000000000,1600000015000,1600000030000]}

{"metric":{"job":"nameless"},"values":[1e300],"timestamps":[1600000000000]}
"#;
    const DUMPED: &str = "{__name__=\"a\", job=\"j\"} 1 1600000000000\n{__name__=\"a\", job=\"j\"} 2.5 1600000015000\n\
                          {__name__=\"a\", job=\"j\"} NaN 1600000030000\n{__name__=\"b\"} +Inf 1600000000000\n\
                          {__name__=\"b\"} -Inf 1600000015000\n{__name__=\"b\"} -3 1600000030000\n\
                          {job=\"nameless\"} 1e+300 1600000000000\n";

    fn sorted(text: &str) -> Vec<&str> {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_are_imported_plain_and_in_gzip() {
        for (bytes, name) in [(LINES.as_bytes().to_vec(), "plain"), (gzipped(LINES), "gzip")] {
            let folder = tempfile::tempdir().unwrap();
            let (file, data) = (folder.path().join("export.jsonl"), folder.path().join("data"));
            fs::write(&file, &bytes).unwrap();
            let args = ["tsdb", "import-victoriametrics", "-q", file.to_str().unwrap(), data.to_str().unwrap()];
            let ran = run(&args);
            assert_eq!((ran.code, ran.both.as_str()), (0, "imported 7 samples of 4 lines\n"), "{name}");
            let ran = run(&args);
            assert_eq!((ran.code, ran.both.as_str()), (0, "imported 7 samples of 4 lines\n"), "{name}, again");
            assert!(!data.join(NOTES).exists());
            assert_eq!(sorted(&on(&folder, &["dump", "DATA"]).out), sorted(DUMPED), "{name}");
        }
    }

    #[test]
    fn an_import_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("export.jsonl"), folder.path().join("data"));
        fs::write(&file, LINES).unwrap();
        fs::create_dir(&data).unwrap();
        let offset = LINES.find('\n').unwrap() as u64 + 1;
        let done = Done { file: fs::canonicalize(&file).unwrap(), bytes: LINES.len() as u64, offset };
        note(&data.join(NOTES), &done).unwrap();
        let args = ["tsdb", "import-victoriametrics", file.to_str().unwrap(), data.to_str().unwrap()];
        let ran = run(&args);
        assert_eq!((ran.code, ran.out.as_str()), (0, "imported 4 samples of 3 lines\n"), "{}", ran.err);
        // Another file of that name begins at its beginning.
        note(&data.join(NOTES), &Done { bytes: 7, ..done }).unwrap();
        let ran = run(&args);
        assert_eq!((ran.code, ran.out.as_str()), (0, "imported 7 samples of 4 lines\n"), "{}", ran.err);
        assert!(ran.err.contains(" %"), "{}", ran.err);
        // What is there stays.
        fs::write(&file, r#"{"metric":{"__name__":"b"},"values":[9],"timestamps":[1600000030000]}"#).unwrap();
        let ran = run(&args);
        assert!(ran.out.contains("1 have another value in their place"), "{}", ran.both);
    }

    #[test]
    fn what_is_no_export_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (folder.path().join("export.jsonl"), folder.path().join("data"));
        let good = LINES.lines().next().unwrap();
        for (line, part) in [
            ("{", "line 2: EOF while parsing"),
            (r#"{"metric":{"a":"b"},"values":[1],"timestamps":[]}"#, "line 2: 1 values at 0 times"),
            (r#"{"metric":{},"values":[1],"timestamps":[1]}"#, "line 2: a series without labels"),
            (r#"{"metric":{"a":"b"},"values":["x"],"timestamps":[1]}"#, "line 2: \"x\" is no number"),
            (r#"{"metric":{"a":"b"},"values":[true],"timestamps":[1]}"#, "a number, null"),
        ] {
            fs::write(&file, format!("{good}\n{line}\n")).unwrap();
            let ran = run(&["tsdb", "import-victoriametrics", file.to_str().unwrap(), data.to_str().unwrap()]);
            assert!(ran.code == 1 && ran.err.contains(part), "{}", ran.err);
        }
        let ran = run(&["tsdb", "import-victoriametrics", "/no/such", data.to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains("cannot read /no/such"), "{}", ran.err);
        let ran = run(&["tsdb", "import-victoriametrics", "--match=x", file.to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains("--match is for a URL"), "{}", ran.err);
    }

    #[test]
    fn a_server_is_asked_for_its_export() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").display().to_string();
        let (url, asked) = answering(vec![("200 OK", LINES.to_owned()), ("422 No", "no such thing".to_owned())]);
        let ran = run(&["tsdb", "import-victoriametrics", "-q", &url, &data]);
        assert_eq!((ran.code, ran.both.as_str()), (0, "imported 7 samples of 4 lines\n"));
        let export = format!("{url}api/v1/export");
        let args = ["tsdb", "import-victoriametrics", "--match=up", "--match=x", "--start=5", &export, &data];
        let ran = run(&args);
        assert!(ran.code == 1 && ran.err.contains("422") && ran.err.contains("no such thing"), "{}", ran.err);
        let asked = asked.join().unwrap();
        let lines: Vec<&str> = asked.iter().map(|request| request.lines().next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "GET /prefix/api/v1/export?max_rows_per_line=10000&match%5B%5D=%7B__name__%21%3D%22%22%7D HTTP/1.1",
                "GET /prefix/api/v1/export?max_rows_per_line=10000&match%5B%5D=up&match%5B%5D=x&start=5 HTTP/1.1",
            ]
        );
        assert_eq!(sorted(&on(&folder, &["dump", "DATA"]).out), sorted(DUMPED));
    }
}
