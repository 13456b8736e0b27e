//! Whether a file is another one than was read. It is asked now and then; nothing waits.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How a file looks from outside: when it was changed, how long it is, and which file it is, since many programs
/// write a new file and rename it. `None` when there is none.
type Look = Option<(Option<SystemTime>, u64, u64)>;

/// A file that was read and may change.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// How it looked when it was read.
    read: Look,
    /// How it looked at the last look.
    last: Look,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// What was read, or something that is still being written.
    Nothing,
    /// Another file, which holds still since the last look: a file is not read half.
    Changed,
    /// No file any more; told once.
    Gone,
}

impl Watched {
    /// A file that is being read now.
    pub(super) fn new(path: &Path) -> Self {
        let now = look(path);
        Watched { path: path.to_owned(), read: now, last: now }
    }

    /// Notes that the file is about to be read.
    pub(super) fn reading(&mut self) {
        self.read = look(&self.path);
    }

    /// Forgets what was read, so that the next look finds a change.
    pub(super) fn doubt(&mut self) {
        self.read = None;
    }

    /// Looks.
    pub(super) fn look(&mut self) -> Change {
        let now = look(&self.path);
        let is_still = now == self.last;
        self.last = now;
        if now == self.read || !is_still {
            return Change::Nothing;
        }
        if now.is_none() {
            self.read = None;
            return Change::Gone;
        }
        Change::Changed
    }
}

fn look(path: &Path) -> Look {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok(), meta.len(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bulkhead-watch-{}-{name}", std::process::id()));
        std::fs::write(&path, "a").expect("a file can be written");
        path
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone() {
        let path = file("written");
        let mut watched = Watched::new(&path);
        assert_eq!(watched.look(), Change::Nothing);
        for text in ["ab", "abc", "abcd"] {
            std::fs::write(&path, text).expect("a file can be written");
            assert_eq!(watched.look(), Change::Nothing, "{text}");
        }
        assert_eq!(watched.look(), Change::Changed);
        watched.reading();
        assert_eq!(watched.look(), Change::Nothing);
        watched.doubt();
        assert_eq!(watched.look(), Change::Changed);
        std::fs::remove_file(path).expect("the file can go");
    }

    #[test]
    fn a_file_of_the_same_length_in_its_place_is_another() {
        let (path, fresh) = (file("same"), file("fresh"));
        let mut watched = Watched::new(&path);
        std::fs::rename(fresh, &path).expect("a file can be renamed");
        assert_eq!((watched.look(), watched.look()), (Change::Nothing, Change::Changed));
        std::fs::remove_file(path).expect("the file can go");
    }

    #[test]
    fn a_file_that_is_gone_is_told_once() {
        let path = file("gone");
        let mut watched = Watched::new(&path);
        std::fs::remove_file(&path).expect("the file can go");
        let looks = [watched.look(), watched.look(), watched.look()];
        assert_eq!(looks, [Change::Nothing, Change::Gone, Change::Nothing]);
    }
}
