//! What a program needs besides itself: its architecture, and the shared libraries that its loader would load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Architecture, Endianness, Object as _};

/// A program for Linux.
pub(crate) struct Program {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// In Go's words, which are those of images: `amd64`.
    pub(crate) architecture: &'static str,
    /// The loader that it asks for; a static program asks for none.
    loader: Option<PathBuf>,
    path: PathBuf,
}

impl Program {
    /// Reads one.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = ElfFile64::<Endianness>::parse(&*bytes);
        let file = file.with_context(|| format!("{} is not a 64-bit program for Linux", path.display()))?;
        let architecture = match file.architecture() {
            Architecture::X86_64 => "amd64",
            Architecture::Aarch64 => "arm64",
            other => bail!("{} is for {other:?}; images are made for amd64 and arm64", path.display()),
        };
        let mut loader = None;
        for header in file.elf_program_headers() {
            if let Some(name) = header.interpreter(file.endian(), &*bytes)? {
                loader = Some(PathBuf::from(String::from_utf8_lossy(name).into_owned()));
            }
        }
        Ok(Self { bytes, architecture, loader, path: path.to_owned() })
    }

    /// The paths of its loader and of all libraries; none of a static program.
    pub(crate) fn libraries(&self) -> Result<Vec<PathBuf>> {
        let Some(loader) = &self.loader else { return Ok(Vec::new()) };
        let mut command = Command::new(loader);
        // Only what is installed can be found in the image, too; cargo adds folders of its own.
        command.arg("--list").arg(&self.path).env_remove("LD_LIBRARY_PATH").env_remove("LD_PRELOAD");
        let output = command.output().with_context(|| {
            format!(
                "cannot start {}, which finds the shared libraries of {}: take a static binary, or make the image on {}",
                loader.display(),
                self.path.display(),
                self.architecture
            )
        })?;
        let told = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{} --list: {}", loader.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        let mut found = parse(&told).with_context(|| format!("{} cannot run here", self.path.display()))?;
        if !found.contains(loader) {
            found.push(loader.clone());
        }
        Ok(found)
    }
}

/// The paths in what a loader lists: `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)`.
fn parse(told: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in told.lines() {
        let (name, place) = line.trim().split_once(" => ").unwrap_or((line.trim(), line.trim()));
        let path = place.split(" (").next().unwrap_or_default();
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        } else if path == "not found" {
            bail!("it needs {name}, which is not installed");
        }
        // What is left is the kernel's own, `linux-vdso.so.1`.
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_libraries() {
        let told =
            "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x00007f)\n";
        assert_eq!(parse(told).expect("a list"), [PathBuf::from("/lib/libm.so.6"), PathBuf::from("/lib64/ld.so.2")]);
        let error = parse("\tlibnone.so.1 => not found\n").expect_err("it is missing");
        assert_eq!(error.to_string(), "it needs libnone.so.1, which is not installed");
    }
}
