//! Covers: tracklets over frames of coloured squares, by an embedder of mean colours, whose
//! individuals differ by 60 levels. A tracklet continues while its individual moves or changes
//! slowly, and ends when another one takes its place, also after a pause and where the first
//! picture of it is bad; an object without an embedder ends with its face, or where a cut is
//! possible; samples are taken.

use ocellus_core::Size;
use ocellus_media::{Decoder, Input, Interrupt, Location};

use super::*;
use crate::{appearance::appearance, identity::mean_colour};

const SIDE: usize = 64;
/// Frames a second.
const RATE: u32 = 10;

type Colour = [u8; 3];
const RED: Colour = [200, 40, 40];
const BLUE: Colour = [40, 40, 200];

/// A frame with a square of this colour, of this quality; `None`: nothing is detected.
type Shown = Option<(Colour, f32)>;

fn rect(offset: usize) -> Rect {
    Rect::new(8.0 + offset as f32, 8.0, 40.0 + offset as f32, 40.0)
}

/// Frames with a square that moves by one pixel a frame.
fn frames(shown: &[Shown]) -> Vec<Frame> {
    let mut file = format!("YUV4MPEG2 W{SIDE} H{SIDE} F{RATE}:1 Ip A1:1 C444\n").into_bytes();
    for (n, shown) in shown.iter().enumerate() {
        file.extend(b"FRAME\n");
        let at = rect(n % 8);
        let inside =
            |x: usize, y: usize| (at.left..at.right).contains(&(x as f32)) && (at.top..at.bottom).contains(&(y as f32));
        // BT.601, which such files use.
        let [luma, blue, red] = shown.map_or([128; 3], |([r, g, b], _)| {
            let [r, g, b] = [r, g, b].map(f32::from);
            let luma = 16.0 + 0.257 * r + 0.504 * g + 0.098 * b;
            [luma, 128.0 - 0.148 * r - 0.291 * g + 0.439 * b, 128.0 + 0.439 * r - 0.368 * g - 0.071 * b]
                .map(|v| v as u8)
        });
        for (square, around) in [(luma, 128), (blue, 128), (red, 128)] {
            let pixels = (0..SIDE * SIDE).map(|p| if inside(p % SIDE, p / SIDE) { square } else { around });
            file.extend(pixels);
        }
    }
    let mut decoder = Decoder::open(&Input::new(Location::Memory(file.into())), &Interrupt::new()).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
    assert_eq!((frames.len(), frames[0].size()), (shown.len(), Size { width: 64, height: 64 }));
    frames
}

/// The records of frames in which objects of these types are detected; bodies reach below the
/// faces.
fn follow(shown: &[Shown], types: &[ObjectType], cut: Option<usize>) -> Vec<FrameRecord> {
    follow_scene(shown, types, cut, None)
}

/// The same; a cut before the frame `possible` is possible.
fn follow_scene(
    shown: &[Shown],
    types: &[ObjectType],
    cut: Option<usize>,
    possible: Option<usize>,
) -> Vec<FrameRecord> {
    let embedders = mean_colour::embedders(&ObjectType::face(), 65.0, "jump = 60.0");
    let mut builder = TrackletBuilder::new(&embedders, types, &[], &[]);
    let record = |(n, (frame, shown)): (usize, (Frame, &Shown))| {
        let of_type = |object_type: &ObjectType| {
            let seen = shown.map(|(_, quality)| {
                let rect = rect(n % 8);
                let rect =
                    if *object_type == ObjectType::body() { Rect { bottom: rect.bottom + 20.0, ..rect } } else { rect };
                let appearance = appearance(&frame, rect);
                Detection { rect, score: 0.9, quality, landmarks: None, appearance }
            });
            (object_type.clone(), seen.into_iter().collect())
        };
        let mut record = FrameRecord {
            index: frame.index(),
            time: frame.time(),
            wall_us: 0,
            cut: cut == Some(n),
            is_static: false,
            detections: types.iter().map(of_type).collect(),
            tracklets: Vec::new(),
        };
        let change = if possible == Some(n) { SceneChange::Possible } else { SceneChange::None };
        builder.follow(&frame, change, &mut record, &Arc::default()).unwrap();
        record
    };
    frames(shown).into_iter().zip(shown).enumerate().map(record).collect()
}

/// The first frame of each tracklet of a type, and of the one that it replaced.
fn tracklets(records: &[FrameRecord], object_type: &ObjectType) -> Vec<(u64, Option<u64>)> {
    let of_type = records.iter().flat_map(|r| &r.tracklets).filter(|(t, _)| t == object_type).map(|(_, t)| t);
    let begins = of_type.flat_map(|t| {
        let old = |id: &TrackletId| t.replaced.iter().find(|(new, _)| new == id).map(|(_, old)| old.frame);
        t.ids.iter().map(|id| (id.frame, old(id))).collect::<Vec<_>>()
    });
    let mut all: Vec<_> = begins.collect();
    all.sort_unstable_by_key(|(frame, old)| (*frame, old.is_none()));
    all.dedup_by_key(|(frame, _)| *frame);
    all
}

