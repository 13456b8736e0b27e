//! The gateway's binary as a child process: started, awaited, killed, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// Between two looks at whether the child has ended: the system offers no wait with a deadline.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// How to start the gateway.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

/// A running gateway. Its environment holds only what was given and `PATH` and `HOME`, so that a developer's provider
/// keys never reach a test. Killed when dropped; when a test panics, what it printed is shown.
pub struct GatewayProcess {
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    stdout: Vec<String>,
    stderr: Vec<String>,
    open: usize,
}

#[derive(Clone, Copy)]
enum Pipe {
    Stdout,
    Stderr,
}

impl Launch {
    /// A binary without arguments.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), args: Vec::new(), env: Vec::new(), folder: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it in this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn spawn(self) -> Result<GatewayProcess> {
        let mut command = Command::new(&self.binary);
        command.args(&self.args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.env);
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.binary.display()))?;
        let output = Arc::new(Output::default());
        output.lock().open = 2;
        let stdout = child.stdout.take().context("stdout was asked to be piped")?;
        let stderr = child.stderr.take().context("stderr was asked to be piped")?;
        let readers = vec![output.read(Pipe::Stdout, stdout), output.read(Pipe::Stderr, stderr)];
        Ok(GatewayProcess { child, output, readers, status: None })
    }

    /// Starts it and waits for a line of stdout or stderr that contains `ready`.
    ///
    /// # Errors
    /// As [`Launch::spawn`] and [`GatewayProcess::wait_for_line`].
    pub fn spawn_ready(self, ready: &str, deadline: Duration) -> Result<GatewayProcess> {
        let process = self.spawn()?;
        process.wait_for_line(ready, deadline)?;
        Ok(process)
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(self: &Arc<Self>, pipe: Pipe, source: impl Read + Send + 'static) -> JoinHandle<()> {
        let output = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                let mut lines = output.lock();
                match pipe {
                    Pipe::Stdout => lines.stdout.push(line),
                    Pipe::Stderr => lines.stderr.push(line),
                }
                output.changed.notify_all();
            }
            output.lock().open -= 1;
            output.changed.notify_all();
        })
    }
}

impl Lines {
    fn find(&self, needle: &str) -> Option<String> {
        self.stdout.iter().chain(&self.stderr).find(|line| line.contains(needle)).cloned()
    }

    fn all(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.join("\n"), self.stderr.join("\n"))
    }
}

impl GatewayProcess {
    /// Waits for a line, past or coming, that contains `needle`, and returns it.
    ///
    /// # Errors
    /// When the deadline passes or the process closes its output first; shows everything it printed.
    pub fn wait_for_line(&self, needle: &str, deadline: Duration) -> Result<String> {
        let until = Instant::now() + deadline;
        let mut lines = self.output.lock();
        loop {
            if let Some(line) = lines.find(needle) {
                return Ok(line);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no line with `{needle}` within {deadline:?}\n{}", lines.all());
            }
            if lines.open == 0 {
                bail!("the process ended without a line with `{needle}`\n{}", lines.all());
            }
            lines = self.output.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What follows `marker` on the first line that contains it, up to a blank; waits for it.
    ///
    /// # Errors
    /// As [`GatewayProcess::wait_for_line`].
    pub fn wait_for_word(&self, marker: &str, deadline: Duration) -> Result<String> {
        let line = self.wait_for_line(marker, deadline)?;
        let (_, rest) = line.split_once(marker).context("the line contains the marker")?;
        Ok(rest.split_whitespace().next().unwrap_or("").to_owned())
    }

    /// What it printed on stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.output.lock().stdout.join("\n")
    }

    /// What it printed on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.output.lock().stderr.join("\n")
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Asks it to end (SIGTERM) and goes on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends a signal by its name, such as `HUP` or `STOP`.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) -> Result<()> {
        // The standard library sends no signal but KILL; the shell's own `kill` is on every Unix.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status()?;
        if sent.success() { Ok(()) } else { Err(anyhow!("SIG{name} was not sent")) }
    }

    /// Waits until it ends by itself and everything it printed is read.
    ///
    /// # Errors
    /// When the deadline passes first; shows everything it printed.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + deadline;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if until <= Instant::now() {
                bail!("still running after {deadline:?}\n{}", self.output.lock().all());
            }
            std::thread::park_timeout(EXIT_POLL);
        };
        self.status = Some(status);
        for reader in self.readers.drain(..) {
            reader.join().map_err(|_panic| anyhow!("a reader of the output panicked"))?;
        }
        Ok(status)
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        if self.status.is_none() && self.kill().is_err() {
            // It is gone already, which is what was wanted.
        }
        if std::thread::panicking() {
            show(&self.output.lock().all());
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows what the gateway printed")]
fn show(output: &str) {
    eprintln!("{output}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Launch {
        Launch::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn a_ready_line_is_found_on_either_pipe() {
        let process = shell("echo starting; echo ready at http://127.0.0.1:5 now >&2; exec sleep 60").spawn().unwrap();
        assert_eq!(process.wait_for_word("ready at ", SOON).unwrap(), "http://127.0.0.1:5");
        assert_eq!(process.wait_for_line("starting", SOON).unwrap(), "starting");
        assert!(process.stderr().contains("ready"));
    }

    #[test]
    fn a_process_that_ends_early_shows_what_it_said() {
        let error = shell("echo no such file >&2; exit 3").spawn_ready("ready", SOON).err().unwrap();
        assert!(error.to_string().contains("no such file"), "{error}");
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let process = shell("exec sleep 60").spawn().unwrap();
        assert!(process.wait_for_line("ready", Duration::from_millis(20)).is_err());
    }

    #[test]
    fn a_signal_reaches_it_and_its_code_comes_back() {
        let mut process =
            shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done").spawn_ready("ready", SOON).unwrap();
        process.terminate().unwrap();
        assert_eq!(process.wait(SOON).unwrap().code(), Some(7));
    }

    #[test]
    fn kill_ends_one_that_ignores_requests() {
        let mut process =
            shell("trap '' TERM; echo ready; while :; do sleep 0.01; done").spawn_ready("ready", SOON).unwrap();
        process.terminate().unwrap();
        assert_eq!(process.kill().unwrap().code(), None);
    }

    #[test]
    fn the_environment_is_only_what_was_given() {
        let process = shell("env; echo end").env("BH_TEST_GIVEN", "1").spawn_ready("end", SOON).unwrap();
        assert!(process.stdout().contains("BH_TEST_GIVEN=1"));
        assert!(!process.stdout().contains("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 60").spawn().unwrap();
        let id = process.id();
        drop(process);
        let alive = Command::new("sh").args(["-c", &format!("kill -0 {id} 2>/dev/null")]).status().unwrap();
        assert!(!alive.success());
    }
}
