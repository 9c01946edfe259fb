//! `{name}`: a tracker that associates each detection with the nearest track.
//!
//! Start here: `update` is called for every frame and returns the track id of each detection. Ids
//! start at 1, increase, and are never reused; a track closes once. `snapshot` and `restore` let a
//! newer build take over in the middle of a job.

use ocellus_plugin::{Detection, FrameInfo, Manifest, Point, State, StreamInfo, Tracker, Update};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Distance in pixels that a centre may move from frame to frame.
    reach: f32,
    /// Seconds of stream time without a detection after which a track closes.
    miss_interval: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reach: 50.0, miss_interval: 1.0 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    id: u64,
    centre: (f32, f32),
    time: f64,
}

#[derive(Default, Serialize, Deserialize)]
struct Tracks {
    last_id: u64,
    open: Vec<Track>,
}

pub struct {type} {
    settings: Settings,
    tracks: Tracks,
}

fn centre(detection: &Detection) -> (f32, f32) {
    let Point { x, y } = detection.rect.center();
    (x, y)
}

impl Tracker for {type} {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "{name}",
        version: env!("CARGO_PKG_VERSION"),
        description: "Associates each detection with the nearest track.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "reach": {"type": "number", "minimum": 0, "default": 50, "description": "Distance in pixels that an object may move from frame to frame."},
                "miss_interval": {"type": "number", "minimum": 0, "default": 1, "description": "Seconds without a detection after which a track closes."}
            }
        }"#,
        ..Manifest::DEFAULT
    };

    fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
        Ok(Self { settings, tracks: Tracks::default() })
    }

    fn update(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        let Tracks { last_id, open } = &mut self.tracks;
        let over = |t: &mut Track| frame.cut || frame.time - t.time > self.settings.miss_interval;
        let closed = open.extract_if(.., over).map(|t| t.id).collect();
        let mut free = std::mem::take(open);
        let mut ids = Vec::new();
        for detection in &detections {
            let (x, y) = centre(detection);
            let distance = |t: &Track| (t.centre.0 - x).hypot(t.centre.1 - y);
            let nearest = (0..free.len()).min_by(|a, b| distance(&free[*a]).total_cmp(&distance(&free[*b])));
            let id = match nearest.filter(|n| distance(&free[*n]) <= self.settings.reach) {
                Some(nearest) => free.swap_remove(nearest).id,
                None => {
                    *last_id += 1;
                    *last_id
                }
            };
            open.push(Track { id, centre: (x, y), time: frame.time });
            ids.push(Some(id));
        }
        open.extend(free);
        Ok(Update { ids, closed })
    }

    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.tracks.open).into_iter().map(|t| t.id).collect()
    }

    fn snapshot(&self) -> State {
        State { schema_tag: "{name}/1".into(), bytes: serde_json::to_vec(&self.tracks).unwrap_or_default() }
    }

    fn restore(&mut self, state: State) -> Result<(), String> {
        self.tracks = serde_json::from_slice(&state.bytes_of("{name}/1")?).map_err(|e| e.to_string())?;
        Ok(())
    }
}

ocellus_plugin::register!({type}: Tracker);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Rect, Size};

    use super::*;

    #[test]
    fn a_box_that_moves_a_little_is_one_track() {
        let size = Size { width: 640, height: 480 };
        let mut tracker = {type} { settings: Settings::default(), tracks: Tracks::default() };
        for i in 0..20 {
            let left = 10.0 * i as f32;
            let rect = Rect { left, top: 0.0, right: left + 20.0, bottom: 20.0 };
            let detection = Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: None };
            let frame = FrameInfo { index: i, time: i as f64 / 25.0, size, cut: false };
            assert_eq!(tracker.update(frame, vec![detection]).unwrap().ids, [Some(1)]);
        }
        assert_eq!(tracker.finish(), [1]);
    }
}
