//! The second stage: detectors look at what was decoded, several frames at a time.

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

/// Frames that detectors may have under way, at most; each is in memory as pixels.
const UNDER_WAY: usize = 32;

/// A frame that detectors look at.
pub(super) type LookedAt<'a> = Result<(FrameInFlight, Vec<PendingDetection<'a>>)>;

/// How many frames may wait for what is found in them. What detectors are through with may wait,
/// too, so that they go on while an object is written.
pub(super) fn under_way(detectors: &[Arc<Detector>]) -> usize {
    detectors.iter().map(|d| d.depth()).max().unwrap_or(1).min(UNDER_WAY) + QUEUE
}

/// Shows the detectors what was decoded, as fast as they take it; who waits for what they find is
/// behind `out`.
pub(super) fn show<'a>(
    detectors: &'a [Arc<Detector>],
    progress: &Progress,
    frames: &Receiver<Decoded>,
    out: &SyncSender<LookedAt<'a>>,
) {
    let meter = progress.cpu();
    let mut laps = CpuLaps::start(meter);
    while let Ok(item) = frames.recv() {
        let shown = item.and_then(|(frame, pictures)| {
            let looking = detectors.iter().zip(pictures).map(|(detector, picture)| detector.begin(picture, meter));
            Ok((frame, looking.collect::<Result<Vec<_>, _>>()?))
        });
        let failed = shown.is_err();
        let gone = out.send(shown).is_err();
        laps.lap(Stage::Other);
        if failed || gone {
            return;
        }
    }
}

/// What all detectors found in a frame.
pub(super) fn seen(looking: Vec<PendingDetection<'_>>, rot: Option<Region>) -> Result<Vec<RawDetection>> {
    let mut seen = Vec::new();
    for looking in looking {
        seen.extend(looking.wait()?);
    }
    if let Some(rot) = rot {
        seen.iter_mut().for_each(|d| shift(d, rot));
    }
    Ok(seen)
}

/// From the region of tracking's coordinates to the frame's.
fn shift(detection: &mut RawDetection, rot: Region) {
    let (dx, dy) = (rot.x.max(0) as f32, rot.y.max(0) as f32);
    let r = &mut detection.rect;
    *r = Rect::new(r.left + dx, r.top + dy, r.right + dx, r.bottom + dy);
    for p in detection.landmarks.iter_mut().flatten() {
        *p = Point { x: p.x + dx, y: p.y + dy };
    }
}