fn of_faces(shown: &[Shown]) -> Vec<(u64, Option<u64>)> {
    tracklets(&follow(shown, &[ObjectType::face()], None), &ObjectType::face())
}

fn shown(colour: Colour, frames: usize) -> Vec<Shown> {
    vec![Some((colour, 0.8)); frames]
}

#[test]
fn a_moving_individual_is_one_tracklet_with_ever_rarer_samples() {
    let records = follow(&shown(RED, 40), &[ObjectType::face()], None);
    assert_eq!(tracklets(&records, &ObjectType::face()), [(0, None)]);
    let sampled: Vec<u64> = records
        .iter()
        .filter(|r| r.tracklets.iter().any(|(_, t)| t.embeddings.iter().any(|(place, v)| *place == 0 && v.len() == 3)))
        .map(|r| r.index)
        .collect();
    assert_eq!(sampled, [4, 8, 16, 32]);
}

#[test]
fn another_individual_in_the_same_place_begins_a_tracklet() {
    assert_eq!(of_faces(&[shown(RED, 6), shown(BLUE, 6)].concat()), [(0, None), (6, Some(0))]);
    let pause = [shown(RED, 6), vec![None; 10], shown(BLUE, 3)].concat();
    assert_eq!(of_faces(&pause), [(0, None), (16, Some(0))]);
    let pause = [shown(RED, 6), vec![None; 10], shown(RED, 3)].concat();
    assert_eq!(of_faces(&pause), [(0, None)], "the same one is back");
}

#[test]
fn a_slow_change_and_a_change_of_light_continue_the_tracklet() {
    let turning: Vec<Shown> = (0..20).map(|n| Some(([200 - 8 * n, 40, 40 + 8 * n], 0.8))).collect();
    assert_eq!(of_faces(&turning), [(0, None)]);
    let light = [shown(RED, 6), shown([235, 60, 60], 6)].concat();
    assert_eq!(of_faces(&light), [(0, None)]);
}

#[test]
fn a_bad_picture_is_ignored_and_the_next_good_one_decides() {
    let blurred = |colour| vec![Some((colour, 0.1))];
    assert_eq!(of_faces(&[shown(RED, 6), blurred(BLUE), shown(RED, 4)].concat()), [(0, None)]);
    let another = [shown(RED, 6), blurred(BLUE), blurred(BLUE), shown(BLUE, 4)].concat();
    assert_eq!(of_faces(&another), [(0, None), (8, Some(0))]);
}

#[test]
fn a_body_without_an_embedder_ends_with_its_face() {
    let (face, body) = (ObjectType::face(), ObjectType::body());
    let records = follow(&[shown(RED, 6), shown(BLUE, 6)].concat(), &[body.clone(), face], None);
    assert_eq!(tracklets(&records, &body), [(0, None), (6, Some(0))]);
}

#[test]
fn an_object_without_an_embedder_ends_where_a_cut_is_possible() {
    let (car, both) = (ObjectType::car(), [shown(RED, 6), shown(BLUE, 6)].concat());
    let types = std::slice::from_ref(&car);
    assert_eq!(tracklets(&follow(&both, types, None), &car), [(0, None)], "colours alone do not tell");
    assert_eq!(tracklets(&follow_scene(&both, types, None, Some(6)), &car), [(0, None), (6, Some(0))]);
    assert_eq!(tracklets(&follow_scene(&shown(RED, 12), types, None, Some(6)), &car), [(0, None)]);
}

#[test]
fn an_object_without_an_embedder_that_something_passes_in_front_of_is_one_tracklet() {
    let car = ObjectType::car();
    let of_cars = |shown: &[Shown], possible: usize| {
        tracklets(&follow_scene(shown, std::slice::from_ref(&car), None, Some(possible)), &car)
    };
    let hidden = [shown(RED, 6), vec![None; 3], shown(BLUE, 3)].concat();
    assert_eq!(of_cars(&hidden, 9), [(0, None)], "not visible in the frame before");
    let half_hidden = [shown(RED, 6), shown(BLUE, 1), shown(RED, 3)].concat();
    assert_eq!(of_cars(&half_hidden, 7), [(0, None)], "its first colours again");
}

#[test]
fn a_cut_ends_all_tracklets() {
    let records = follow(&[shown(RED, 6), shown(BLUE, 6)].concat(), &[ObjectType::face()], Some(6));
    assert_eq!(tracklets(&records, &ObjectType::face()), [(0, None), (6, None)]);
}
