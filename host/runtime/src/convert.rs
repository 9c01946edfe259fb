//! Conversions from the host's types to the contract's.

use ocellus_core::{Detection, Landmarks, Point, Size};

use crate::{FrameInfo, StreamInfo, bindings::types};

pub(crate) fn size(size: Size) -> types::Size {
    types::Size { width: size.width, height: size.height }
}

pub(crate) fn stream(info: &StreamInfo) -> types::StreamInfo {
    types::StreamInfo { object_type: info.object_type.to_string(), size: size(info.size), frame_rate: info.frame_rate }
}

pub(crate) fn frame(info: &FrameInfo) -> types::FrameInfo {
    types::FrameInfo { index: info.index, time: info.time, size: size(info.size), cut: info.cut }
}

pub(crate) fn landmarks([left_eye, right_eye, nose, left_mouth, right_mouth]: Landmarks) -> types::Landmarks {
    let point = |p: Point| types::Point { x: p.x, y: p.y };
    types::Landmarks {
        left_eye: point(left_eye),
        right_eye: point(right_eye),
        nose: point(nose),
        left_mouth: point(left_mouth),
        right_mouth: point(right_mouth),
    }
}

pub(crate) fn detection(d: &Detection) -> types::Detection {
    types::Detection {
        rect: types::Rect { left: d.rect.left, top: d.rect.top, right: d.rect.right, bottom: d.rect.bottom },
        score: d.score,
        quality: d.quality,
        landmarks: d.landmarks.map(landmarks),
        // `None` rather than an empty list, since any list costs a call into the guest's allocator.
        appearance: if d.appearance.is_empty() { None } else { Some(d.appearance.clone()) },
    }
}
