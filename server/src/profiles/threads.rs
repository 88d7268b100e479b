//! The threads of this process, by name: what there is in the place of goroutines.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::profile::{Frame, Profile, Sample};

/// A profile of one frame a name, as one of this kind.
pub(crate) fn threads(kind: &'static str) -> io::Result<Profile> {
    let mut names = BTreeMap::<String, i64>::new();
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that ended meanwhile has no name any more.
        if let Ok(name) = fs::read_to_string(task?.path().join("comm")) {
            *names.entry(name.trim_end().to_owned()).or_default() += 1;
        }
    }
    let mut profile = Profile::new(&[(kind, "count")]);
    profile.period = Some(((kind, "count"), 1));
    let sample = |(name, count)| Sample { frames: vec![Frame::Named(format!("thread {name}"))], values: vec![count] };
    profile.samples = names.into_iter().map(sample).collect();
    profile.comments.push("Weft has threads and no goroutines: these are their names, without stacks".to_owned());
    Ok(profile)
}
