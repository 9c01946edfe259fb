//! Pictures of an object: encoded when it is reported, from the frames retained for it, and
//! selected when it is posted.

use std::sync::Arc;

use ocellus_core::{
    BestShotType, DetectorSettings, Error, ObjectRecord, Rect, Region, Result, RgbImage, ShotSummary, Size,
    StreamSettings,
};
use ocellus_media::{Frame, Scaler, encode_jpeg, encode_png};
use ocellus_runtime::{Picture as Part, Pixels};
use ocellus_store::Picture;

use crate::align;

/// Margin of a crop on every side, as a fraction of the box: people recognise an object more easily
/// with some of its surroundings.
const CROP_MARGIN: f32 = 0.15;
/// JPEG quality of the aligned face, which is small and the input of recognition networks.
const NORMALIZED_QUALITY: u8 = 95;

/// Frames retained for an object; `None` unless the settings require it.
pub(crate) struct Frames<'a> {
    pub best: &'a Frame,
    pub first: Option<&'a Frame>,
    pub last: Option<&'a Frame>,
}

/// Access to a frame's pixels, for filters that read crops.
pub(crate) fn pixels(frame: &Frame) -> Arc<dyn Pixels> {
    struct FramePixels(Frame);

    impl Pixels for FramePixels {
        fn crop(&self, rect: Rect, size: Size) -> Option<Vec<u8>> {
            self.0.rgb(rect, size).ok().map(|image| image.data)
        }
    }

    Arc::new(FramePixels(frame.clone()))
}

/// Encodes the pictures of an object. `scaler` is for full frames, which all have one size.
pub(crate) fn encode(
    scaler: &mut Scaler,
    frames: &Frames<'_>,
    object: &ObjectRecord,
    settings: &StreamSettings,
    detector: &DetectorSettings,
) -> Result<Vec<(Picture, Vec<u8>)>> {
    let region = full_frame_region(settings, detector).map(|r| r.to_rect());
    let mut full = |frame: &Frame| {
        let encoded = if detector.fullframe_use_png {
            frame.crop(region, None).and_then(|image| encode_png(&image))
        } else {
            scaler.jpeg(frame, region, None, detector.jpeg_quality)
        };
        encoded.map_err(Error::internal)
    };
    let thumbnail = frames.best.jpeg(Some(crop(&object.best)), None, detector.jpeg_quality).map_err(Error::internal)?;
    let mut files = vec![(Picture::Thumbnail, thumbnail), (Picture::Fullframe, full(frames.best)?)];
    if let Some(face) = normalized(frames.best, object) {
        files.push((Picture::Normalized, encode_jpeg(&face, NORMALIZED_QUALITY).map_err(Error::internal)?));
    }
    for (picture, frame) in [(Picture::FirstFrame, frames.first), (Picture::LastFrame, frames.last)] {
        if let Some(frame) = frame {
            files.push((picture, full(frame)?));
        }
    }
    Ok(files)
}

/// The face, aligned by its landmarks; `None` for other types, whose recognition networks take the
/// padded crop, which is the thumbnail.
fn normalized(frame: &Frame, object: &ObjectRecord) -> Option<RgbImage> {
    align::aligned(frame, object.landmarks.as_ref()?, &align::PLACES, align::SIZE)
}

/// The region of an object's thumbnail; may reach over the frame's edge. Its edges are even, so
/// that [`Frame::jpeg`] need not resample chroma.
fn crop(shot: &ShotSummary) -> Rect {
    let [left, top, right, bottom] = shot.bbox.map(|v| v as f32);
    let Rect { left, top, right, bottom } = Rect::new(left, top, right, bottom).padded(CROP_MARGIN);
    let low = |edge: f32| (edge / 2.0).floor() * 2.0;
    let high = |edge: f32| (edge / 2.0).ceil() * 2.0;
    Rect::new(low(left), low(top), high(right), high(bottom))
}

/// The region of the frame that full-frame pictures show; `None` for all of it.
fn full_frame_region(settings: &StreamSettings, detector: &DetectorSettings) -> Option<Region> {
    settings.rot.filter(|_| detector.fullframe_crop_rot)
}

/// The parts of a post of this object, each with the pictures that may be sent as it, in order of
/// preference.
pub(crate) fn post_parts(object: &ObjectRecord, detector: &DetectorSettings) -> Vec<(Part, &'static [Picture])> {
    // The settings apply to the post at the end of a track; a realtime post always has the photo
    // and the normalized picture.
    let overall = object.bs_type == BestShotType::Overall;
    let mut parts: Vec<(Part, &'static [Picture])> = Vec::new();
    if detector.post_best_track_frame || !overall {
        parts.push((Part::Photo, &[Picture::Fullframe]));
    }
    if detector.post_best_track_normalize || !overall {
        parts.push((Part::Normalized, &[Picture::Normalized, Picture::Thumbnail]));
    }
    if detector.post_first_track_frame && overall {
        parts.push((Part::FirstFrame, &[Picture::FirstFrame]));
    }
    if detector.post_last_track_frame && overall {
        parts.push((Part::LastFrame, &[Picture::LastFrame]));
    }
    parts
}

/// The region of a frame of this size that a picture shows, `[left, top, right, bottom]` in pixels,
/// and the size of the picture itself.
pub(crate) fn region_and_size(
    picture: Picture,
    object: &ObjectRecord,
    settings: &StreamSettings,
    detector: &DetectorSettings,
    frame: Size,
) -> ([i32; 4], Size) {
    let rect = match picture {
        Picture::Normalized | Picture::Thumbnail => crop(&object.best),
        Picture::Fullframe | Picture::FirstFrame | Picture::LastFrame => {
            full_frame_region(settings, detector).map_or(frame.to_rect(), Region::to_rect)
        }
    };
    let region @ [left, top, right, bottom] = rect.to_pixels(frame);
    let size = match picture {
        Picture::Normalized => align::SIZE,
        _ => Size { width: right.abs_diff(left), height: bottom.abs_diff(top) },
    };
    (region, size)
}
