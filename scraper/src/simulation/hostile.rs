//! Targets that mean harm, or are broken enough to look like it: each costs a bounded time and memory, and only itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const JOB: &str = "job_name: j, scrape_interval: 10s, scrape_timeout: 5s";

/// A target that sends pieces, the n-th of them after this pause, for as long as somebody takes them; how many bytes went out.
fn send(
    world: &mut World,
    name: &str,
    pause: Duration,
    piece: impl Fn(usize) -> Vec<u8> + Send + 'static,
) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(world.folder.path().join(name)).unwrap();
    let (asked, sent) = (Arc::clone(&world.asked), Arc::new(AtomicUsize::new(0)));
    let (name, counter) = (name.to_owned(), Arc::clone(&sent));
    world.targets.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.lock().unwrap().entry(name.clone()).or_default().push(String::new());
            for n in 0.. {
                let piece = piece(n);
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
                counter.fetch_add(piece.len(), Ordering::Relaxed);
                sleep(pause).await;
            }
        }
    });
    sent
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";

#[tokio::test(start_paused = true)]
async fn a_target_that_sends_byte_by_byte_holds_up_nobody() {
    let mut world = World::new();
    let second = Duration::from_secs(1);
    let head = move |n: usize| HEAD.as_bytes().get(n..=n).map_or_else(|| b"x: y\r\n".to_vec(), <[u8]>::to_vec);
    send(&mut world, "head", second, head);
    let long = format!("{HEAD}content-length: 1000000\r\n\r\n");
    let body = move |n: usize| if n == 0 { long.clone().into_bytes() } else { b"#".to_vec() };
    send(&mut world, "body", second, body);
    world.serve("good", |_| page("m 1\n"));
    world.apply(&format!("{{{JOB}}}")).await;
    let targets = ["head", "body", "good"].map(|name| world.labels(name, &[]));
    world.discover(&[("j", &targets)]).await;
    for name in ["head", "body", "good"] {
        world.scraped(name, 3).await;
    }
    world.seconds(5.0).await;
    for active in world.targets("j").await {
        let name = active.target.public.get("instance").unwrap().to_owned();
        let expected = if name == "good" { "" } else { "context deadline exceeded (scrape timeout 5s)" };
        let error = &active.status.last_error;
        assert!(error.ends_with(expected) && error.is_empty() == (name == "good"), "{name}: {error}");
    }
    assert!(timeless(&world.stored()).len() >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_is_left_at_the_limit() {
    let limit = 1 << 20;
    let text = "# never ends\n".repeat(1000);
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    for (framing, piece) in [("transfer-encoding: chunked\r\n\r\n", chunk), ("connection: close\r\n\r\n", text)] {
        let mut world = World::new();
        let head = format!("{HEAD}{framing}");
        let sent =
            send(&mut world, "t", Duration::ZERO, move |n| if n == 0 { head.clone() } else { piece.clone() }.into());
        world.apply(&format!("{{{JOB}, body_size_limit: 1MB}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 1).await;
        assert_eq!(world.error("j").await, format!("body size limit exceeded (limit {limit} bytes)"));
        // Beyond the limit only what the socket holds was sent, and nobody takes more.
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent >= limit && sent < 2 * limit, "{sent} bytes were sent");
    }
}

#[tokio::test(start_paused = true)]
async fn heads_without_an_end_are_left_soon() {
    let lines = |n: usize| format!("x-{n}: {}\r\n", "y".repeat(100));
    let one_line = |n: usize| if n == 1 { "x: ".to_owned() } else { "y".repeat(100) };
    let kinds = [lines as fn(usize) -> String, one_line];
    for more in kinds {
        let mut world = World::new();
        let sent =
            send(&mut world, "t", Duration::ZERO, move |n| if n == 0 { HEAD.to_owned() } else { more(n) }.into());
        world.apply(&format!("{{{JOB}}}")).await;
        world.discover(&[("j", &[world.labels("t", &[])])]).await;
        world.scraped("t", 1).await;
        let error = world.error("j").await;
        assert!(error.contains("its head has more than 131072 bytes"), "{error}");
        assert!(sent.load(Ordering::Relaxed) < 1 << 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_tiny_lines_names_the_fix() {
    let mut world = World::new();
    world.serve("t", |_| page(&"#\n".repeat(3_000_000)));
    world.apply(&format!("{{{JOB}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    let expected = "entry limit exceeded (more than 2097152 lines, comments among them); raise entry_limit in the job if \
                    the target is sound";
    assert_eq!(world.error("j").await, expected);
}

/// The head of an answer whose body never ends.
const UNENDING: &str = "content-type: text/plain\r\ncontent-length: 9000000\r\n\r\n";

/// A target that sends this to whoever connects, and then nothing more.
fn send_and_stall(world: &mut World, name: &str, first: Vec<u8>) {
    let listener = UnixListener::bind(world.folder.path().join(name)).unwrap();
    let (asked, name, first) = (Arc::clone(&world.asked), name.to_owned(), Arc::new(first));
    world.targets.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.lock().unwrap().entry(name.clone()).or_default().push(String::new());
            let first = Arc::clone(&first);
            connections.spawn(async move {
                // Until the other side is gone.
                stream.write_all(&first).await.ok();
                while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
            });
        }
    });
}

#[tokio::test(start_paused = true)]
async fn bodies_that_stall_starve_no_other() {
    // Each of the three could hold half of the memory.
    let mut world = World::with_body_memory(8 << 20);
    let packed = gzip(&vec![b'\n'; 4_000_000]);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n{UNENDING}").into_bytes();
    let plain = format!("HTTP/1.1 200 OK\r\n{UNENDING}{}", "# stalls\n".repeat(400_000)).into_bytes();
    for (name, first) in [("a", [&head[..], &packed].concat()), ("b", [&head[..], &packed].concat()), ("c", plain)] {
        send_and_stall(&mut world, name, first);
    }
    let large = format!("{}m 1\n", format!("# {}\n", "a comment ".repeat(100)).repeat(3_000));
    world.serve("good", move |_| page(&large));
    let job = "job_name: j, scrape_interval: 1s, scrape_timeout: 1s";
    world.apply(&format!("{{{job}}}")).await;
    let targets = ["a", "b", "c", "good"].map(|name| world.labels(name, &[]));
    world.discover(&[("j", &targets)]).await;
    world.scraped("good", 30).await;
    let lines: Vec<String> = world.store.take_all().iter().map(|line| since_start(line)).collect();
    let up: Vec<_> = lines.iter().filter(|line| line.contains(" up{instance=\"good\"")).collect();
    assert!(up.len() >= 29 && up.iter().all(|line| line.ends_with(" 1")), "{up:?}");
    let times: Vec<f64> = up.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < 1e-6), "{times:?}");
    assert!(world.metric("weft_scrapes_ended_for_memory_total") > 20.0);
    for name in ["a", "b", "c"] {
        let up: Vec<_> = lines.iter().filter(|line| line.contains(&format!(" up{{instance=\"{name}\""))).collect();
        assert!(up.len() >= 28 && up.iter().all(|line| line.ends_with(" 0")), "{up:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_body_held_is_free_once_its_scrape_is_over() {
    let mut world = World::with_body_memory(64 << 20);
    let first = format!("HTTP/1.1 200 OK\r\n{UNENDING}{}", "# stalls\n".repeat(800_000)).into_bytes();
    send_and_stall(&mut world, "t", first);
    world.apply(&format!("{{{JOB}}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    let held = world.budget.reserved();
    assert!(held > 6 << 20 && held < 12 << 20, "what came is reserved, not what was announced: {held}");
    world.seconds(5.0).await;
    assert_eq!(world.budget.reserved(), 0);
    assert!(world.error("j").await.ends_with("context deadline exceeded (scrape timeout 5s)"));
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_that_unpacks_to_a_large_one_is_left_at_the_limit() {
    let packed = gzip(&vec![b'\n'; 8 << 20]);
    assert!(packed.len() < 128 << 10);
    let mut world = World::new();
    let headers = "content-type: text/plain\r\ncontent-encoding: gzip\r\n";
    world.serve("t", move |_| answer("200 OK", headers, &packed));
    world.apply(&format!("{{{JOB}, body_size_limit: 1MB}}")).await;
    world.discover(&[("j", &[world.labels("t", &[])])]).await;
    world.scraped("t", 1).await;
    assert_eq!(world.error("j").await, "body size limit exceeded (limit 1048576 bytes)");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_a_target_is_short_whatever_it_says() {
    let mut world = World::new();
    let long = "x".repeat(50_000);
    let unknown = answer("200 OK", &format!("content-type: text/{long}\r\n"), b"m 1\n");
    let elsewhere = answer("302 Found", &format!("location: unknown://{long}\r\n"), b"");
    world.serve("type", move |_| unknown.clone());
    world.serve("location", move |_| elsewhere.clone());
    world.apply(&format!("{{{JOB}}}")).await;
    let targets = ["type", "location"].map(|name| world.labels(name, &[]));
    world.discover(&[("j", &targets)]).await;
    for name in ["type", "location"] {
        world.scraped(name, 1).await;
    }
    for active in world.targets("j").await {
        let error = &active.status.last_error;
        assert!(error.len() < 2100 && error.ends_with("xxx…"), "{error}");
    }
}

/// With the clock of the world running, as names are looked up on a thread of its own.
#[tokio::test]
async fn a_name_server_that_says_nothing_stops_no_target_by_address() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(files.path().join(name), text).unwrap();
        files.path().join(name)
    };
    let port = silent.local_addr().unwrap().port();
    let resolver = Resolver::from_files(file("resolv.conf", "nameserver 127.0.0.1\n"), file("hosts", ""), port);
    let mut world = World::resolving_by(resolver);
    // Large enough to be read by a worker.
    world.serve("good", |_| page(&format!("{}m 1\n", format!("# {}\n", "a comment ".repeat(100)).repeat(400))));
    world.apply("{job_name: j, scrape_interval: 500ms, scrape_timeout: 500ms}").await;
    let named = (0..300).map(|i| Labels::from_pairs([("__address__", format!("host-{i}.test:80"))]));
    let targets: Vec<Labels> = [world.labels("good", &[])].into_iter().chain(named).collect();
    world.discover(&[("j", &targets)]).await;
    world.scraped("good", 5).await;
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    assert!(threads < 200, "{threads} threads");
    let lines = world.store.take_in_order();
    let up: Vec<_> = lines.iter().filter(|line| line.contains(" up{instance=\"good\"")).collect();
    assert!(up.len() >= 4 && up.iter().filter(|line| line.ends_with(" 1")).count() >= 4, "{up:?}");
    let failed = lines.iter().filter(|line| line.contains(" up{instance=\"host-") && line.ends_with(" 0")).count();
    assert!(failed >= 300, "{failed} scrapes of names failed");
}
