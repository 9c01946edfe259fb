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

/// Interval at which a wait checks for an interrupt.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

/// Greatest wait between two frames, in seconds: timestamps may jump by hours.
const MAX_WAIT: f64 = 10.0;

pub(crate) struct Pace<'a> {
    /// Seconds of stream time per second of real time; `None` is as fast as possible.
    speed: Option<f64>,
    may_drop: bool,
    interrupt: &'a Interrupt,
    clock: Option<Clock>,
}

/// Mapping of stream time to real time.
struct Clock {
    /// Real time at which the stream time is `origin`.
    start: Instant,
    /// In seconds. Moved forward by jumps of the stream time.
    origin: f64,
    /// Stream time of the last frame.
    last: f64,
}

impl Clock {
    /// Real time from `start` until the frame with this stream time is due.
    fn due(&mut self, time: f64, speed: f64) -> Duration {
        let max_step = MAX_WAIT * speed;
        self.origin += (time - self.last - max_step).max(0.0);
        self.last = time;
        Duration::try_from_secs_f64((time - self.origin) / speed).unwrap_or_default()
    }
}

impl<'a> Pace<'a> {
    pub(crate) fn new(settings: &StreamSettings, is_live: bool, interrupt: &'a Interrupt) -> Self {
        let speed = Some(settings.play_speed).filter(|s| *s > 0.0 && !is_live);
        // A file that is read as fast as possible has no late frames.
        let may_drop = !settings.disable_drops && (speed.is_some() || is_live);
        Self { speed, may_drop, interrupt, clock: None }
    }

    /// Whether a frame that finds the queue full is dropped instead of waiting.
    pub(crate) fn may_drop(&self) -> bool {
        self.may_drop
    }

    /// Returns when the frame is due, or soon after an interrupt.
    pub(crate) fn wait_for(&mut self, frame: &Frame) {
        let Some(speed) = self.speed else { return };
        let time = frame.time();
        let clock = self.clock.get_or_insert_with(|| Clock { start: Instant::now(), origin: time, last: time });
        let (due, start) = (clock.due(time, speed), clock.start);
        while let Some(left) = due.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            && !self.interrupt.is_raised()
        {
            thread::sleep(left.min(INTERRUPT_CHECK));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_by_their_times_and_jumps_are_shortened() {
        let mut clock = Clock { start: Instant::now(), origin: 5.0, last: 5.0 };
        let mut due = |time| clock.due(time, 2.0).as_secs_f64();
        assert_eq!((due(5.0), due(6.0), due(9.0)), (0.0, 0.5, 2.0));
        // A jump of a day takes 10 s; later frames are relative to it.
        assert_eq!((due(86_409.0), due(86_411.0)), (12.0, 13.0));
    }
}
