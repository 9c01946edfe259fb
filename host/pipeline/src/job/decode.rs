//! The first stage: frames of the source, at their pace, and the pictures of them that detectors
//! look at.
//!
//! Frames that come too late to be looked at are dropped where the settings allow it; they are not
//! in the log, where their numbers are missing.

use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};

use ocellus_core::{CpuLaps, InputImage, Rect, Region, Result, Size, Stage, StreamSettings};
use ocellus_detect::Detector;
use ocellus_media::{Decoder, Frame, Interrupt, Scaler};

use crate::{cut::CutDetector, motion::MotionGate, pace::Pace, progress::Progress};

/// A frame, and what was found out about it while it was decoded.
pub(super) struct FrameInFlight {
    pub frame: Frame,
    /// A cut lies before it.
    pub cut: bool,
    /// Nothing moved in it.
    pub still: bool,
    /// When it was taken, where the source says so; microseconds since the Unix epoch.
    pub taken_us: Option<i64>,
}

/// A frame on its way to the detectors, with a picture for each; without pictures where nothing
/// moved in it.
pub(super) type Decoded = Result<(FrameInFlight, Vec<InputImage>)>;

pub(super) struct Decode<'a> {
    settings: &'a StreamSettings,
    progress: &'a Progress,
    pace: Pace<'a>,
    scale: Scale<'a>,
    gate: MotionGate,
}

impl<'a> Decode<'a> {
    /// `is_live`: the source brings its own pace.
    pub(super) fn new(
        settings: &'a StreamSettings,
        detectors: &'a [Arc<Detector>],
        progress: &'a Progress,
        interrupt: &'a Interrupt,
        is_live: bool,
    ) -> Self {
        let pace = Pace::new(settings, is_live, interrupt);
        let scale = Scale { detectors, rot: settings.rot, scaler: Scaler::new(), cuts: CutDetector::default() };
        Self { settings, progress, pace, scale, gate: MotionGate::new(settings.imotion_threshold) }
    }

    /// Goes on behind a frame that was looked at before: what comes next is compared with it.
    pub(super) fn follow(&mut self, frame: &Frame, laps: &mut CpuLaps<'_>) -> Result<()> {
        self.gate.is_still(frame, self.watched(frame));
        laps.lap(Stage::Decode);
        self.scale.look(frame, laps).map(|_| ())
    }

    /// The region in which motion counts.
    fn watched(&self, frame: &Frame) -> Rect {
        self.settings.rot.map_or(frame.size().to_rect(), Region::to_rect)
    }

    /// Hands on what the decoder gives, to its end or until nobody takes it.
    pub(super) fn run(mut self, decoder: &mut Decoder, out: &SyncSender<Decoded>) {
        let mut laps = CpuLaps::start(self.progress.cpu());
        // A frame with a cut before it was dropped: the one after it has to tell.
        let mut lost_cut = false;
        loop {
            laps.lap(Stage::Other);
            let item = match decoder.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    let taken_us = decoder.taken_us(frame.time()).filter(|_| self.settings.use_rtsp_time);
                    self.shown(frame, taken_us, lost_cut, &mut laps)
                }
                Err(error) => Err(error.into()),
            };
            let Ok((FrameInFlight { cut, .. }, _)) = item else {
                let _ = out.send(item);
                return;
            };
            if !self.pace.may_drop() {
                if out.send(item).is_err() {
                    return;
                }
                continue;
            }
            lost_cut = match out.try_send(item) {
                Ok(()) => false,
                Err(TrySendError::Full(_)) => {
                    self.progress.update(|s| s.frames_dropped += 1);
                    // Nobody saw it, so that nothing can be still since.
                    self.gate.forget();
                    cut
                }
                Err(TrySendError::Disconnected(_)) => return,
            };
        }
    }

    fn shown(&mut self, frame: Frame, taken_us: Option<i64>, lost_cut: bool, laps: &mut CpuLaps<'_>) -> Decoded {
        self.pace.wait_for(&frame);
        let still = self.gate.is_still(&frame, self.watched(&frame));
        laps.lap(Stage::Decode);
        let (cut, inputs) = if still { (false, Vec::new()) } else { self.scale.look(&frame, laps)? };
        Ok((FrameInFlight { frame, cut: cut || lost_cut, still, taken_us }, inputs))
    }
}

/// Makes the pictures that detectors look at.
struct Scale<'a> {
    detectors: &'a [Arc<Detector>],
    rot: Option<Region>,
    scaler: Scaler,
    cuts: CutDetector,
}

impl Scale<'_> {
    /// Whether a cut lies before the frame, and a picture for each detector.
    fn look(&mut self, frame: &Frame, laps: &mut CpuLaps<'_>) -> Result<(bool, Vec<InputImage>)> {
        let looked_at = self.rot.map_or(frame.size(), |r| Size { width: r.width, height: r.height });
        let mut inputs: Vec<InputImage> = Vec::with_capacity(self.detectors.len());
        for detector in self.detectors {
            let spec = detector.input(looked_at);
            let input = match inputs.iter().find(|made| made.spec == spec) {
                Some(made) => made.clone(),
                None => self.scaler.input(frame, &spec, self.rot)?,
            };
            inputs.push(input);
        }
        laps.lap(Stage::Scale);
        let cut = inputs.first().is_some_and(|i| self.cuts.is_cut(i));
        laps.lap(Stage::Measure);
        Ok((cut, inputs))
    }
}
