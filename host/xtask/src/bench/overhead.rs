//! Overhead of a job outside its stages, as a share of the slowest of them.
//!
//! The stages are decoding, scaling, detecting, measuring detections, and the pictures and the
//! embedding of each reported object. A job's threads read their CPU clocks when they change from
//! one stage to another; the CPU outside of all stages is the overhead: filters and trackers, the
//! log, the archive, and communication between threads.
//!
//! Concurrent stages share caches and cores, so each takes more CPU than alone. A second figure
//! shows how much: the CPU of the whole server, compared with the sum of all stages alone. Machines
//! are shared and their speed drifts, so stages are measured right before and right after each job,
//! and the job is compared with the mean of the two. All values are milliseconds per frame of the
//! recording.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ocellus_bench_report::{Figure, Unit, percentile};

/// Suffix of the names of its figures.
pub(super) const NAME: &str = ": overhead of its threads";
/// Keys of `statistic.cpu_seconds` that are not stages.
const NOT_STAGES: [&str; 2] = ["plugins", "other"];

/// Costs of the stages when each runs alone, by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stages {
    /// CPU; milliseconds per frame, or per object of a type.
    cpu: BTreeMap<String, f64>,
    /// Speed of those that have a thread in a job; frames per second.
    fps: BTreeMap<String, f64>,
}

/// Objects that a job reported per frame, by type.
pub(super) type Objects = BTreeMap<&'static str, f64>;

/// A job, and its stages measured right before and after it. Milliseconds per frame.
pub(super) struct Paired {
    /// CPU of the whole server.
    pub job: f64,
    /// CPU of the job's threads outside of the stages.
    pub beside: f64,
    pub objects: Objects,
    pub before: Stages,
    pub after: Stages,
}

impl Stages {
    /// From the figures that the benchmark `stages` reports of one job.
    pub(super) fn of(figures: &[Figure]) -> Self {
        let (mut cpu, mut fps) = (BTreeMap::new(), BTreeMap::new());
        for figure in figures {
            let Some((_, stage)) = figure.name.split_once(": ") else { continue };
            match (figure.unit, stage.strip_suffix(", CPU")) {
                // Included in `decode + scale`: one thread does both.
                (Unit::Milliseconds, Some("scale")) => {}
                (Unit::Milliseconds, Some(stage)) => drop(cpu.insert(stage.to_owned(), figure.value)),
                (Unit::FramesPerSecond, None) => drop(fps.insert(stage.to_owned(), figure.value)),
                _ => {}
            }
        }
        Self { cpu, fps }
    }

    /// Milliseconds per frame of each stage, in a job that reports these objects.
    fn of_frame(&self, objects: &Objects) -> Vec<f64> {
        let times = |stage: &str| match stage.split_once(" of a ") {
            Some((_, object_type)) => objects.get(object_type).copied().unwrap_or(0.0),
            None => 1.0,
        };
        self.cpu.iter().map(|(stage, ms)| ms * times(stage)).collect()
    }

    /// The slowest stage that has a thread in a job, and its frames per second.
    pub(super) fn slowest(&self) -> Option<(&str, f64)> {
        self.fps.iter().map(|(stage, fps)| (stage.as_str(), *fps)).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn between(&self, other: &Self) -> Self {
        let mean = |before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>| {
            before.iter().filter_map(|(stage, a)| Some((stage.clone(), (a + after.get(stage)?) / 2.0))).collect()
        };
        Self { cpu: mean(&self.cpu, &other.cpu), fps: mean(&self.fps, &other.fps) }
    }
}

impl Paired {
    pub(super) fn stages(&self) -> Stages {
        self.before.between(&self.after)
    }

    /// Milliseconds per frame of all stages together.
    pub(super) fn of_stages(&self) -> f64 {
        self.stages().of_frame(&self.objects).iter().sum()
    }

    /// Percent of the slowest stage.
    fn overhead(&self) -> f64 {
        let slowest = self.stages().of_frame(&self.objects).into_iter().fold(0.0, f64::max);
        self.beside / slowest * 100.0
    }
}

/// Seconds of CPU outside of the stages, from a job's `statistic.cpu_seconds`.
pub(super) fn beside_stages(cpu_seconds: &BTreeMap<String, f64>) -> Result<f64> {
    NOT_STAGES
        .iter()
        .map(|name| cpu_seconds.get(*name).copied().with_context(|| format!("cpu_seconds of the server lacks {name}")))
        .sum()
}

/// Figures of a job: medians of the rounds.
pub(super) fn figures(name: &str, rounds: &[Paired]) -> [Figure; 2] {
    let of = |value: fn(&Paired) -> f64| percentile(&rounds.iter().map(value).collect::<Vec<_>>(), 0.5);
    [
        Figure::new(format!("{name}: job, CPU, by its stages"), of(|p| p.job), Unit::Milliseconds)
            .beside("all of them alone", of(Paired::of_stages)),
        Figure::new(format!("{name}{NAME}"), of(Paired::overhead), Unit::Percent),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(decode: f64, detect: f64) -> Stages {
        let ms = |name: &str, value| Figure::new(format!("a, faces: {name}, CPU"), value, Unit::Milliseconds);
        Stages::of(&[
            Figure::new("a, faces: decode + scale", 90.0, Unit::FramesPerSecond),
            ms("decode + scale", decode),
            ms("scale", 1.0),
            Figure::new("a, faces: detect", 40.0, Unit::FramesPerSecond),
            ms("detect", detect),
            ms("measure what is found", 1.0),
            ms("pictures of a face", 8.0),
            ms("embedding of a face", 4.0),
            ms("pictures of a car", 100.0),
        ])
    }

    #[test]
    fn overhead_is_the_cpu_outside_of_stages() {
        let round = |job, beside| {
            let (before, after) = (stages(9.0, 18.0), stages(11.0, 22.0));
            Paired { job, beside, objects: Objects::from([("face", 0.25), ("body", 0.5)]), before, after }
        };
        let [cpu, overhead] = figures("a, faces", &[round(40.0, 0.5), round(90.0, 9.0), round(30.0, 1.0)]);
        // 10 + 20 + 1 + (8 + 4) / 4
        let alone = Figure::new("a, faces: job, CPU, by its stages", 40.0, Unit::Milliseconds)
            .beside("all of them alone", 34.0);
        assert_eq!(cpu, alone);
        assert_eq!(
            overhead,
            Figure::new("a, faces: overhead of its threads", 5.0, Unit::Percent),
            "the median, as a share of the slowest stage's 20 ms"
        );
    }

    #[test]
    fn plugins_and_other_are_overhead() {
        let mut seconds =
            BTreeMap::from([("detect", 20.0), ("plugins", 0.5), ("other", 1.5)].map(|(k, v)| (k.to_owned(), v)));
        assert_eq!(beside_stages(&seconds).unwrap(), 2.0);
        seconds.remove("other");
        assert_eq!(beside_stages(&seconds).unwrap_err().to_string(), "cpu_seconds of the server lacks other");
    }

    #[test]
    fn the_slowest_stage_is_one_that_has_a_thread() {
        assert_eq!(stages(10.0, 20.0).slowest(), Some(("detect", 40.0)));
        assert_eq!(Stages::of(&[]).slowest(), None);
    }
}
