//! `docs/migrating.md`: its commands, run on data directories that a real Prometheus and a real VictoriaMetrics have written. No server
//! changes what another one has stored, and what one has stored goes over to the other and back.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{
    Answer, Exporter, Http, Process, Prometheus, Weft, cache, eventually, free_port, prometheus_version, skipped,
};
use tempfile::TempDir;

/// Prometheus cuts blocks of what is older than that.
const BLOCKS: [&str; 2] = ["--storage.tsdb.min-block-duration=5m", "--storage.tsdb.max-block-duration=5m"];
/// Half an hour of samples.
const SAMPLES: i64 = 120;
const STEP_MS: i64 = 15_000;
const NOTHING: &str = "scrape_configs: []\n";

/// The page, of which every block of commands is run.
struct Page(Vec<(String, String)>);

impl Page {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/migrating.md");
        let text = fs::read_to_string(path).unwrap();
        let fenced = text.split("\n```").skip(1).step_by(2);
        Self(fenced.map(|block| block.split_once('\n').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
    }

    /// The one block of this language that holds `part`, with the addresses of real servers in the place of names.
    fn block(&self, language: &str, part: &str, servers: &[(&str, &str)]) -> String {
        let mut found = self.0.iter().filter(|(of, text)| of == language && text.contains(part));
        let (_, text) = found.next().unwrap_or_else(|| panic!("the page has no block of {language} with {part}"));
        assert!(found.next().is_none(), "two blocks with {part}");
        let text = servers.iter().fold(text.clone(), |text, (name, address)| text.replace(name, address));
        assert!(!text.contains("http://weft") && !text.contains("http://victoria"), "a name is left: {text}");
        text
    }
}

/// Where commands are run: a folder, and one with the programs that they name.
struct Place {
    folder: TempDir,
    programs: TempDir,
}

impl Place {
    fn new(prometheus: &Path, promtool: &Path) -> Self {
        let (folder, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, programs.path().join(name)).unwrap();
        link("weft", &Weft::binary());
        link("prometheus", prometheus);
        link("promtool", promtool);
        fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
        Self { folder, programs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn run(&self, commands: &str) -> String {
        let path = format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(commands).current_dir(self.folder.path()).env("PATH", path);
        let output = shell.output().unwrap();
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{commands}\n{told}");
        told
    }
}

fn program() -> Option<PathBuf> {
    Prometheus::binary().map_err(|why| skipped(&why)).ok()
}

/// Upstream's promtool of the same release: `$WEFT_PROMTOOL`, else the one in the cache.
fn promtool() -> Option<PathBuf> {
    let name = format!("promtool-{}-{}/promtool", prometheus_version(), std::env::consts::ARCH);
    let path = std::env::var_os("WEFT_PROMTOOL").map(PathBuf::from).or_else(|| Some(cache()?.join(&name)));
    let found = path.filter(|path| path.exists());
    if found.is_none() {
        skipped(&format!("there is no {name} in the cache: `cargo xtask setup` builds it, or set WEFT_PROMTOOL"));
    }
    found
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Half an hour of samples that end at a time, in the order of time, in which an empty server takes them.
fn page_until(end_ms: i64) -> String {
    (1..=SAMPLES).fold(String::new(), |mut page, i| {
        let ts = end_ms - (SAMPLES - i) * STEP_MS;
        let temperature = 20.5 - (i % 7) as f64;
        writeln!(page, "jobs_total{{kind=\"a\"}} {i} {ts}\njobs_total{{kind=\"b c\"}} {} {ts}", i * 1000).unwrap();
        writeln!(page, "temperature {temperature} {ts}").unwrap();
        page
    })
}

fn exporter(page: String) -> Exporter {
    Exporter::start(move |_| Answer::Metrics(page.clone()))
}

fn scraping(exporter: &Exporter) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: work, static_configs: [{{targets: ['{}'], labels: {{instance: i}}}}]}}]\n",
        exporter.address
    )
}

