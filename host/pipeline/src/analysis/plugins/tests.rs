use ocellus_core::SettingsSchema;

use super::*;

fn face(settings: &Value) -> DetectorSettings {
    let schema = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap();
    let settings = schema.complete(Some(&json!({"detectors": {"face": settings}}))).unwrap();
    settings.active().next().unwrap().1.clone()
}

#[test]
fn filters_are_called_for_quality_then_size_then_region() {
    let settings =
        face(&json!({"filter_min_quality": 0.25, "filter_min_size": 20, "filter_max_size": 0, "roi": "10x20+3+4"}));
    let expected = [
        ("quality", json!({"min": 0.25})),
        ("size", json!({"min": 20, "max": 0})),
        ("roi", json!({"roi": "10x20+3+4"})),
    ];
    assert_eq!(filter_settings(&settings), expected);
}

#[test]
fn a_minimum_duration_above_one_frame_adds_its_filter() {
    let of = |min: u64, interpolate: bool| {
        let settings = face(&json!({"filter_track_min_duration_frames": min, "track_interpolate_bboxes": interpolate}));
        filter_settings(&settings).into_iter().find(|(name, _)| *name == "track-length").map(|(_, settings)| settings)
    };
    assert_eq!(of(1, true), None, "every track has one frame");
    assert_eq!(of(2, true), Some(json!({"min": 2, "count_gaps": true})));
    // Without interpolation, gaps do not count for the length.
    assert_eq!(of(5, false), Some(json!({"min": 5, "count_gaps": false})));
}
