//! Pace at which a source is read.
//!
//! Owns: waiting until a frame is due (`play_speed`), and whether frames may be dropped
//! (`disable_drops`). A live source sets the pace itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use ocellus_core::StreamSettings;
use ocellus_media::{Frame, Interrupt};

/// The longest time until an interrupt is noticed.
const SLICE: Duration = Duration::from_millis(50);

pub(crate) struct Pace<'a> {
    /// Seconds of stream time in a second; `None` is as fast as possible.
    speed: Option<f64>,
    may_drop: bool,
    interrupt: &'a Interrupt,
    /// When the first frame came, and its time in the stream.
    start: Option<(Instant, f64)>,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(settings: &StreamSettings, is_live: bool, interrupt: &'a Interrupt) -> Self {
        let speed = Some(settings.play_speed).filter(|s| *s > 0.0 && !is_live);
        // Without a pace no frame is late.
        let may_drop = !settings.disable_drops && (speed.is_some() || is_live);
        Self { speed, may_drop, interrupt, start: None }
    }

    /// Whether a frame that finds the queue full is dropped instead of waiting.
    pub(crate) fn may_drop(&self) -> bool {
        self.may_drop
    }

    /// Returns when the frame is due, or soon after an interrupt.
    pub(crate) fn wait_for(&mut self, frame: &Frame) {
        let Some(speed) = self.speed else { return };
        let (start, first) = *self.start.get_or_insert_with(|| (Instant::now(), frame.time()));
        let turn = Duration::try_from_secs_f64((frame.time() - first) / speed).unwrap_or_default();
        while let Some(left) = turn.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            && !self.interrupt.is_raised()
        {
            thread::sleep(left.min(SLICE));
        }
    }
}
