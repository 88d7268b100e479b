//! `/debug/pprof` of the real binary under load, read by Go's `go tool pprof`.
#![allow(clippy::unwrap_used, reason = "a test: a failed step is its message")]

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use kit::{Weft, eventually, skipped};

/// Is pprof's tool there?
fn has_go() -> bool {
    let has = Command::new("go").arg("version").output().is_ok_and(|output| output.status.success());
    if !has {
        skipped("no go");
    }
    has
}

/// What `go tool pprof -top` prints of a profile.
fn top(args: &[&str], url: &str) -> String {
    // `-symbolize=none`: the names are in the profile, no binary is looked at. A debug build takes its time to find them.
    let mut command = Command::new("go");
    let folder = tempfile::tempdir().unwrap();
    command
        .args(["tool", "pprof", "-symbolize=none", "-timeout=120", "-nodefraction=0", "-nodecount=100000", "-top"])
        .args(args)
        .arg(url);
    let output = command.env("PPROF_TMPDIR", folder.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?} {url}: {err}");
    out
}

fn scraping_itself() -> Weft {
    // The server's own address is not known before it listens.
    let exporter = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: []\n";
    Weft::start(exporter, &[])
}

/// Profiles while queries run.
fn under_load<T>(weft: &Weft, profile: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let query = "sum(sum_over_time(vector(1)[1h:1s]) + count_values(\"a\", vector(2)))";
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    weft.http.query(query).unwrap();
                }
            });
        }
        let profile = profile();
        done.store(true, Ordering::Relaxed);
        profile
    })
}

#[test]
fn profiles_have_the_names_of_our_functions() {
    if !has_go() {
        return;
    }
    let weft = scraping_itself();
    let url = |path: &str| format!("http://{}/debug/pprof/{path}", weft.address);
    under_load(&weft, || {
        let cpu = top(&[], &url("profile?seconds=2"));
        assert!(cpu.contains("Type: cpu\n") && cpu.contains("query::"), "{cpu}");
        // The handler's own frames are cut off.
        assert!(!cpu.contains("signal_hook_registry") && !cpu.contains("trace_unsynchronized"), "{cpu}");
        let heap = top(&[], &url("heap?seconds=2"));
        assert!(heap.contains("Type: inuse_space\n"), "{heap}");
        let allocs = top(&[], &url("allocs?seconds=2"));
        assert!(allocs.contains("Type: alloc_space\n") && allocs.contains("query::"), "{allocs}");
        assert!(!allocs.contains("_rjem_") && !allocs.contains(" prof_"), "{allocs}");
    });
    let threads = top(&[], &url("goroutine"));
    assert!(threads.contains("Type: goroutine\n") && threads.contains("thread rocksdb:"), "{threads}");
    for path in ["block", "mutex"] {
        assert!(top(&[], &url(path)).contains("Type: delay\n"), "{path}");
    }
}

#[test]
fn a_heap_profile_since_the_start_shows_what_is_held() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prometheus.yml"), "scrape_configs: []\n").unwrap();
    let environment = [("MALLOC_CONF", "prof_active:true,lg_prof_sample:12".to_owned())];
    let weft = Weft::start_with(folder, &[], &environment);
    // Without `seconds`: nothing is waited for, and what the start of the store allocated is in it.
    let heap = top(&[], &format!("http://{}/debug/pprof/heap", weft.address));
    assert!(heap.contains("storage::") && heap.contains("rocksdb::"), "{heap}");
}

#[test]
fn a_profile_ends_with_its_client() {
    let weft = scraping_itself();
    let profile = || weft.http.get("/debug/pprof/profile?seconds=1").map(|(status, _)| status);
    let mut clients = Vec::new();
    eventually("a long profile is being taken", || {
        let mut client = TcpStream::connect(&weft.address).unwrap();
        write!(client, "GET /debug/pprof/profile?seconds=600 HTTP/1.1\r\nHost: {}\r\n\r\n", weft.address).unwrap();
        // Kept: one that came behind the question below is the one that profiles.
        clients.push(client);
        match profile()? {
            409 => Ok(()),
            status => Err(status.to_string()),
        }
    });
    drop(clients);
    eventually("another one can be taken", || match profile()? {
        200 => Ok(()),
        status => Err(status.to_string()),
    });
}