/// Number and sum of the samples of each series in the hour before a time.
fn past(http: &Http, at_ms: i64) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for function in ["count_over_time", "sum_over_time"] {
        for metric in ["jobs_total", "temperature"] {
            let query = format!("{function}({metric}[1h])");
            let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let result = http.api(&format!("query?query={encoded}&time={}", at_ms as f64 / 1000.0))?["result"].take();
            for one in result.as_array().unwrap() {
                found.insert(format!("{query} {}", one["metric"]["kind"]), one["value"][1].to_string());
            }
        }
    }
    Ok(found)
}

fn expected() -> BTreeMap<String, String> {
    let sum: i64 = (1..=SAMPLES).sum();
    let temperature: f64 = (1..=SAMPLES).map(|i| 20.5 - (i % 7) as f64).sum();
    let mut expected = BTreeMap::new();
    let mut put = |function: &str, metric: &str, kind: &str, value: String| {
        expected.insert(format!("{function}({metric}[1h]) {kind}"), format!("\"{value}\""));
    };
    for (metric, kind, sum) in [
        ("jobs_total", "\"a\"", sum.to_string()),
        ("jobs_total", "\"b c\"", (sum * 1000).to_string()),
        ("temperature", "null", temperature.to_string()),
    ] {
        put("count_over_time", metric, kind, SAMPLES.to_string());
        put("sum_over_time", metric, kind, sum);
    }
    expected
}

#[track_caller]
fn has_past(http: &Http, at_ms: i64) {
    eventually("the past is there", || {
        let found = past(http, at_ms)?;
        if found == expected() { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// Lets a real Prometheus write half an hour into a data directory, blocks and a write-ahead log, and moves it to `to`.
fn prometheus_data(program: &Path, end_ms: i64, to: &Path) {
    let target = exporter(page_until(end_ms));
    let mut prometheus = Prometheus::start(program, &scraping(&target), &BLOCKS);
    let tsdb = prometheus.folder().join("tsdb");
    has_past(&prometheus.http, end_ms);
    eventually("blocks are cut", || {
        let blocks =
            fs::read_dir(&tsdb).unwrap().filter(|entry| entry.as_ref().unwrap().path().join("meta.json").exists());
        let n = blocks.count();
        if n >= 3 { Ok(()) } else { Err(format!("{n} blocks")) }
    });
    end(&mut prometheus.process);
    fs::rename(tsdb, to).unwrap();
}

fn end(process: &mut Process) {
    process.signal("TERM");
    process.wait();
}

/// A checksum of every file below a folder.
fn sums(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sums(&path));
        } else {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap().hash(&mut hasher);
            found.insert(path, hasher.finish());
        }
    }
    found
}

/// Prometheus on a data directory, which is moved into its folder.
fn prometheus_on(program: &Path, data: &Path, config: &str, flags: &[&str]) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    fs::rename(data, folder.path().join("tsdb")).unwrap();
    Prometheus::start_with(folder, program, config, flags, &[])
}

fn has_fresh(http: &Http) {
    eventually("what Weft has scraped is there", || {
        let found = http.query("last_over_time(fresh[1h])")?;
        if found[0]["value"][1] == "1" { Ok(()) } else { Err(found.to_string()) }
    });
}

/// Weft on a directory of Prometheus: with nothing taken over, killed; as it is without flags; with a retention that would delete all.
#[test]
fn prometheus_finds_its_data_as_it_was() {
    let (Some(program), page, now) = (program(), Page::read(), now_ms()) else { return };
    let place = Place::new(&program, &program);
    prometheus_data(&program, now, &place.path("data"));
    let before = sums(&place.path("data"));
    let target = exporter("fresh 1\n".to_owned());
    fs::write(place.path("prometheus.yml"), scraping(&target)).unwrap();
    let Place { folder, programs } = place;
    let weft = Weft::start_with(folder, &["--storage.import-from=none"], &[]);
    has_fresh(&weft.http);
    assert_eq!(past(&weft.http, now).unwrap(), BTreeMap::new(), "nothing is taken over");
    let weft = weft.restart("KILL", &[]);
    has_past(&weft.http, now);
    let log = weft.process.output();
    assert!(log.contains(page.block("text", "", &[]).trim()), "{log}");
    let mut weft = weft.restart("TERM", &["--storage.tsdb.retention.time=1m", "--storage.tsdb.retention.size=1MB"]);
    has_fresh(&weft.http);
    end(&mut weft.process);
    let data = weft.folder().join("data");
    let after = sums(&data);
    for (path, sum) in &before {
        assert_eq!(after.get(path), Some(sum), "{} is not what Prometheus wrote", path.display());
    }
    assert!(before.len() > 10 && after.len() > before.len(), "{before:?}");

    // Prometheus, and Weft after it, each have their own.
    let mut prometheus = prometheus_on(&program, &data, NOTHING, &[]);
    has_past(&prometheus.http, now);
    end(&mut prometheus.process);
    let place = Place { folder: tempfile::tempdir().unwrap(), programs };
    fs::write(place.path("prometheus.yml"), NOTHING).unwrap();
    fs::rename(prometheus.folder().join("tsdb"), place.path("data")).unwrap();
    place.run(&page.block("console", "rm -r", &[]));
    let weft = Weft::start_with(place.folder, &[], &[]);
    has_fresh(&weft.http);
    assert!(!weft.process.output().contains("Prometheus has stored"), "{}", weft.process.output());
}

