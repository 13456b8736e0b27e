//! How far a long reading has come, for somebody who waits at a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows nothing.
const QUIET: Duration = Duration::from_secs(1);

/// A bar on standard error that appears when the work takes long; never where that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    what: &'static str,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Work of this name that begins now.
    pub(crate) fn new(what: &'static str) -> Self {
        Progress { begun: Instant::now(), what, bar: None }
    }

    /// So many bytes of so many are done.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        if self.bar.is_none() && self.begun.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta} left")
                .expect("the template is one of indicatif's");
            ProgressBar::new(total).with_style(style).with_message(self.what)
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
