use proptest::prelude::*;

use super::*;

const FRAME: Size = Size { width: 1280, height: 720 };
/// Values of sharp faces and bodies.
const GOOD: Luminance = Luminance { sharpness: 0.8, contrast: 50.0, brightness: 120.0 };

fn square(side: f32) -> Rect {
    Rect::new(200.0, 200.0, 200.0 + side, 200.0 + side)
}

/// Landmarks of a face of 100 pixels, the nose moved sideways by `turn` eye distances.
fn turned(turn: f32) -> Landmarks {
    let p = |x: f32, y: f32| Point { x: 200.0 + x, y: 200.0 + y };
    [p(30.0, 40.0), p(70.0, 40.0), p(50.0 + 40.0 * turn, 63.0), p(35.0, 80.0), p(65.0, 80.0)]
}

fn face(score: f32, turn: f32) -> RawDetection {
    RawDetection { object_type: ObjectType::face(), rect: square(100.0), score, landmarks: Some(turned(turn)) }
}

fn detected(object_type: ObjectType, rect: Rect, score: f32) -> RawDetection {
    RawDetection { object_type, rect, score, landmarks: None }
}

fn body(rect: Rect) -> RawDetection {
    detected(ObjectType::body(), rect, 0.8)
}

fn alone(detection: &RawDetection, luminance: Luminance) -> f32 {
    quality(detection, &luminance, 1.0, FRAME)
}

#[test]
fn good_pictures_are_above_the_default_thresholds_and_below_one() {
    for (detection, least) in [
        (face(0.8, 0.0), 0.42),
        (body(Rect::new(200.0, 200.0, 270.0, 400.0)), 0.6),
        (detected(ObjectType::car(), Rect::new(200.0, 200.0, 320.0, 290.0), 0.7), 0.65),
        (detected("drone".parse().unwrap(), square(80.0), 0.7), 0.5),
    ] {
        let q = alone(&detection, GOOD);
        assert!(q > least + 0.2 && q < 1.0, "{q}: {detection:?}");
    }
    let perfect = Luminance { sharpness: 20.0, contrast: 127.5, brightness: 127.5 };
    assert!(alone(&face(1.0, 0.0), perfect) < 1.0);
    assert!(alone(&detected(ObjectType::car(), square(200.0), 1.0), perfect) < 1.0);
}

#[test]
fn useless_pictures_are_below_the_default_thresholds() {
    let blurred = Luminance { sharpness: 0.02, ..GOOD };
    assert!(alone(&face(0.8, 0.0), blurred) < 0.42);
    assert!(alone(&face(0.8, 0.5), GOOD) < 0.42, "in profile");
    let mut upside_down = face(0.8, 0.0);
    upside_down.landmarks = Some(turned(0.0).map(|p| Point { x: 500.0 - p.x, y: 500.0 - p.y }));
    assert!(alone(&upside_down, GOOD) < 0.42);
    let black = Luminance { sharpness: 0.8, contrast: 2.0, brightness: 3.0 };
    assert!(alone(&face(0.8, 0.0), black) < 0.42);

    let weak = detected(ObjectType::body(), square(100.0), 0.25);
    assert!(alone(&weak, GOOD) < 0.6);
    let half_out = detected(ObjectType::car(), Rect::new(1180.0, 200.0, 1380.0, 320.0), 0.45);
    assert!(alone(&half_out, GOOD) < 0.65);
}

#[test]
fn size_does_not_affect_quality() {
    let [small, large] = [40.0, 400.0].map(|side| alone(&body(square(side)), GOOD));
    assert!((small - large).abs() < 0.001, "{small} {large}");
}

#[test]
fn a_box_in_front_covers_one_behind_it_and_not_the_other_way_round() {
    let (behind, front) = (Rect::new(100.0, 100.0, 200.0, 400.0), Rect::new(150.0, 150.0, 250.0, 450.0));
    let seen = [body(behind), body(front), detected(ObjectType::face(), front, 0.9)];
    let [behind_it, before_it, face] = seen.each_ref().map(|d| clear(d, &seen));
    assert!(behind_it < 0.7);
    assert_eq!([before_it, face], [1.0, 1.0]);
    let weak = [body(behind), detected(ObjectType::body(), front, 0.1)];
    assert!(clear(&weak[0], &weak) > behind_it, "a weak box covers less");
}

#[test]
fn a_box_at_the_edge_is_worse_than_one_further_in() {
    let at = |left: f32| alone(&body(Rect::new(left, 200.0, left + 100.0, 500.0)), GOOD);
    let by_distance = [-30.0, -5.0, 0.0, 1.0, 5.0, 20.0, 300.0].map(at);
    assert!(by_distance.is_sorted_by(|a, b| a < b), "{by_distance:?}");
}

#[test]
fn invalid_detections_have_a_quality() {
    let nan = f32::NAN;
    assert_eq!(alone(&body(Rect::new(nan, 0.0, 1.0, 1.0)), GOOD), 0.0);
    assert_eq!(alone(&detected(ObjectType::body(), square(50.0), nan), GOOD), 0.0);
    let one_point = RawDetection { landmarks: Some([Point { x: 1.0, y: 1.0 }; 5]), ..face(0.9, 0.0) };
    assert!(alone(&one_point, GOOD) < 0.1);
    let seen = [body(Rect::new(nan, 0.0, 1.0, 1.0)), body(square(50.0))];
    assert_eq!(seen.each_ref().map(|d| clear(d, &seen)), [1.0, 1.0]);
}

proptest! {
    /// No part saturates in the range of real pictures.
    #[test]
    fn better_in_one_respect_is_better(
        (score, sharpness, contrast, turn) in (0.1_f32..0.99, 0.0_f32..4.0, 1.0_f32..120.0, 0.0_f32..1.0),
        more in 1.02_f32..1.5,
    ) {
        let luminance = Luminance { sharpness, contrast, brightness: 100.0 };
        let base = alone(&face(score, turn), luminance);
        prop_assert!((0.0..1.0).contains(&base));
        let better = [
            alone(&face((score * more).min(1.0), turn), luminance),
            alone(&face(score, turn), Luminance { sharpness: sharpness * more + 0.001, ..luminance }),
            alone(&face(score, turn), Luminance { contrast: contrast * more, ..luminance }),
            alone(&face(score, turn), Luminance { brightness: 120.0, ..luminance }),
        ];
        prop_assert!(better.iter().all(|q| *q > base), "{base}: {better:?}");
        prop_assert!(quality(&face(score, turn), &luminance, 0.9, FRAME) < base);
        prop_assert!(alone(&face(score, turn + 0.05), luminance) < base);
    }
}