#[test]
fn a_directory_is_taken_over_without_a_server() {
    let (Some(program), page, now) = (program(), Page::read(), now_ms()) else { return };
    let place = Place::new(&program, &program);
    prometheus_data(&program, now, &place.path("prometheus-data"));
    place.run(&page.block("console", "tsdb import -q", &[]));
    let weft = Weft::start_with(place.folder, &[], &[]);
    has_past(&weft.http, now);
}

#[test]
fn the_past_goes_over_as_text_and_back_as_blocks() {
    let (Some(program), page, now) = (program(), Page::read(), now_ms()) else { return };
    let Some(promtool) = promtool() else { return };
    let place = Place::new(&program, &promtool);
    place.run(&page.block("console", "check config", &[]));
    prometheus_data(&program, now, &place.path("prometheus-data"));
    let before = sums(&place.path("prometheus-data"));
    place.run(&page.block("console", "dump-openmetrics prometheus-data", &[]));
    let after = sums(&place.path("prometheus-data"));
    assert!(before.iter().all(|(path, sum)| after.get(path) == Some(sum)), "reading changes nothing");
    let Place { folder, programs } = place;
    let mut weft = Weft::start_with(folder, &[], &[]);
    has_past(&weft.http, now);
    end(&mut weft.process);
    // Into an empty directory, so that all of it has come from Weft.
    let place = Place { folder: tempfile::tempdir().unwrap(), programs };
    fs::rename(weft.folder().join("data"), place.path("data")).unwrap();
    place.run(&page.block("console", "tsdb export", &[]));
    let prometheus = prometheus_on(&program, &place.path("prometheus-data"), NOTHING, &[]);
    has_past(&prometheus.http, now);
}

#[test]
fn the_old_server_answers_for_both() {
    let (Some(program), page, now) = (program(), Page::read(), now_ms()) else { return };
    let place = Place::new(&program, &program);
    prometheus_data(&program, now, &place.path("prometheus-data"));
    let target = exporter("fresh 1\n".to_owned());
    let weft = Weft::start(&scraping(&target), &[]);
    has_fresh(&weft.http);
    let command = page.block("console", "--storage.tsdb.path=prometheus-data", &[]);
    let kept = |flag: &&str| flag.starts_with("--storage.tsdb.retention");
    let flags: Vec<&str> = command.split_whitespace().filter(kept).collect();
    assert_eq!(flags.len(), 1, "{command}");
    let config = page.block("yaml", "read_recent:", &[("http://weft:9090", &format!("http://{}", weft.address))]);
    let old = prometheus_on(&program, &place.path("prometheus-data"), &config, &flags);
    has_past(&old.http, now);
    has_fresh(&old.http);
}

#[test]
fn weft_reads_from_the_old_server() {
    let (Some(program), page, now) = (program(), Page::read(), now_ms()) else { return };
    let place = Place::new(&program, &program);
    prometheus_data(&program, now, &place.path("prometheus-data"));
    let old = prometheus_on(&program, &place.path("prometheus-data"), NOTHING, &[]);
    let target = exporter("fresh 1\n".to_owned());
    let section =
        page.block("yaml", "http://prometheus:9090/api/v1/read", &[("http://prometheus:9090", old.http.base())]);
    let weft = Weft::start(&(scraping(&target) + &section), &[]);
    has_past(&weft.http, now);
    has_fresh(&weft.http);
}

