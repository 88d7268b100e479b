//! Tests that have a network and mounts of their own.

use std::process::{Command, ExitCode};

use crate::skipped;

/// A test that starts itself again under `unshare`, where it can add addresses and mount folders, and from where nothing
/// leaves.
#[derive(Clone, Copy, Debug)]
pub struct Isolated {
    /// Its name.
    pub name: &'static str,
    /// What to do inside.
    pub run: fn(),
    /// Why it cannot run here, if it cannot, besides a missing right to make namespaces.
    pub cannot: fn() -> Option<String>,
}

/// The `main` of such tests: runs those that the arguments name, one after the other.
#[must_use]
#[expect(clippy::print_stdout, reason = "it speaks as libtest does")]
pub fn isolated(tests: &[Isolated]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [inside, name] = args.as_slice()
        && inside == "inside"
        && let Some(test) = tests.iter().find(|test| test.name == *name)
    {
        command("ip", &["link", "set", "lo", "up"]);
        (test.run)();
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let chosen: Vec<&Isolated> = tests.iter().filter(|test| wanted(test.name)).collect();
    if args.iter().any(|arg| arg == "--list") {
        chosen.iter().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for test in &chosen {
        let (text, count) = match no_namespaces().or_else(test.cannot) {
            Some(why) => {
                skipped(&format!("{}: {why}", test.name));
                ("ignored", &mut ignored)
            }
            None if again(test.name) => ("ok", &mut passed),
            None => ("FAILED", &mut failed),
        };
        *count += 1;
        println!("test {} ... {text}", test.name);
    }
    let out = tests.len() - chosen.len();
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {out} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives the loopback device of this test further addresses.
///
/// # Panics
/// When that cannot be done.
pub fn add_addresses(addresses: &[&str]) {
    addresses.iter().for_each(|address| command("ip", &["addr", "add", &format!("{address}/32"), "dev", "lo"]));
}

/// Runs a program to its end.
///
/// # Panics
/// When it fails.
pub(crate) fn command(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

fn no_namespaces() -> Option<String> {
    let namespaces = Command::new("unshare").args(["--net", "--mount", "true"]).output();
    let made = namespaces.is_ok_and(|output| output.status.success());
    (!made).then(|| "no right to make a network namespace (unshare --net --mount)".to_owned())
}

fn again(name: &str) -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--propagation", "private"]);
    let status = unshare.arg(std::env::current_exe().unwrap()).args(["inside", name]).status();
    status.is_ok_and(|status| status.success())
}
