//! Decoding stage: frames of the source at their pace, scaled for the detectors.
//!
//! Where the settings allow it, frames that find the queue full are dropped; they are not in the
//! log, which skips their numbers.

use std::sync::{
    Arc,
    mpsc::{SyncSender, TrySendError},
};

use ocellus_core::{CpuLaps, InputImage, InputSpec, Rect, Region, Result, Size, Stage, StreamSettings};
use ocellus_detect::{Detector, FrameInput};
use ocellus_media::{Decoder, Frame, Interrupt, MediaError, Scaler};

use crate::{
    cut::{CutDetector, SceneChange},
    motion::MotionGate,
    pace::Pace,
    progress::Progress,
};

/// A decoded frame on its way through the stages.
pub(super) struct FrameInFlight {
    pub frame: Frame,
    /// The change from the frame before.
    pub change: SceneChange,
    /// Whether nothing moved since the last frame that detectors got; they skip this one.
    pub is_static: bool,
    /// Time of capture in microseconds since the Unix epoch, where the source has it.
    pub taken_us: Option<i64>,
}

/// A frame with the input of each detector; without inputs where it is static.
pub(super) type Decoded = Result<(FrameInFlight, Vec<FrameInput>)>;

pub(super) struct Decode<'a> {
    settings: &'a StreamSettings,
    progress: &'a Progress,
    pace: Pace<'a>,
    scale: Scale<'a>,
    gate: MotionGate,
}

impl<'a> Decode<'a> {
    /// `is_live`: the source sets the pace itself.
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

    /// Continues after a frame that detectors got in an earlier run: motion and cuts of the next
    /// one are measured from it. Cuts need the two last ones.
    pub(super) fn follow(&mut self, frame: &Frame, laps: &mut CpuLaps<'_>) -> Result<()> {
        self.gate.is_static(frame, self.watched(frame));
        laps.lap(Stage::Decode);
        self.scale.inputs(frame, laps).map(|_| ())
    }

    /// The region in which motion counts.
    fn watched(&self, frame: &Frame) -> Rect {
        self.settings.rot.map_or(frame.size().to_rect(), Region::to_rect)
    }

    /// Sends all frames of the decoder, until its end or until the receiver is gone.
    pub(super) fn run(mut self, decoder: &mut Decoder, out: &SyncSender<Decoded>) {
        let mut laps = CpuLaps::start(self.progress.cpu());
        // The change before a dropped frame, which the next frame inherits.
        let mut lost = SceneChange::None;
        loop {
            laps.lap(Stage::Other);
            let item = match decoder.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) => {
                    let taken_us = decoder.taken_us(frame.time()).filter(|_| self.settings.use_rtsp_time);
                    self.measure(frame, taken_us, lost, &mut laps)
                }
                Err(error) => Err(error.into()),
            };
            let Ok((FrameInFlight { change, .. }, _)) = item else {
                let _ = out.send(item);
                return;
            };
            if !self.pace.may_drop() {
                if out.send(item).is_err() {
                    return;
                }
                continue;
            }
            lost = match out.try_send(item) {
                Ok(()) => SceneChange::None,
                Err(TrySendError::Full(_)) => {
                    self.progress.update(|s| s.frames_dropped += 1);
                    // Detectors did not get it, so that motion cannot be measured from it.
                    self.gate.forget();
                    change
                }
                Err(TrySendError::Disconnected(_)) => return,
            };
        }
    }

    fn measure(&mut self, frame: Frame, taken_us: Option<i64>, lost: SceneChange, laps: &mut CpuLaps<'_>) -> Decoded {
        self.pace.wait_for(&frame);
        let is_static = self.gate.is_static(&frame, self.watched(&frame));
        laps.lap(Stage::Decode);
        let (change, inputs) =
            if is_static { (SceneChange::None, Vec::new()) } else { self.scale.inputs(&frame, laps)? };
        Ok((FrameInFlight { frame, change: change.max(lost), is_static, taken_us }, inputs))
    }
}

/// Scales frames to the inputs of detectors.
struct Scale<'a> {
    detectors: &'a [Arc<Detector>],
    rot: Option<Region>,
    scaler: Scaler,
    cuts: CutDetector,
}

impl Scale<'_> {
    /// The change before the frame, and the input of each detector.
    fn inputs(&mut self, frame: &Frame, laps: &mut CpuLaps<'_>) -> Result<(SceneChange, Vec<FrameInput>)> {
        // The part of `rot` that lies within the frame.
        let shown = match self.rot {
            Some(rot) => frame.clip(rot).ok_or(MediaError::OutsideFrame)?,
            None => Region { x: 0, y: 0, width: frame.size().width, height: frame.size().height },
        };
        let size = Size { width: shown.width, height: shown.height };
        let mut inputs: Vec<FrameInput> = Vec::with_capacity(self.detectors.len());
        for detector in self.detectors {
            let spec = detector.input(size);
            let whole = match inputs.iter().find(|made| made.whole.spec == spec) {
                Some(made) => made.whole.clone(),
                None => self.scaler.input(frame, &spec, self.rot)?,
            };
            let tiles = detector.tiles(size).into_iter().map(|tile| {
                let spec = detector.input(Size { width: tile.width, height: tile.height });
                Ok((tile, self.tile(frame, &spec, shown, tile)?))
            });
            let tiles = tiles.collect::<Result<_>>()?;
            inputs.push(FrameInput { whole, tiles });
        }
        laps.lap(Stage::Scale);
        let change = inputs.first().map_or(SceneChange::None, |i| self.cuts.change(&i.whole));
        laps.lap(Stage::Measure);
        Ok((change, inputs))
    }

    /// A tile of that part of a frame.
    fn tile(&mut self, frame: &Frame, spec: &InputSpec, shown: Region, tile: Region) -> Result<InputImage> {
        let region = Region { x: shown.x + tile.x, y: shown.y + tile.y, ..tile };
        Ok(self.scaler.input(frame, spec, Some(region))?)
    }
}
