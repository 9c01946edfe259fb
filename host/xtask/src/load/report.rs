//! Report of a run: latencies, resources, and criteria with their results.

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
};

use anyhow::Result;
use comfy_table::{Table, presets};
use ocellus_bench_report::percentile;

use super::clients::{Answer, Kind, Sample, Schedule};

/// Seconds above which the 99th percentile of lists is marked as slow, which is not a failure.
const SLOW: f64 = 1.0;
/// Largest number of different causes of missing responses that are printed.
const REASONS: usize = 5;

/// Measurements of the server process.
pub(super) struct Measured {
    /// Peak.
    pub(super) memory_mib: f64,
    /// Open at the end.
    pub(super) descriptors: usize,
    /// Objects that the receiver that responds did not get.
    pub(super) undelivered: usize,
    /// Failure to end after SIGTERM.
    pub(super) ended: Option<String>,
    /// Findings of `ocellus check`.
    pub(super) check: Option<String>,
}

/// A requirement, and how it was violated.
struct Criterion {
    what: &'static str,
    broken: Option<String>,
}

fn criteria(samples: &[Sample], schedule: &Schedule, measured: &Measured) -> Vec<Criterion> {
    let none =
        |what, count: usize| Criterion { what, broken: (count > 0).then(|| format!("{count} of {}", samples.len())) };
    let silent = samples.iter().filter(|sample| matches!(sample.answer, Answer::Missing(_))).count();
    let broken = |sample: &Sample, full: bool| match sample.answer {
        Answer::Status { status, .. } if status < 500 => false,
        // The refusals for a full disk, explained.
        Answer::Status { status: 503 | 507, explained: true } => !full,
        Answer::Status { .. } => true,
        Answer::Missing(_) => false,
    };
    let (during, beside): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|sample| schedule.may_excuse(sample));
    let made = samples.iter().any(|s| s.kind == Kind::Create && matches!(s.answer, Answer::Status { status: 201, .. }));
    vec![
        none("every request got a response", silent),
        none("no 5xx while the disk had room", beside.into_iter().filter(|sample| broken(sample, false)).count()),
        none(
            "503 or 507 with a sentence, and no other 5xx, while it was full",
            during.into_iter().filter(|s| broken(s, true)).count(),
        ),
        Criterion { what: "videos were created", broken: (!made).then(|| "none".into()) },
        Criterion {
            what: "the receiver that responds got all its objects",
            broken: (measured.undelivered > 0).then(|| format!("{} are missing", measured.undelivered)),
        },
        Criterion { what: "the server ended after SIGTERM", broken: measured.ended.clone() },
        Criterion { what: "`ocellus check` finds nothing", broken: measured.check.clone() },
    ]
}

fn seconds(time: f64) -> String {
    format!("{time:.3} s")
}

/// Table by kind of request: number, latencies, statuses.
fn requests(samples: &[Sample]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["request", "count", "p50", "p99", "max", "statuses"]);
    let mut kinds: BTreeMap<Kind, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        kinds.entry(sample.kind).or_default().push(sample);
    }
    for (kind, samples) in kinds {
        let took: Vec<f64> = samples.iter().map(|sample| sample.took.as_secs_f64()).collect();
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for sample in &samples {
            let answer = match &sample.answer {
                Answer::Status { status, .. } => status.to_string(),
                Answer::Missing(_) => "none".into(),
            };
            *answers.entry(answer).or_default() += 1;
        }
        let p99 = percentile(&took, 0.99);
        let mark = if kind == Kind::List && p99 > SLOW { " (slow)" } else { "" };
        table.add_row([
            kind.to_string(),
            took.len().to_string(),
            seconds(percentile(&took, 0.5)),
            format!("{}{mark}", seconds(p99)),
            seconds(percentile(&took, 1.0)),
            answers.into_iter().map(|(answer, times)| format!("{answer}: {times}")).collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

/// Prints the report; the number of criteria that are not met.
pub(super) fn print(samples: &[Sample], schedule: &Schedule, measured: &Measured) -> Result<usize> {
    let mut out = stdout().lock();
    writeln!(out, "\n{}\n", requests(samples))?;
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in samples {
        if let Answer::Missing(reason) = &sample.answer {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    for (reason, times) in reasons.iter().take(REASONS) {
        writeln!(out, "no response, {times} times: {reason}")?;
    }
    writeln!(out, "peak memory: {:.0} MiB\nopen files at the end: {}\n", measured.memory_mib, measured.descriptors)?;
    let criteria = criteria(samples, schedule, measured);
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
        let measured = Measured { memory_mib: 1.0, descriptors: 1, undelivered: 0, ended: None, check: None };
        let schedule = Schedule::new(Duration::from_secs(100), true);
        criteria(samples, &schedule, &measured).into_iter().filter(|c| c.broken.is_some()).map(|c| c.what).collect()
    }

    fn sample(kind: Kind, begun: u64, answer: Answer) -> Sample {
        Sample { kind, begun: Duration::from_secs(begun), took: Duration::from_millis(3), answer }
    }

    fn status(status: u16, explained: bool) -> Answer {
        Answer::Status { status, explained }
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
        for (at, answer, expected) in [
            (3, status(503, true), "no 5xx while the disk had room"),
            (50, status(503, false), "503 or 507 with a sentence, and no other 5xx, while it was full"),
            (50, status(500, true), "503 or 507 with a sentence, and no other 5xx, while it was full"),
            (50, Answer::Missing("timeout".into()), "every request got a response"),
        ] {
            assert_eq!(failed(&[made.clone(), sample(Kind::Patch, at, answer)]), [expected]);
        }
        assert_eq!(failed(&[sample(Kind::List, 1, status(200, false))]), ["videos were created"]);
    }
}
