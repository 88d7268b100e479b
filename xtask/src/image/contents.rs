//! What is in the image, and where.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::elf::Program;
use crate::root;
use crate::tree::{ROOT, Tree};

/// The user and the group that the server runs as: `nobody`, as in upstream's image.
pub(super) const NOBODY: u64 = 65534;
/// Debian's `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";
/// The certificates of the package `ca-certificates`. Not its bundle below `/etc/ssl`: that has what the machine's administrator
/// added, which is nobody else's business.
const CERTIFICATES: &str = "/usr/share/ca-certificates/mozilla";
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/prometheus:/bin/false\n";
const GROUP: &str = "root:x:0:\nnobody:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// The layers.
pub(super) struct Contents {
    pub(super) architecture: &'static str,
    /// What changes with the machine that builds: libraries, certificates.
    pub(super) base: Tree,
    /// What changes with each version of Weft.
    pub(super) weft: Tree,
    /// What the variant with a shell has besides; there is none for another architecture than that of the machine.
    pub(super) shell: Option<Tree>,
}

impl Contents {
    /// Collects them around a binary.
    pub(super) fn new(binary: &Path) -> Result<Self> {
        let program = Program::read(binary)?;
        let mut weft = Tree::default();
        weft.file("etc/prometheus/prometheus.yml", 0o644, read(&root().join("deploy/prometheus.yml"))?);
        weft.file("LICENSE", 0o644, read(&root().join("LICENSE"))?);
        for name in ["prometheus", "promtool"] {
            weft.link(&format!("bin/{name}"), "weft");
        }
        let (architecture, base) = (program.architecture, base(&program)?);
        weft.file("bin/weft", 0o755, program.bytes);
        let shell = shell(architecture, &weft)?;
        Ok(Self { architecture, base, weft, shell })
    }
}

fn base(program: &Program) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.file("etc/passwd", 0o644, PASSWD);
    tree.file("etc/group", 0o644, GROUP);
    tree.file("etc/nsswitch.conf", 0o644, NSSWITCH);
    tree.file("etc/ssl/certs/ca-certificates.crt", 0o644, certificates(Path::new(CERTIFICATES))?);
    tree.folder("tmp", 0o1777, ROOT);
    tree.folder("prometheus", 0o775, NOBODY);
    for library in program.libraries()? {
        // Under the name by which the loader looks for it, which often is a link to the file.
        tree.file(&library.display().to_string(), 0o755, read(&library)?);
    }
    Ok(tree)
}

/// All certificates of a folder as one text.
fn certificates(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let mut bundle = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "crt")) {
        bundle
            .push_str(fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?.trim_end());
        bundle.push('\n');
    }
    if bundle.is_empty() {
        bail!("{} has no certificates: install the package ca-certificates", folder.display());
    }
    Ok(bundle)
}

/// Busybox under all its names.
fn shell(architecture: &str, weft: &Tree) -> Result<Option<Tree>> {
    let busybox = Program::read(Path::new(BUSYBOX)).context("install the package busybox-static")?;
    if busybox.architecture != architecture {
        println!("no image with a shell: {BUSYBOX} is for {}, the binary for {architecture}", busybox.architecture);
        return Ok(None);
    }
    if !busybox.libraries()?.is_empty() {
        bail!("{BUSYBOX} is not static: install the package busybox-static");
    }
    let output = Command::new(BUSYBOX).arg("--list").output().with_context(|| format!("cannot start {BUSYBOX}"))?;
    let mut tree = Tree::default();
    for name in String::from_utf8_lossy(&output.stdout).lines().filter(|name| *name != "busybox") {
        let path = format!("bin/{name}");
        if !weft.has(&path) {
            tree.link(&path, "busybox");
        }
    }
    if !tree.has("bin/sh") || !tree.has("bin/wget") {
        bail!("{BUSYBOX} has no sh or no wget: install the package busybox-static");
    }
    tree.file("bin/busybox", 0o755, busybox.bytes);
    Ok(Some(tree))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
