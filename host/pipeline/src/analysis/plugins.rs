//! Choice of plugins by the settings of a detector, and the settings of each plugin.

use ocellus_core::{DetectorSettings, ScoreThresholds, StreamSettings};
use ocellus_runtime::{Kind, Plugins, Role};
use serde_json::{Value, json};

/// Whether the tracker that the settings name compares the appearances of detections.
pub(crate) fn compares_appearances(plugins: &Plugins, s: &DetectorSettings) -> bool {
    tracker_settings(plugins, s, ScoreThresholds::default()).get(MATCHING).is_some()
}

/// The plugins that a job by these settings uses, without routers.
pub(crate) fn plugins_of(settings: &StreamSettings) -> impl Iterator<Item = (Kind, &str)> {
    let trackers = settings.active().map(|(_, s)| (Kind::Tracker, s.tracker_type.as_str()));
    let of_settings = settings.active().flat_map(|(_, s)| filter_settings(s)).map(|(name, _)| (Kind::Filter, name));
    trackers.chain(settings.chosen_filters().map(|name| (Kind::Filter, name))).chain(of_settings)
}

/// Setting of trackers: least similarity of two appearances in one track.
const MATCHING: &str = "matching_threshold";

/// Setting of trackers: the score below which a detection only continues a track. Only trackers
/// that have it get such detections.
pub(super) const MIN_SCORE: &str = "min_score";

/// The settings of tracking that this tracker's schema has.
pub(super) fn tracker_settings(plugins: &Plugins, s: &DetectorSettings, scores: ScoreThresholds) -> Value {
    let mut settings = json!({
        "overlap_threshold": s.track_overlap_threshold,
        MIN_SCORE: scores.min,
        "miss_interval": s.track_miss_interval,
        "max_duration_frames": s.track_max_duration_frames,
        "interpolate_bboxes": s.track_interpolate_bboxes,
        MATCHING: s.track_deep_sort_matching_threshold,
        "filter_unconfirmed_tracks": s.track_deep_sort_filter_unconfirmed_tracks,
    });
    let serving = plugins.info(&s.tracker_type, Role::Active).filter(|p| p.kind == Some(Kind::Tracker));
    let schema = serving.and_then(|p| p.schema).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, _| schema.get("properties").is_some_and(|p| p.get(key).is_some()));
    }
    settings
}

/// The shipped filters that the settings require, in the order of their calls.
pub(super) fn filter_settings(s: &DetectorSettings) -> Vec<(&'static str, Value)> {
    let mut filters = vec![
        ("quality", json!({"min": s.filter_min_quality})),
        ("size", json!({"min": s.filter_min_size, "max": s.filter_max_size})),
    ];
    if let Some(roi) = s.roi {
        filters.push(("roi", json!({"roi": roi.to_string()})));
    }
    if s.filter_track_min_duration_frames > 1 {
        filters.push((
            "track-length",
            json!({"min": s.filter_track_min_duration_frames, "count_gaps": s.track_interpolate_bboxes}),
        ));
    }
    filters
}

#[cfg(test)]
mod tests;
