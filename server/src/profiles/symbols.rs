//! The files that are mapped into this process, and the names of what they hold.

use std::fs;
use std::io;

/// A part of a file whose code can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of its beginning in the file.
    pub(super) offset: u64,
    pub(super) file: String,
}

impl Mapping {
    /// Those of this process, by address: the program comes first.
    pub(crate) fn all() -> io::Result<Vec<Self>> {
        Ok(fs::read_to_string("/proc/self/maps")?.lines().filter_map(Self::parse).collect())
    }

    /// A line such as `55d0-55e0 r-xp 00012000 08:01 42 /bin/weft`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        if !words.next()?.contains('x') {
            return None;
        }
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let file = words.skip(2).collect::<Vec<_>>().join(" ");
        let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).ok());
        Some(Self { start: start?, end: end?, offset, file })
    }

    pub(super) fn contains(&self, address: usize) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// A function at an address, and where its source is if the program tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) system_name: String,
    pub(super) file: String,
}

/// The functions at an address and their lines (0: not known): several where calls were inlined, the innermost first.
pub(super) fn functions(address: usize) -> Vec<(Function, u32)> {
    let mut found = Vec::new();
    // It takes addresses after a call, and looks up the one before.
    backtrace::resolve(address.saturating_add(1) as *mut _, |symbol| {
        let Some(name) = symbol.name() else { return };
        let function = Function {
            name: format!("{name:#}"),
            system_name: String::from_utf8_lossy(name.as_bytes()).into_owned(),
            file: symbol.filename().map(|path| path.display().to_string()).unwrap_or_default(),
        };
        found.push((function, symbol.lineno().unwrap_or_default()));
    });
    found
}

/// The innermost function at an address.
pub(crate) fn name_of(address: usize) -> Option<String> {
    functions(address).into_iter().next().map(|(function, _)| function.name)
}

/// Gives the memory back that finding names took.
pub(super) fn forget() {
    backtrace::clear_symbol_cache();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_among_what_is_mapped() {
        let line = "7f00-7f80 r-xp 00012000 08:01 42                  /usr/lib/a b.so (deleted)";
        let expected =
            Mapping { start: 0x7f00, end: 0x7f80, offset: 0x12000, file: "/usr/lib/a b.so (deleted)".to_owned() };
        assert_eq!(Mapping::parse(line), Some(expected));
        for none in ["7f00-7f80 rw-p 00012000 08:01 42 /usr/lib/a.so", "", "x"] {
            assert_eq!(Mapping::parse(none), None, "{none}");
        }
        let here = code_is_found_among_what_is_mapped as fn() as usize;
        assert!(Mapping::all().unwrap().iter().any(|mapping| mapping.contains(here)));
        assert!(name_of(here).unwrap().ends_with("code_is_found_among_what_is_mapped"));
        assert_eq!(name_of(1), None);
    }
}
