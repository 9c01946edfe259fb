//! Detection stage: detectors run on decoded frames, several at a time.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender},
};

use ocellus_core::{CpuLaps, Point, Rect, Region, Result, Stage};
use ocellus_detect::{Detector, PendingDetection, RawDetection};

use super::{
    decode::{Decoded, FrameInFlight},
    stages::QUEUE,
};
use crate::progress::Progress;

/// Greatest number of frames that detectors may have in flight; each is in memory as pixels.
const MAX_IN_FLIGHT: usize = 32;

/// A frame with its pending detections.
pub(super) type Detecting<'a> = Result<(FrameInFlight, Vec<PendingDetection<'a>>)>;

/// Greatest number of frames that may wait for their detections. Finished ones may wait, too, so
/// that detectors continue while an object is written.
pub(super) fn in_flight(detectors: &[Arc<Detector>]) -> usize {
    detectors.iter().map(|d| d.depth()).max().unwrap_or(1).min(MAX_IN_FLIGHT) + QUEUE
}

/// Begins the detections of decoded frames, as fast as the detectors take them. The receiver of
/// `out` waits for the results.
pub(super) fn begin<'a>(
    detectors: &'a [Arc<Detector>],
    progress: &Progress,
    frames: &Receiver<Decoded>,
    out: &SyncSender<Detecting<'a>>,
) {
    let meter = progress.cpu();
    let mut laps = CpuLaps::start(meter);
    while let Ok(item) = frames.recv() {
        let begun = item.and_then(|(frame, inputs)| {
            let pending = detectors.iter().zip(inputs).map(|(detector, input)| detector.begin(input, meter));
            Ok((frame, pending.collect::<Result<Vec<_>, _>>()?))
        });
        let failed = begun.is_err();
        let gone = out.send(begun).is_err();
        laps.lap(Stage::Other);
        if failed || gone {
            return;
        }
    }
}

/// The detections of all detectors in a frame, in its coordinates.
pub(super) fn detections(pending: Vec<PendingDetection<'_>>, rot: Option<Region>) -> Result<Vec<RawDetection>> {
    let mut detections = Vec::new();
    for pending in pending {
        detections.extend(pending.wait()?);
    }
    if let Some(rot) = rot {
        detections.iter_mut().for_each(|d| shift(d, rot));
    }
    Ok(detections)
}

/// From coordinates within the region of tracking (`rot`) to the frame's.
fn shift(detection: &mut RawDetection, rot: Region) {
    let (dx, dy) = (rot.x.max(0) as f32, rot.y.max(0) as f32);
    let r = &mut detection.rect;
    *r = Rect::new(r.left + dx, r.top + dy, r.right + dx, r.bottom + dy);
    for p in detection.landmarks.iter_mut().flatten() {
        *p = Point { x: p.x + dx, y: p.y + dy };
    }
}
