//! `cargo xtask demo`: a cluster on one machine, with something to see. A real API server has the objects of `deploy/demo`, exporters
//! answer as those of such pods do, and Weft follows the monitors.
//!
//! All of it is in a network of its own, where the addresses of nodes and pods can be had; the one thing outside is the socket at which
//! the page is open.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program that talks to a terminal, of parts of the test kit: a failed step is its message"
)]

mod cluster;
mod forward;
mod guard;
mod page;
mod stop;

use std::convert::Infallible;
use std::fs;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode, Stdio};

use kit::{ControlPlane, Weft};

use guard::Guard;
use stop::Stop;

const USAGE: &str = "cargo xtask demo [--listen=ADDRESS]   default: 127.0.0.1:9090";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["inside", url] => inside(url),
        ["guard"] => {
            guard::guard();
            Ok(())
        }
        [] => outside("127.0.0.1:9090").map(|never| match never {}),
        [flag] if flag.starts_with("--listen=") => outside(&flag["--listen=".len()..]).map(|never| match never {}),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the socket, and becomes the process that has a network of its own: the socket stays in this one.
fn outside(address: &str) -> Result<Infallible, String> {
    ControlPlane::programs()?;
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another with --listen=127.0.0.1:0"))?;
    let own = listener.local_addr().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private"]);
        command.args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
        command
    };
    let tried = unshare().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Err(
            "there can be no network of its own here (unshare --user --map-root-user --net --mount): become root, or \
                    allow user namespaces"
                .to_owned(),
        );
    }
    let mut command = unshare();
    if std::env::var_os("WEFT_BIN").is_none() {
        command.env("WEFT_BIN", program.with_file_name("weft"));
    }
    command.env(guard::MARK, guard::mark());
    // The standard input is what is handed on without knowing its number.
    let error = command.arg(program).args(["inside", &format!("http://{own}")]).stdin(OwnedFd::from(listener)).exec();
    Err(format!("cannot start unshare: {error}"))
}

/// The demo itself, until somebody has seen enough.
fn inside(url: &str) -> Result<(), String> {
    let stop = Stop::listen();
    let is_asked = stop.flag();
    // The signal of a terminal reaches all programs; that they end then is no fault.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_asked() {
            hook(info);
        }
    }));
    match panic::catch_unwind(AssertUnwindSafe(|| show(url, &stop))) {
        Ok(result) => result,
        Err(_) if stop.flag()() => Ok(()),
        Err(_) => Err("a step failed, see above".to_owned()),
    }
}

/// What was started ends when this returns, and its files are removed.
fn show(url: &str, stop: &Stop) -> Result<(), String> {
    let is_asked = stop.flag();
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    let listener = TcpListener::from(input);
    let _guard = Guard::start().map_err(|error| error.to_string())?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        return Err("cannot raise the network: is iproute2 installed?".to_owned());
    }
    cluster::raise_network();
    let _exporters = cluster::exporters();
    println!("starting a kube-apiserver and its etcd");
    let plane = cluster::control_plane()?;
    if is_asked() {
        return Ok(());
    }
    println!("applying deploy/demo");
    cluster::apply(&plane);
    if is_asked() {
        return Ok(());
    }
    println!("starting weft --operator");
    let mut weft = weft(&plane, url)?;
    forward::forward(listener, cluster::WEFT);
    println!(
        "\nWeft is at {url}\n\n  \
         {url}/targets    nodes, Calico's Felix, kubenurse, etcd: their exporters are made up; the API server is real\n  \
         {url}/monitors   three monitors of the namespace shop have a mistake each, and what it is stands there\n  \
         {url}/alerts     and one target is down\n  \
         {url}/query?expr=instance:node_cpu_utilisation:rate1m\n\n\
         Ctrl-C ends it, and removes what it has written."
    );
    while !stop.wait() {
        if let Some(status) = weft.process.ended() {
            return Err(format!("weft has ended ({status}):\n{}", weft.process.output()));
        }
    }
    println!("ending");
    Ok(())
}

/// Weft as a pod that may do everything, and scrapes often enough for somebody who watches.
fn weft(plane: &ControlPlane, url: &str) -> Result<Weft, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let global = "global: {scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 5s}\n";
    fs::write(folder.path().join("prometheus.yml"), global).map_err(|error| error.to_string())?;
    let listen = format!("--web.listen-address={}", cluster::WEFT);
    let flags = ["--operator", &listen, &format!("--web.external-url={url}/")];
    Ok(Weft::start_with(folder, &flags, &plane.as_a_pod("monitoring", None)))
}
