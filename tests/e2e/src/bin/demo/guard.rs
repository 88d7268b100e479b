//! Ends what the demo has started if the demo itself is killed, and could not.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// The environment variable that everything of one demo has, with a value of its own.
pub(crate) const MARK: &str = "WEFT_DEMO";

/// A value for it: this process' id, which it keeps when it becomes the demo, and when it began.
pub(crate) fn mark() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let start = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(19)).unwrap_or_default();
    format!("{}-{start}", std::process::id())
}

/// A process that watches over this one; ends with it.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts it, in a process group of its own: Ctrl-C is not for it.
    pub(crate) fn start() -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Ok(Self(command.arg("guard").stdin(Stdio::piped()).process_group(0).spawn()?))
    }
}

impl Drop for Guard {
    /// The demo has ended its children itself.
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What that process does: waits until its parent is gone, and kills what has its mark.
pub(crate) fn guard() {
    let Ok(mark) = std::env::var(MARK) else { return };
    // Ends when the parent does, whose end of the pipe it is.
    io::copy(&mut io::stdin(), &mut io::sink()).ok();
    for id in marked(&mark).into_iter().filter(|id| *id != std::process::id()) {
        Command::new("kill").args(["-KILL", &id.to_string()]).status().ok();
    }
}

/// The processes with a mark.
fn marked(mark: &str) -> Vec<u32> {
    let variable = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    };
    ids.filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_mark_is_found() {
        let own = mark();
        assert!(own.split('-').all(|part| part.parse::<u64>().is_ok()), "{own}");
        let start = |mark: &str| Command::new("sleep").arg("600").env(MARK, mark).spawn().unwrap();
        let (mut ours, mut other) = (start(&own), start(&format!("{own}0")));
        // Until it has become the other program, it may not have the variable yet.
        while marked(&own).is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(marked(&own), [ours.id()]);
        for child in [&mut ours, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(marked(&own).is_empty());
    }
}
