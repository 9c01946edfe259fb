//! Track lifetime: closing of tracks that were missed for too long or reach their maximum duration.

/// Limits of a track's life, as in the settings of trackers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lifetime {
    /// Seconds of stream time that a track may be missed.
    pub miss_interval: f64,
    /// Maximum duration of a track in frames; 0 for no limit.
    pub max_duration_frames: u64,
    /// Whether frames without a detection count for the duration.
    pub interpolate_bboxes: bool,
}

/// The frames of a track so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of its first frame.
    pub first_frame: u64,
    /// Number of frames with a detection.
    pub detections: u64,
}

/// Times are sums of frame durations, in seconds; their rounding errors must not close a track.
const TIME_TOLERANCE: f64 = 1e-6;

impl Lifetime {
    /// Whether a track closes whose last detection was at this stream time, in seconds: when the
    /// interval is exceeded, not when it is reached.
    pub fn is_missed(&self, last_seen: f64, now: f64) -> bool {
        now - last_seen > self.miss_interval + TIME_TOLERANCE
    }

    /// Whether a track closes at the end of a frame, with which it reaches its maximum duration.
    pub fn is_reached(&self, span: Span, frame: u64) -> bool {
        self.max_duration_frames > 0 && self.duration(span, frame) >= self.max_duration_frames
    }

    /// Whether a track closes before a frame, with which it would exceed its maximum duration, as
    /// frames were skipped.
    pub fn is_exceeded(&self, span: Span, frame: u64) -> bool {
        self.max_duration_frames > 0 && self.duration(span, frame) > self.max_duration_frames
    }

    /// Duration in frames at the end of this one.
    fn duration(&self, span: Span, frame: u64) -> u64 {
        if self.interpolate_bboxes { frame.saturating_sub(span.first_frame) + 1 } else { span.detections }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Lifetime = Lifetime { miss_interval: 0.5, max_duration_frames: 5, interpolate_bboxes: true };
    const SPAN: Span = Span { first_frame: 10, detections: 3 };

    #[test]
    fn an_interval_must_be_exceeded_and_not_by_rounding() {
        assert!(!LIFETIME.is_missed(1.0, 1.5));
        assert!(!LIFETIME.is_missed(0.1 + 0.2, 0.8));
        assert!(LIFETIME.is_missed(1.0, 1.6));
    }

    #[test]
    fn a_duration_counts_gaps_where_boxes_are_interpolated() {
        let at = |lifetime: Lifetime, frame| (lifetime.is_reached(SPAN, frame), lifetime.is_exceeded(SPAN, frame));
        assert_eq!([13, 14, 15].map(|f| at(LIFETIME, f)), [(false, false), (true, false), (true, true)]);
        let seen = Lifetime { max_duration_frames: 3, interpolate_bboxes: false, ..LIFETIME };
        assert_eq!(at(seen, 1000), (true, false));
        assert_eq!(at(Lifetime { max_duration_frames: 0, ..LIFETIME }, 1000), (false, false));
    }
}
