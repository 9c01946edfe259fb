//! A tracker and a filter that need no sandbox.

use std::{collections::BTreeSet, sync::Arc};

use ocellus_runtime::{FrameInfo, Pixels, Update};

use super::*;

/// Assigns each detection to the track that its appearance names, if it names one. Ends all other
/// tracks at a cut, and those of `closes` in the frame given there.
#[derive(Default)]
pub(super) struct FakeTracker {
    pub(super) open: BTreeSet<TrackId>,
    pub(super) closes: Vec<(u64, u64)>,
    pub(super) shown: Vec<FrameInfo>,
}

impl TrackerCalls for FakeTracker {
    fn name(&self) -> &str {
        "fake"
    }

    fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError> {
        self.shown.push(*frame);
        let ids: Vec<_> = detections.iter().map(|d| d.appearance.first().map(|id| TrackId(*id as u64))).collect();
        let here: BTreeSet<TrackId> = ids.iter().flatten().copied().collect();
        self.open.extend(&here);
        let is_over = |id: &TrackId| self.closes.contains(&(frame.index, id.0)) || (frame.cut && !here.contains(id));
        let closed: Vec<_> = self.open.iter().copied().filter(is_over).collect();
        self.open.retain(|id| !closed.contains(id));
        Ok(Update { ids, closed })
    }

    fn finish(&mut self) -> Result<Vec<TrackId>, PluginError> {
        Ok(std::mem::take(&mut self.open).into_iter().collect())
    }
}

/// Rule of a fake filter.
pub(super) enum Rule {
    MinQuality(f32),
    /// Frames from the first detection to the last.
    MinLength(u64),
    /// Annotates this key with the number of its calls.
    Note(&'static str),
}

pub(super) struct FakeFilter {
    stage: Stage,
    rule: Rule,
    /// The frame of each call.
    pub(super) asked: Vec<u64>,
    pub(super) objects: Vec<Object>,
}

impl FakeFilter {
    pub(super) fn new(stage: Stage, rule: Rule) -> Self {
        Self { stage, rule, asked: Vec::new(), objects: Vec::new() }
    }

    fn judge(&mut self, frame: u64, quality: f32, length: u64) -> Verdict {
        self.asked.push(frame);
        let reject = |rule: &str, value: String| Verdict::Reject(Rejection { rule: rule.to_owned(), value });
        match self.rule {
            Rule::MinQuality(min) if quality < min => reject("min", quality.to_string()),
            Rule::MinLength(min) if length < min => reject("length", length.to_string()),
            Rule::MinQuality(_) | Rule::MinLength(_) => Verdict::Keep,
            Rule::Note(key) => Verdict::Annotate(vec![(key.to_owned(), self.asked.len().to_string())]),
        }
    }
}

impl FilterCalls for FakeFilter {
    fn name(&self) -> &str {
        "judge"
    }

    fn wants(&self, stage: Stage) -> bool {
        self.stage == stage
    }

    fn begin_frame(&mut self, _: &FrameInfo, _: Option<Arc<dyn Pixels>>) {}

    fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError> {
        assert!(!detections.is_empty(), "never an empty list");
        Ok(detections.iter().map(|d| self.judge(frame.index, d.quality, 0)).collect())
    }

    fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError> {
        assert!(!candidates.is_empty(), "never an empty list");
        Ok(candidates.iter().map(|c| self.judge(frame.index, c.detection.quality, 0)).collect())
    }

    fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError> {
        assert!(!objects.is_empty(), "never an empty list");
        let length = |o: &Object| o.last.frame - o.first.frame + 1;
        let verdicts = objects.iter().map(|o| self.judge(o.last.frame, o.best.detection.quality, length(o))).collect();
        self.objects.extend(objects);
        Ok(verdicts)
    }
}
