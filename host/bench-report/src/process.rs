//! Resource usage of a process, as Linux reports it in `/proc`; 0 where it cannot be read.

use std::{fmt::Display, fs};

/// The calling process, in place of a process id.
pub const SELF: &str = "self";

/// CPU time of all threads, including those that have ended, in seconds, to a hundredth.
pub fn cpu_seconds(process: impl Display) -> f64 {
    cpu_of(&fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default())
}

fn cpu_of(stat: &str) -> f64 {
    // Fields are counted from after the name, which may hold spaces; utime and stime are the 14th
    // and 15th, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Peak resident memory, in MiB.
pub fn peak_memory(process: impl Display) -> f64 {
    memory(process, "VmHWM:")
}

/// Anonymous resident memory now, that is without mapped files, in MiB.
pub fn own_memory(process: impl Display) -> f64 {
    memory(process, "RssAnon:")
}

fn memory(process: impl Display, field: &str) -> f64 {
    memory_of(&fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default(), field)
}

fn memory_of(status: &str, field: &str) -> f64 {
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_spaces_and_brackets_is_skipped() {
        let stat = "4711 (a (b) c 9) S 1 2 3 4 5 6 7 8 9 10 250 75 11 12 20 0 9 0 100 200";
        assert_eq!(cpu_of(stat), 3.25);
        assert_eq!(cpu_of(""), 0.0);
    }

    #[test]
    fn memory_is_found_by_its_name() {
        let status = "Name:\tocellus\nVmHWM:\t  204800 kB\nRssAnon:\t  102400 kB\n";
        assert_eq!(
            [memory_of(status, "VmHWM:"), memory_of(status, "RssAnon:"), memory_of(status, "VmRSS:")],
            [200.0, 100.0, 0.0]
        );
    }
}
