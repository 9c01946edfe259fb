//! Report of a run.

use std::{
    io::{Write, stdout},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use comfy_table::{Table, presets};
use ocellus_bench_report::percentile;

use super::clients::Counts;
use crate::attack::{Posts, Violation, ViolationKind};

/// Counts of the run.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) kills: u64,
    /// Of these, those before the server listened.
    pub(super) kills_at_start: u64,
    /// Stops by SIGTERM.
    pub(super) graceful_stops: u64,
    pub(super) checks: u64,
    pub(super) starts: Vec<Duration>,
    /// In the archive at the end.
    pub(super) objects: u64,
    pub(super) violations: Vec<Violation>,
}

impl Tally {
    pub(super) fn count(&self, kind: ViolationKind) -> usize {
        self.violations.iter().filter(|violation| violation.kind == kind).count()
    }

    /// Prints the table and, as the last line, the number of cycles that passed.
    pub(super) fn print(&self, counts: &Counts, posts: &Posts, took: Duration) -> Result<()> {
        let starts: Vec<f64> = self.starts.iter().map(Duration::as_secs_f64).collect();
        let start = |share: f64| format!("{:.2} s", percentile(&starts, share));
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let rows = [
            ("cycles", (self.passed + self.failed).to_string()),
            ("seconds", format!("{:.0}", took.as_secs_f64())),
            ("kills", format!("{}, {} of them before it listened", self.kills, self.kills_at_start)),
            ("graceful stops", self.graceful_stops.to_string()),
            ("starts", format!("{}, p50 {}, max {}", starts.len(), start(0.5), start(1.0))),
            (
                "requests",
                format!(
                    "{}, {} in doubt, {} with status 503",
                    of(&counts.requests),
                    of(&counts.in_doubt),
                    of(&counts.unavailable)
                ),
            ),
            ("creations", of(&counts.created)),
            ("uploads", of(&counts.uploaded)),
            ("changes of fields", of(&counts.written)),
            ("deletions", of(&counts.deleted)),
            ("jobs started", of(&counts.processed)),
            ("objects at the end", self.objects.to_string()),
            ("posts", format!("{} of {} objects", posts.count(), posts.accepted().len())),
            ("`ocellus check`", self.checks.to_string()),
            ("lost", self.count(ViolationKind::Lost).to_string()),
            ("ids given twice", self.count(ViolationKind::IdAgain).to_string()),
            ("duplicate keys", self.count(ViolationKind::DuplicateKey).to_string()),
            ("servers that did not start", self.count(ViolationKind::NoStart).to_string()),
            ("wrong or missing responses", self.count(ViolationKind::Answer).to_string()),
            ("findings of `ocellus check`", self.count(ViolationKind::Check).to_string()),
        ];
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (what, value) in rows {
            table.add_row([what.to_owned(), value]);
        }
        writeln!(stdout(), "\n{table}\n\ntorture: {} passed, {} failed", self.passed, self.failed)?;
        Ok(())
    }
}
