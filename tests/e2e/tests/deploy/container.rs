//! What a container engine does with a root file system, by hand: volumes, a root that nobody can write to, and a program in it as the
//! image's user, without any capability.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::Weft;

/// The user and the group of the image.
const NOBODY: &str = "65534";

/// Files by name, and where they are mounted.
pub type Volume = (String, Vec<(String, String)>);

/// A root file system with its volumes, mounted in the mount namespace of the test.
pub struct Container {
    root: PathBuf,
    folder: String,
    environment: Vec<(String, String)>,
}

impl Container {
    /// Mounts a root file system over itself, read-only; `/prometheus` is empty and belongs to the user.
    pub fn new(root: &Path, volumes: &[Volume]) -> Self {
        let inside = |path: &str| root.join(path.trim_start_matches('/')).display().to_string();
        let at = root.display().to_string();
        // What an engine makes where the image does not have it.
        let places = ["/proc", "/dev"].into_iter().chain(volumes.iter().map(|(place, _)| place.as_str()));
        places.for_each(|place| fs::create_dir_all(inside(place)).unwrap());
        fs::write(inside("/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        must("mount", &["--bind", &at, &at]);
        must("mount", &["--bind", "/proc", &inside("/proc")]);
        must("mount", &["--bind", "/dev", &inside("/dev")]);
        let owner = format!("uid={NOBODY},gid={NOBODY},mode=0775");
        must("mount", &["-t", "tmpfs", "-o", &owner, "none", &inside("/prometheus")]);
        for (place, files) in volumes {
            must("mount", &["-t", "tmpfs", "none", &inside(place)]);
            files.iter().for_each(|(name, text)| fs::write(Path::new(&inside(place)).join(name), text).unwrap());
            must("mount", &["-o", "remount,ro", &inside(place)]);
        }
        must("mount", &["-o", "remount,bind,ro", &at]);
        Self { root: root.to_owned(), folder: "/prometheus".to_owned(), environment: Vec::new() }
    }

    /// With these environment variables and no others, in this folder.
    pub fn set(&mut self, environment: Vec<(String, String)>, folder: &str) {
        self.environment = environment;
        folder.clone_into(&mut self.folder);
    }

    /// A program in it. The process that is started becomes that program.
    pub fn command(&self, args: &[String]) -> Command {
        let mut command = Command::new("setpriv");
        // What is left is needed to become the user, who then has none of it.
        command
            .args(["--no-new-privs", "--bounding-set=-all,+sys_chroot,+setuid,+setgid", "unshare"])
            .arg(format!("--root={}", self.root.display()))
            .args([format!("--wd={}", self.folder), format!("--setgid={NOBODY}"), format!("--setuid={NOBODY}")])
            .arg("--")
            .args(args)
            .env_clear()
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs a program to its end: its status, and what it said.
    pub fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let output = self.command(&args).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&told).into_owned())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // So that the folder below can be removed.
        Command::new("umount").args(["--recursive", "--lazy"]).arg(&self.root).status().ok();
    }
}

/// Runs a program that must not fail; returns what it said.
#[track_caller]
pub fn must(program: &str, args: &[&str]) -> String {
    done(Command::new(program).args(args))
}

/// The same for a command.
#[track_caller]
pub fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `cargo xtask image` of a binary.
pub fn xtask_image(binary: &Path, args: &[&str]) -> Command {
    xtask("image", binary, args)
}

/// A command of the xtask that was built beside this test, which compresses no more than it must.
pub fn xtask(command: &str, binary: &Path, args: &[&str]) -> Command {
    let xtask = Weft::binary().with_file_name("xtask");
    assert!(xtask.exists(), "{} is absent: build it with `cargo build --workspace --bins`", xtask.display());
    let mut process = Command::new(xtask);
    process.args([command, "--compression=1", "--binary"]).arg(binary).args(args).env_remove("SOURCE_DATE_EPOCH");
    process
}
