//! The newest lines of the server's log.
//!
//! Owns a bounded buffer of lines ([`RecentLog`]) that the program's log fills and `GET /log/`
//! reads. Guarantees: at most [`MAX_LINES`] lines of at most [`MAX_LINE_BYTES`] each are in memory;
//! adding one never waits for a reader of the answer. A line holds what standard error gets, which
//! has no secret. The buffer ends with the process.

use std::{collections::VecDeque, fmt, str::FromStr, sync::Arc};

use ocellus_core::{Error, Result, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

/// Lines that are kept.
const MAX_LINES: usize = 1000;
/// Longest text of a line, in bytes.
const MAX_LINE_BYTES: usize = 4096;

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What a programmer looks for.
    Trace,
    /// Details of an operation.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Something is not as it should be, and the server copes with it.
    Warn,
    /// Something failed.
    Error,
}

impl FromStr for LogLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return Err(Error::bad_param("level", "Select of error, warn, info, debug, trace.")),
        })
    }
}

/// A line of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// Counts lines from 1 since the server's start.
    id: u64,
    /// When it was logged.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// Its severity.
    level: LogLevel,
    /// The sentence, then its fields.
    text: String,
}

/// The newest lines of the log. Clones share them.
#[derive(Clone, Default)]
pub struct RecentLog(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    last_id: u64,
    kept: VecDeque<LogLine>,
}

impl fmt::Debug for RecentLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentLog").finish_non_exhaustive()
    }
}

impl RecentLog {
    /// Adds a line; the oldest makes room for it. A text is cut off at 4096 bytes.
    pub fn add(&self, time: Timestamp, level: LogLevel, mut text: String) {
        if text.len() > MAX_LINE_BYTES {
            text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
            text.push('…');
        }
        let mut lines = self.0.lock();
        lines.last_id += 1;
        if lines.kept.len() >= MAX_LINES {
            lines.kept.pop_front();
        }
        let id = lines.last_id;
        lines.kept.push_back(LogLine { id, time, level, text });
    }

    /// The lines after this id of at least this severity, oldest first.
    pub fn after(&self, id: u64, level: LogLevel) -> Vec<LogLine> {
        let lines = self.0.lock();
        lines.kept.iter().filter(|line| line.id > id && line.level >= level).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_long_ones_cut_off() {
        let log = RecentLog::default();
        for n in 1..=MAX_LINES + 10 {
            let level = if n % 2 == 0 { LogLevel::Warn } else { LogLevel::Info };
            log.add(Timestamp::UNIX_EPOCH, level, n.to_string());
        }
        let all = log.after(0, LogLevel::Trace);
        assert_eq!((all.len(), all[0].id, all[0].text.as_str()), (MAX_LINES, 11, "11"));
        assert_eq!(
            log.after(1000, LogLevel::Warn).iter().map(|l| l.id).collect::<Vec<_>>(),
            [1002, 1004, 1006, 1008, 1010]
        );
        log.add(Timestamp::UNIX_EPOCH, LogLevel::Error, "é".repeat(MAX_LINE_BYTES));
        let last = log.after(1010, LogLevel::Error).remove(0);
        assert!(last.text.len() <= MAX_LINE_BYTES + '…'.len_utf8() && last.text.ends_with("é…"), "{}", last.text.len());
    }
}
