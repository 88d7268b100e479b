//! The memory of the container: how much this process may use, and how much of that is left now. What the kernel can take
//! back at once, as the cache of files, counts as left.

use std::fs;
use std::path::{Path, PathBuf};

/// A limit of so much is none: cgroup v1 writes "no limit" as the largest page-aligned number.
const UNLIMITED: u64 = 1 << 60;

/// The control groups that bound this process, and the machine.
#[derive(Debug)]
pub(crate) struct Container {
    groups: Vec<Group>,
    meminfo: PathBuf,
}

/// A control group with a limit.
#[derive(Debug)]
struct Group {
    /// Its memory in use, and how that is made up.
    usage: PathBuf,
    stat: PathBuf,
    /// Those lines of `stat` that can be taken back.
    reclaimable: &'static [&'static str],
    limits: Vec<PathBuf>,
    /// Has a line that counts processes that were killed.
    events: PathBuf,
}

impl Container {
    /// Of this process.
    pub(crate) fn of_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::new("/sys/fs/cgroup".as_ref(), &groups, "/proc/meminfo".as_ref())
    }

    /// `groups` is the text of `/proc/<pid>/cgroup`, `root` where control groups are mounted.
    pub(crate) fn new(root: &Path, groups: &str, meminfo: &Path) -> Self {
        let mut found = Vec::new();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let path = path.trim_start_matches('/');
            match controllers {
                // cgroup v2 has one hierarchy, whose line names no controller.
                "" => found.extend(ancestors(root, path).map(|folder| Group::v2(&folder))),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    found.extend(ancestors(&root.join("memory"), path).map(|folder| Group::v1(&folder)));
                }
                _ => {}
            }
        }
        // Those without a limit too: one may be set while the process runs.
        Self { groups: found, meminfo: meminfo.to_owned() }
    }

    /// Bytes that the process may use in all.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.groups.iter().filter_map(Group::limit).chain(self.of_machine("MemTotal:")).min()
    }

    /// Bytes that are left of that.
    pub(crate) fn left(&self) -> Option<u64> {
        self.groups.iter().filter_map(Group::left).chain(self.of_machine("MemAvailable:")).min()
    }

    /// Processes of its control groups that the kernel has killed for want of memory, since the groups began.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        self.groups.iter().filter_map(Group::oom_kills).max()
    }

    fn of_machine(&self, name: &str) -> Option<u64> {
        bytes_of(&self.meminfo, name)
    }
}

/// The bytes in a line such as `MemTotal:  8000 kB` of a file of the kernel.
pub(crate) fn bytes_of(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix(name))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// A folder and all above it, up to the root: any of them may have a limit. In a container the root may be the group itself.
fn ancestors(root: &Path, path: &str) -> impl Iterator<Item = PathBuf> {
    Path::new(path).ancestors().map(move |below| root.join(below))
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Group {
    fn v2(folder: &Path) -> Self {
        Self {
            usage: folder.join("memory.current"),
            stat: folder.join("memory.stat"),
            reclaimable: &["active_file", "inactive_file", "slab_reclaimable"],
            // Above `high` the kernel slows the process down.
            limits: ["memory.max", "memory.high"].map(|name| folder.join(name)).into(),
            events: folder.join("memory.events"),
        }
    }

    fn v1(folder: &Path) -> Self {
        Self {
            usage: folder.join("memory.usage_in_bytes"),
            stat: folder.join("memory.stat"),
            reclaimable: &["total_active_file", "total_inactive_file"],
            limits: vec![folder.join("memory.limit_in_bytes")],
            events: folder.join("memory.oom_control"),
        }
    }

    fn limit(&self) -> Option<u64> {
        self.limits.iter().filter_map(|path| number(path)).filter(|limit| *limit < UNLIMITED).min()
    }

    fn oom_kills(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.events).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
    }

    fn left(&self) -> Option<u64> {
        // Most groups have none, and nothing else is read of them.
        let limit = self.limit()?;
        // Files that are cached count as used, though the kernel drops them when memory is asked for: without taking
        // them off, a store that reads much would seem to fill any container.
        let used = number(&self.usage)?;
        let stat = fs::read_to_string(&self.stat).unwrap_or_default();
        let value = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            self.reclaimable.contains(&name).then(|| value.trim().parse::<u64>().ok())?
        };
        let reclaimable: u64 = stat.lines().filter_map(value).sum();
        Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn of(files: &[(&str, &str)], groups: &str) -> (Option<u64>, Option<u64>) {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        write(root.path(), &[("meminfo", "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  5000 kB\n")]);
        let container = Container::new(root.path(), groups, &root.path().join("meminfo"));
        (container.limit(), container.left())
    }

    #[test]
    fn what_files_cache_is_left() {
        let pod = [
            ("pod/memory.max", "1000000\n"),
            ("pod/memory.high", "max\n"),
            ("pod/memory.current", "900000\n"),
            (
                "pod/memory.stat",
                "anon 500000\nfile 350000\nactive_file 100000\ninactive_file 200000\nslab_reclaimable 5000\n",
            ),
        ];
        assert_eq!(of(&pod, "0::/pod\n"), (Some(1_000_000), Some(405_000)));
        // A group inside has no limit, or a lower one.
        assert_eq!(of(&pod, "0::/pod/a/b\n"), (Some(1_000_000), Some(405_000)));
        let inner = [
            ("pod/a/memory.max", "300000"),
            ("pod/a/memory.current", "310000"),
            ("pod/a/memory.stat", "active_file 9\n"),
        ];
        assert_eq!(of(&[&pod[..], &inner].concat(), "0::/pod/a\n"), (Some(300_000), Some(0)));
        // The container sees its own group as the root.
        let root = [("memory.max", "700000"), ("memory.current", "100000"), ("memory.stat", "")];
        assert_eq!(of(&root, "0::/\n"), (Some(700_000), Some(600_000)));
        assert_eq!(of(&root, "0::/not/there\n"), (Some(700_000), Some(600_000)));
    }

    #[test]
    fn the_old_kind_and_none() {
        let old = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/pod/memory.limit_in_bytes", "2000000\n"),
            ("memory/pod/memory.usage_in_bytes", "1500000\n"),
            ("memory/pod/memory.stat", "cache 1\ntotal_active_file 250000\ntotal_inactive_file 250000\n"),
        ];
        assert_eq!(of(&old, "5:cpu:/x\n4:memory:/pod\n0::/\n"), (Some(2_000_000), Some(1_000_000)));
        assert_eq!(of(&old, "4:memory:/\n"), (Some(8_000 << 10), Some(5_000 << 10)));
        assert_eq!(of(&[], ""), (Some(8_000 << 10), Some(5_000 << 10)));
    }

    #[test]
    fn who_was_killed_is_counted_by_the_groups() {
        let of = |files: &[(&str, &str)], groups: &str| {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), files);
            Container::new(root.path(), groups, &root.path().join("meminfo")).oom_kills()
        };
        let events = "low 0\nhigh 5\noom 4\noom_kill 3\noom_group_kill 9\n";
        assert_eq!(
            of(&[("pod/memory.events", events), ("pod/a/memory.events", "oom_kill 1\n")], "0::/pod/a\n"),
            Some(3)
        );
        let old = [("memory/pod/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")];
        assert_eq!(of(&old, "4:memory:/pod\n"), Some(2));
        assert_eq!(of(&[("pod/memory.events", "garbage\noom_kill many\n")], "0::/pod\n"), None);
        assert_eq!(of(&[], "0::/pod\n"), None);
    }
}
