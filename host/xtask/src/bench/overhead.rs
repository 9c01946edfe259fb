//! Overhead of a job beside its stages, as a share of the slowest of them.
//!
//! The stages: decoding, scaling, detecting, measuring what is found, and for each object that the
//! job reports its pictures and its embedding. A job's threads read their own CPU clocks between
//! one and the other: what they do beside these is what is asked for here. That is filters and
//! trackers, the log, the archive, and what is passed from thread to thread.
//!
//! Stages at the same time share caches and cores, and each takes more of the CPU than alone. How
//! much that is, is told by all CPU that the server takes, beside what all stages take alone.
//! Machines are shared, so that stages are measured right before and right after each job, and the
//! job is compared with what lies between the two. All of it is milliseconds for each frame of the
//! recording.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ocellus_bench_report::{Figure, Unit, percentile};

/// How the names of its figures end.
pub(super) const NAME: &str = ": overhead of its threads";
/// What is none of the stages, as the server calls it.
const BESIDE: [&str; 2] = ["plugins", "other"];

/// What stages take alone, by their names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stages {
    /// CPU; milliseconds for each frame, or for each object of a type.
    cpu: BTreeMap<String, f64>,
    /// By the clock, of those that are threads of a job; frames a second.
    fps: BTreeMap<String, f64>,
}

/// Objects that a job reported for each frame, by their types.
pub(super) type Objects = BTreeMap<&'static str, f64>;

/// A job, and its stages in the same minute.
pub(super) struct Paired {
    /// All CPU of its server.
    pub job: f64,
    /// CPU of its threads that no stage took.
    pub beside: f64,
    pub objects: Objects,
    pub before: Stages,
    pub after: Stages,
}

impl Stages {
    /// Those of one job, as the benchmark `stages` reports them.
    pub(super) fn of(figures: &[Figure]) -> Self {
        let (mut cpu, mut fps) = (BTreeMap::new(), BTreeMap::new());
        for figure in figures {
            let Some((_, stage)) = figure.name.split_once(": ") else { continue };
            match (figure.unit, stage.strip_suffix(", CPU")) {
                // It is measured with decoding, as one thread does both.
                (Unit::Milliseconds, Some("scale")) => {}
                (Unit::Milliseconds, Some(stage)) => drop(cpu.insert(stage.to_owned(), figure.value)),
                (Unit::FramesPerSecond, None) => drop(fps.insert(stage.to_owned(), figure.value)),
                _ => {}
            }
        }
        Self { cpu, fps }
    }

    /// Milliseconds that each takes for a frame of a job that reports these objects.
    fn of_frame(&self, objects: &Objects) -> Vec<f64> {
        let times = |stage: &str| match stage.split_once(" of a ") {
            Some((_, object_type)) => objects.get(object_type).copied().unwrap_or(0.0),
            None => 1.0,
        };
        self.cpu.iter().map(|(stage, ms)| ms * times(stage)).collect()
    }

    /// The slowest of those that are threads of a job, and its frames a second.
    pub(super) fn slowest(&self) -> Option<(&str, f64)> {
        self.fps.iter().map(|(stage, fps)| (stage.as_str(), *fps)).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn between(&self, other: &Self) -> Self {
        let mean = |ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>| {
            ours.iter().filter_map(|(stage, a)| Some((stage.clone(), (a + theirs.get(stage)?) / 2.0))).collect()
        };
        Self { cpu: mean(&self.cpu, &other.cpu), fps: mean(&self.fps, &other.fps) }
    }
}

impl Paired {
    pub(super) fn stages(&self) -> Stages {
        self.before.between(&self.after)
    }

    /// Milliseconds that all stages together take for a frame.
    pub(super) fn of_stages(&self) -> f64 {
        self.stages().of_frame(&self.objects).iter().sum()
    }

    /// Percent.
    fn overhead(&self) -> f64 {
        let slowest = self.stages().of_frame(&self.objects).into_iter().fold(0.0, f64::max);
        self.beside / slowest * 100.0
    }
}

/// Seconds that a job's threads took beside its stages, of what its `statistic` says.
pub(super) fn beside_stages(cpu_seconds: &BTreeMap<String, f64>) -> Result<f64> {
    BESIDE
        .iter()
        .map(|name| {
            cpu_seconds.get(*name).copied().with_context(|| format!("the server does not say what {name} took"))
        })
        .sum()
}

/// The medians of the rounds.
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
    fn overhead_is_what_no_stage_takes() {
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
            "the median, of the slowest stage's 20"
        );
    }

    #[test]
    fn plugins_and_what_holds_stages_together_are_overhead() {
        let mut seconds =
            BTreeMap::from([("detect", 20.0), ("plugins", 0.5), ("other", 1.5)].map(|(k, v)| (k.to_owned(), v)));
        assert_eq!(beside_stages(&seconds).unwrap(), 2.0);
        seconds.remove("other");
        assert_eq!(beside_stages(&seconds).unwrap_err().to_string(), "the server does not say what other took");
    }

    #[test]
    fn the_slowest_is_a_thread_of_the_job() {
        assert_eq!(stages(10.0, 20.0).slowest(), Some(("detect", 40.0)));
        assert_eq!(Stages::of(&[]).slowest(), None);
    }
}
