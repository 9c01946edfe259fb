//! Stream clock: the times of frames, from time stamps that may be missing, out of order or jump.
//!
//! Guarantees: times rise from frame to frame, and jumps of time stamps leave no gap. Restarts
//! whenever decoding starts at another place of the stream.

/// Frame rate of streams with neither time stamps nor a declared rate.
const DEFAULT_RATE: f64 = 25.0;

/// Seconds between two frames above which time stamps are taken to have jumped: in containers whose
/// time stamps do (broadcasts, cameras), and in others, which may well show a picture for long.
const JUMP: f64 = 10.0;
const RARE_JUMP: f64 = 3600.0;
/// A step of up to this many usual steps is no jump, for streams with a low frame rate.
const STEPS: f64 = 5.0;
/// The same backwards; less counts as out of order.
const JUMP_BACK: f64 = 1.0;

pub(crate) struct StreamClock {
    /// Seconds from frame to frame, on average.
    period: f64,
    may_jump: bool,
    /// Time of the last frame.
    last: Option<f64>,
    /// Seconds from the frame before it to the last one; the longest such step.
    step: Option<f64>,
    longest_step: f64,
    /// Offset in seconds that compensates the jumps so far.
    fold: f64,
    jumps: u64,
}

impl StreamClock {
    /// `may_jump`: the container is of a kind whose time stamps jump.
    pub(crate) fn new(frame_rate: Option<f64>, may_jump: bool) -> Self {
        let period = 1.0 / frame_rate.unwrap_or(DEFAULT_RATE);
        Self { period, may_jump, last: None, step: None, longest_step: 0.0, fold: 0.0, jumps: 0 }
    }

    /// Decoding goes on at another place of the stream.
    pub(crate) fn restart(&mut self) {
        (self.last, self.step, self.fold) = (None, None, 0.0);
    }

    /// How often time stamps jumped.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Longest step between two frames, in seconds.
    pub(crate) fn longest_step(&self) -> f64 {
        self.longest_step
    }

    /// Start and end of the last frame, where it is shown as long as the one before it.
    pub(crate) fn last_shown(&self) -> Option<(f64, f64)> {
        self.last.map(|last| (last, last + self.step.unwrap_or(self.period)))
    }

    /// The time of a picture with this time stamp: after the one before it, and one period later
    /// where the time stamps jumped.
    pub(crate) fn time(&mut self, stamped: Option<f64>) -> f64 {
        let period = self.period;
        let stamped = stamped.map(|stamped| stamped + self.fold);
        let time = match (stamped, self.last) {
            (Some(stamped), None) => stamped,
            (None, None) => 0.0,
            (None, Some(last)) => last + period,
            (Some(stamped), Some(last)) => {
                let usual = if self.may_jump { JUMP } else { RARE_JUMP };
                let forward = usual.max(STEPS * self.longest_step.max(period));
                let step = stamped - last;
                if step > forward || step < -JUMP_BACK {
                    self.jumps += 1;
                    self.fold += last + period - stamped;
                }
                if step > 0.0 && step <= forward { stamped } else { last + period }
            }
        };
        if let Some(last) = self.last {
            self.step = Some(time - last);
            self.longest_step = self.longest_step.max(time - last);
        }
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(may_jump: bool, stamps: &[Option<f64>]) -> (Vec<f64>, u64) {
        let mut clock = StreamClock::new(Some(10.0), may_jump);
        let times = stamps.iter().map(|stamp| (clock.time(*stamp) * 1e3).round() / 1e3).collect();
        (times, clock.jumps())
    }

    #[test]
    fn stamps_that_are_missing_or_out_of_order_are_a_period_apart() {
        let stamps = [Some(0.0), None, Some(0.15), Some(0.05), Some(0.5)];
        assert_eq!(times(true, &stamps), (vec![0.0, 0.1, 0.15, 0.25, 0.5], 0));
    }

    #[test]
    fn jumps_are_removed_in_both_directions_and_long_steps_are_kept() {
        let stamps = [0.0, 0.1, 5000.0, 5000.1, 2.0, 2.1].map(Some);
        assert_eq!(times(true, &stamps), (vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 2));
        // A picture that is shown for minutes, in a container that has no jumps.
        assert_eq!(times(false, &[0.0, 0.1, 300.0].map(Some)), (vec![0.0, 0.1, 300.0], 0));
        assert_eq!(times(true, &[0.0, 8.0, 38.0].map(Some)), (vec![0.0, 8.0, 38.0], 0), "within five steps");
    }
}