#[test]
fn prometheus_sends_what_it_scrapes_and_both_answer_alike() {
    let (Some(program), page) = (program(), Page::read()) else { return };
    let place = Place::new(&program, &program);
    let weft = Weft::start(NOTHING, &["--web.enable-remote-write-receiver"]);
    // Without times of their own: Prometheus sends nothing that is older than itself.
    let target = exporter("fresh 1\n".to_owned());
    let weft_url = format!("http://{}", weft.address);
    let sends = page.block("yaml", "remote_write:", &[("http://weft:9090", &weft_url)]);
    let prometheus = Prometheus::start(&program, &(scraping(&target) + &sends), &[]);
    has_fresh(&weft.http);
    let panels = r#"{"panels": [{"title": "t", "targets": [{"expr": "fresh"}, {"expr": "sum(fresh) * 2"}]}]}"#;
    fs::write(place.path("dashboard.json"), panels).unwrap();
    let servers = [("http://prometheus:9090", prometheus.http.base()), ("http://weft:9090", &weft_url)];
    let told = place.run(&page.block("console", "diff-query", &servers));
    assert!(told.ends_with("2 queries: 2 same, 0 differ, 0 fail on both\n"), "{told}");
}

/// A running VictoriaMetrics.
struct Victoria {
    url: String,
    http: Http,
    _process: Process,
    _folder: TempDir,
}

impl Victoria {
    fn start() -> Option<Self> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        if Command::new("victoria-metrics").arg("-version").output().is_err() {
            skipped("victoria-metrics is not installed; `cargo xtask setup` installs it");
            return None;
        }
        let mut command = Command::new("victoria-metrics");
        command.arg(format!("-storageDataPath={}", folder.path().join("data").display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg("-retentionPeriod=10y");
        let process = Process::start(&mut command, &folder.path().join("log"));
        let url = format!("http://127.0.0.1:{port}");
        let http = Http::new(url.as_str());
        eventually("VictoriaMetrics answers", || match http.get("/health") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        Some(Self { url, http, _process: process, _folder: folder })
    }

    /// Waits until all samples are there, which takes VictoriaMetrics some seconds.
    fn has_past(&self) {
        let path = "/api/v1/export?format=prometheus&match[]=%7B__name__%3D~%22jobs_total%7Ctemperature%22%7D";
        eventually("VictoriaMetrics has all samples", || {
            let (_, text) = self.http.get(path)?;
            let n = text.lines().count() as i64;
            if n == 3 * SAMPLES { Ok(()) } else { Err(format!("{n} samples")) }
        });
    }
}

#[test]
fn the_past_of_victoria_metrics_goes_over_and_back() {
    let (Some(victoria), page, now) = (Victoria::start(), Page::read(), now_ms()) else { return };
    let (status, told) = victoria.http.text("POST", "/api/v1/import/prometheus", &page_until(now)).unwrap();
    assert_eq!(status, 204, "{told}");
    victoria.has_past();
    let none = Path::new("/nonexistent");
    let place = Place::new(none, none);
    place.run(&page.block("console", "api/v1/export", &[("http://victoria:8428", &victoria.url)]));
    let Place { folder, programs } = place;
    let mut weft = Weft::start_with(folder, &[], &[]);
    has_past(&weft.http, now);
    end(&mut weft.process);
    // The same over HTTP, without text between.
    let direct = Place { folder: tempfile::tempdir().unwrap(), programs };
    direct.run(&page.block("console", "import-victoriametrics", &[("http://victoria:8428", &victoria.url)]));
    let Place { folder, programs } = direct;
    fs::write(folder.path().join("prometheus.yml"), NOTHING).unwrap();
    let mut second = Weft::start_with(folder, &[], &[]);
    has_past(&second.http, now);
    end(&mut second.process);
    let Some(empty) = Victoria::start() else { return };
    let place = Place { folder: tempfile::tempdir().unwrap(), programs };
    fs::rename(weft.folder().join("data"), place.path("data")).unwrap();
    place.run(&page.block("console", "api/v1/import", &[("http://victoria:8428", &empty.url)]));
    empty.has_past();
}
