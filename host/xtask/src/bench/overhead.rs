//! What a job takes beside its stages, as a share of the slowest of them.
//!
//! All of it is CPU for each frame of the recording, in milliseconds: what runs at the same time shares the cores, so that on a machine that
//! is busy a job is as slow as the sum of what its stages take, and not as the slowest. The stages: decoding with scaling, detecting,
//! measuring what is found, and for each object that the job reports its pictures and its embedding. Filters, trackers, the log, the archive,
//! and what is passed from one to the other are no stages: they are what is asked for here.
//!
//! Machines are shared. Stages are measured right before and right after each job, and what lies between the two is what the job is
//! held against.

use std::collections::BTreeMap;

use ocellus_figures::{Figure, Unit, percentile};

/// How the names of its figures end.
pub(super) const NAME: &str = ": overhead of the pipeline";

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
    /// Milliseconds for each frame.
    pub job: f64,
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
        (self.job - self.of_stages()) / slowest * 100.0
    }
}

/// The median of the rounds, and how long the stages take of which it is the rest.
pub(super) fn figures(name: &str, rounds: &[Paired]) -> [Figure; 2] {
    let of = |value: fn(&Paired) -> f64| percentile(&rounds.iter().map(value).collect::<Vec<_>>(), 0.5);
    [
        Figure::new(format!("{name}: all stages alone, CPU"), of(Paired::of_stages), Unit::Milliseconds),
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
        let round = |job| {
            let (before, after) = (stages(9.0, 18.0), stages(11.0, 22.0));
            Paired { job, objects: Objects::from([("face", 0.25), ("body", 0.5)]), before, after }
        };
        // 10 + 20 + 1 + (8 + 4) / 4
        assert_eq!(round(35.0).of_stages(), 34.0);
        let [alone, overhead] = figures("a, faces", &[round(35.0), round(90.0), round(34.0)]);
        assert_eq!(alone, Figure::new("a, faces: all stages alone, CPU", 34.0, Unit::Milliseconds));
        assert_eq!(
            overhead,
            Figure::new("a, faces: overhead of the pipeline", 5.0, Unit::Percent),
            "the median, of the slowest stage's 20"
        );
    }

    #[test]
    fn the_slowest_is_a_thread_of_the_job() {
        assert_eq!(stages(10.0, 20.0).slowest(), Some(("detect", 40.0)));
        assert_eq!(Stages::of(&[]).slowest(), None);
    }

    #[test]
    fn a_stage_that_was_not_measured_counts_as_overhead() {
        let (before, mut after) = (stages(10.0, 20.0), stages(10.0, 20.0));
        after.cpu.remove("measure what is found");
        assert_eq!(Paired { job: 31.0, objects: Objects::new(), before, after }.overhead(), 5.0);
    }
}
