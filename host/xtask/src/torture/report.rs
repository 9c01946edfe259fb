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
use crate::attack::{Fault, FaultKind, Posts};

/// What the run itself counts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) kills: u64,
    /// Of them, those before the server listened.
    pub(super) kills_at_start: u64,
    /// SIGTERM.
    pub(super) polite_ends: u64,
    pub(super) checks: u64,
    pub(super) starts: Vec<Duration>,
    /// In the archive at the end.
    pub(super) objects: u64,
    pub(super) faults: Vec<Fault>,
}

impl Tally {
    pub(super) fn count(&self, kind: FaultKind) -> usize {
        self.faults.iter().filter(|fault| fault.kind == kind).count()
    }

    /// The table, and as its last line how many cycles passed.
    pub(super) fn print(&self, counts: &Counts, posts: &Posts, took: Duration) -> Result<()> {
        let starts: Vec<f64> = self.starts.iter().map(Duration::as_secs_f64).collect();
        let start = |share: f64| format!("{:.2} s", percentile(&starts, share));
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let rows = [
            ("cycles", (self.passed + self.failed).to_string()),
            ("seconds", format!("{:.0}", took.as_secs_f64())),
            ("kills", format!("{}, {} of them before it listened", self.kills, self.kills_at_start)),
            ("polite ends", self.polite_ends.to_string()),
            ("starts", format!("{}, half within {}, the longest {}", starts.len(), start(0.5), start(1.0))),
            (
                "requests",
                format!(
                    "{}, {} in doubt, {} answered with 503",
                    of(&counts.requests),
                    of(&counts.in_doubt),
                    of(&counts.unavailable)
                ),
            ),
            ("creations", of(&counts.created)),
            ("uploads", of(&counts.uploaded)),
            ("changes of fields", of(&counts.written)),
            ("deletions", of(&counts.deleted)),
            ("processings asked for", of(&counts.processed)),
            ("objects at the end", self.objects.to_string()),
            ("posts", format!("{} of {} objects", posts.count(), posts.accepted().len())),
            ("`ocellus check`", self.checks.to_string()),
            ("lost", self.count(FaultKind::Lost).to_string()),
            ("ids again", self.count(FaultKind::IdAgain).to_string()),
            ("duplicate keys", self.count(FaultKind::DuplicateKey).to_string()),
            ("servers that did not start", self.count(FaultKind::NoStart).to_string()),
            ("wrong or missing answers", self.count(FaultKind::Answer).to_string()),
            ("findings of `ocellus check`", self.count(FaultKind::Check).to_string()),
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
