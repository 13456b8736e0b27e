//! What the kernel accounts to a process: CPU time and memory. Linux only.

use std::fs;

use anyhow::{Context, Result};

/// The unit of `/proc/PID/stat`, in microseconds: `USER_HZ` is 100 on every Linux we build for. The kernel scales
/// the two counters to the scheduler's exact sum, so only the last tick is rounded.
const TICK_US: u64 = 10_000;

/// CPU time of all threads of a process since it began, ended threads included, in microseconds.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_us(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("CPU time is read from /proc, on Linux")?;
    parse_cpu(&stat).context("/proc/PID/stat has user and system time")
}

/// Memory in use, in KiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("memory is read from /proc, on Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has a VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn parse_cpu(stat: &str) -> Option<u64> {
    // The second field is the program's name and may hold blanks and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_summed_whatever_the_name_is() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 4 0 100 0 0";
        assert_eq!(parse_cpu(stat), Some(420_000));
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(0 < rss_kib(pid).unwrap());
        cpu_us(pid).unwrap();
    }
}
