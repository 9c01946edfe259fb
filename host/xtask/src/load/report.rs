//! The tables of a run, and what counts as passed.

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
};

use anyhow::Result;
use comfy_table::{Table, presets};
use ocellus_bench_report::percentile;

use super::clients::{Came, Kind, Sample, Schedule};

/// Seconds above which a list is slow; that is said, and no failure.
const SLOW: f64 = 1.0;
/// Different reasons for missing answers that are shown.
const REASONS: usize = 5;

/// What was seen of the server itself.
pub(super) struct Seen {
    /// The most at a time.
    pub(super) memory_mib: f64,
    /// Open at the end.
    pub(super) descriptors: usize,
    /// Objects for the receiver that answers which did not come.
    pub(super) undelivered: usize,
    /// How it did not end after SIGTERM.
    pub(super) ended: Option<String>,
    /// What `ocellus check` found.
    pub(super) check: Option<String>,
}

/// What must be so: what it is called, and how it was otherwise.
struct Criterion {
    what: &'static str,
    broken: Option<String>,
}

fn criteria(samples: &[Sample], schedule: &Schedule, seen: &Seen) -> Vec<Criterion> {
    let none =
        |what, count: usize| Criterion { what, broken: (count > 0).then(|| format!("{count} of {}", samples.len())) };
    let silent = samples.iter().filter(|sample| matches!(sample.came, Came::Nothing(_))).count();
    let broken = |sample: &Sample, full: bool| match sample.came {
        Came::Status { status, .. } if status < 500 => false,
        // For want of room, and said so.
        Came::Status { status: 503 | 507, clear: true } => !full,
        Came::Status { .. } => true,
        Came::Nothing(_) => false,
    };
    let (during, beside): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|sample| schedule.may_excuse(sample));
    let made = samples.iter().any(|s| s.kind == Kind::Create && matches!(s.came, Came::Status { status: 201, .. }));
    vec![
        none("every request was answered", silent),
        none("no 5xx while the disk had room", beside.into_iter().filter(|sample| broken(sample, false)).count()),
        none(
            "503 or 507 with a sentence, and no other 5xx, while it was full",
            during.into_iter().filter(|s| broken(s, true)).count(),
        ),
        Criterion { what: "videos were created", broken: (!made).then(|| "none".into()) },
        Criterion {
            what: "the receiver that answers got all its objects",
            broken: (seen.undelivered > 0).then(|| format!("{} did not come", seen.undelivered)),
        },
        Criterion { what: "the server ended when it was told to", broken: seen.ended.clone() },
        Criterion { what: "`ocellus check` finds nothing", broken: seen.check.clone() },
    ]
}

fn seconds(time: f64) -> String {
    format!("{time:.3} s")
}

/// By kind of request: how often, how long, with which statuses.
fn requests(samples: &[Sample]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "request",
        "times",
        "half within",
        "99 % within",
        "longest",
        "answers",
    ]);
    let mut kinds: BTreeMap<Kind, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        kinds.entry(sample.kind).or_default().push(sample);
    }
    for (kind, samples) in kinds {
        let took: Vec<f64> = samples.iter().map(|sample| sample.took.as_secs_f64()).collect();
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for sample in &samples {
            let answer = match &sample.came {
                Came::Status { status, .. } => status.to_string(),
                Came::Nothing(_) => "none".into(),
            };
            *answers.entry(answer).or_default() += 1;
        }
        let p99 = percentile(&took, 0.99);
        let mark = if kind == Kind::List && p99 > SLOW { " (slow)" } else { "" };
        table.add_row([
            format!("{kind:?}").to_lowercase(),
            took.len().to_string(),
            seconds(percentile(&took, 0.5)),
            format!("{}{mark}", seconds(p99)),
            seconds(percentile(&took, 1.0)),
            answers.into_iter().map(|(answer, times)| format!("{answer}: {times}")).collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

/// Prints all of it; how many criteria are not met.
pub(super) fn print(samples: &[Sample], schedule: &Schedule, seen: &Seen) -> Result<usize> {
    let mut out = stdout().lock();
    writeln!(out, "\n{}\n", requests(samples))?;
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples {
        if let Came::Nothing(reason) = &sample.came {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, times) in reasons.iter().take(REASONS) {
        writeln!(out, "no answer, {times} times: {reason}")?;
    }
    writeln!(
        out,
        "memory, the most at a time: {:.0} MiB\nopen files at the end: {}\n",
        seen.memory_mib, seen.descriptors
    )?;
    let criteria = criteria(samples, schedule, seen);
    for Criterion { what, broken } in &criteria {
        match broken {
            None => writeln!(out, "ok      {what}")?,
            Some(how) => writeln!(out, "FAILED  {what}: {how}")?,
        }
    }
    let failed = criteria.iter().filter(|criterion| criterion.broken.is_some()).count();
    writeln!(out, "\nload: {} passed, {failed} failed", criteria.len() - failed)?;
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failed(samples: &[Sample]) -> Vec<&'static str> {
        let seen = Seen { memory_mib: 1.0, descriptors: 1, undelivered: 0, ended: None, check: None };
        let schedule = Schedule::new(Duration::from_secs(100), true);
        criteria(samples, &schedule, &seen).into_iter().filter(|c| c.broken.is_some()).map(|c| c.what).collect()
    }

    fn sample(kind: Kind, begun: u64, came: Came) -> Sample {
        Sample { kind, begun: Duration::from_secs(begun), took: Duration::from_millis(3), came }
    }

    fn status(status: u16, clear: bool) -> Came {
        Came::Status { status, clear }
    }

    #[test]
    fn a_full_disk_excuses_503_and_nothing_else() {
        let made = sample(Kind::Create, 1, status(201, false));
        assert_eq!(
            failed(&[
                made.clone(),
                sample(Kind::Patch, 50, status(503, true)),
                sample(Kind::Read, 3, status(404, true))
            ]),
            [""; 0]
        );
        for (at, came, expected) in [
            (3, status(503, true), "no 5xx while the disk had room"),
            (50, status(503, false), "503 or 507 with a sentence, and no other 5xx, while it was full"),
            (50, status(500, true), "503 or 507 with a sentence, and no other 5xx, while it was full"),
            (50, Came::Nothing("timeout".into()), "every request was answered"),
        ] {
            assert_eq!(failed(&[made.clone(), sample(Kind::Patch, at, came)]), [expected]);
        }
        assert_eq!(failed(&[sample(Kind::List, 1, status(200, false))]), ["videos were created"]);
    }
}
