//! A program that the bench started, and what the kernel says of it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::clock::wait;

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// All of it.
    pub resident: f64,
    /// What is not backed by files.
    pub anonymous: f64,
}

/// A running program; killed when dropped, and by the kernel when the bench itself dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a program whose messages go to the end of `log`. With `talks`, its input and output are pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, args: &[String], log: &Path, talks: bool) -> Result<Self> {
        let mut command = command(program, args, log)?;
        if talks {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        Self::spawn(command, program)
    }

    /// Starts a program in a folder; its messages go to the end of `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_at(folder: &Path, program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let mut command = command(program, args, log)?;
        command.current_dir(folder);
        Self::spawn(command, program)
    }

    fn spawn(mut command: Command, program: &Path) -> Result<Self> {
        let name = program.display().to_string();
        let child = command.spawn().with_context(|| format!("cannot start setpriv (util-linux) for {name}"))?;
        Ok(Self { child, name })
    }

    /// Its input and output, once.
    pub fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Kills it as the kernel does when memory runs out.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub fn kill(&mut self) -> Result<()> {
        self.check()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Is it still there?
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself ({status})", self.name),
            None => Ok(()),
        }
    }

    /// Waits until something is so, and looks again and again; returns how long that took. At first, when the program may not listen
    /// yet, it is not so.
    ///
    /// # Errors
    /// When the program has ended, or this takes longer than `patience`.
    pub fn until(
        &mut self,
        (every, patience): (Duration, Duration),
        mut so: impl FnMut() -> Result<bool>,
    ) -> Result<Duration> {
        let began = Instant::now();
        while !so().unwrap_or(false) {
            self.check()?;
            if began.elapsed() > patience {
                bail!("{} did not get there in {patience:?}", self.name);
            }
            wait(every);
        }
        Ok(began.elapsed())
    }

    /// User and system time of all its threads, also of those that ended; to the nanosecond.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        let gone = || format!("cannot read the CPU time of {}", self.name);
        let pid = i32::try_from(self.child.id()).with_context(gone)?;
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).with_context(gone)?;
        clock.now().map(Duration::from).with_context(gone)
    }

    /// Its memory.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<Memory> {
        let text = self.proc("status")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).map(|kib| kib * 1024.0)
        };
        let resident = field("VmRSS:").with_context(|| format!("cannot read the memory of {}", self.name))?;
        Ok(Memory { resident, anonymous: field("RssAnon:").unwrap_or_default() })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path} ({})", self.name))
    }
}

fn command(program: &Path, args: &[String], log: &Path) -> Result<Command> {
    let file = File::options().create(true).append(true).open(log)?;
    // setpriv turns into the program, under the same process id.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).args(args).stderr(file.try_clone()?);
    command.stdin(Stdio::null()).stdout(file);
    Ok(command)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
