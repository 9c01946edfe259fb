//! Covers: content of pictures: colours by matrix and range, pixel formats, crops at every place
//! and edge, rotation, letterboxes, grey pictures and sharpness.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Media, difference, first, input, turned};
use ocellus_core::{ChannelOrder, InputSpec, Rect, Region, RgbImage, Size, VideoTransform};
use ocellus_media::{Luminance, MediaError, Scaler};

fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * image.width + x) * 3) as usize;
    image.data[at..at + 3].try_into().unwrap()
}

fn near(a: [u8; 3], b: [u8; 3], tolerance: u8) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= tolerance)
}

fn cut(image: &RgbImage, x: u32, y: u32, width: u32, height: u32) -> Vec<u8> {
    (y..y + height).flat_map(|y| (x..x + width).flat_map(move |x| pixel(image, x, y))).collect()
}

#[test]
fn colours_follow_the_matrix_and_the_range() {
    let media = Media::new();
    for matrix in ["bt709", "smpte170m", "bt2020nc"] {
        for range in ["tv", "pc"] {
            let scale = format!(
                "scale=out_color_matrix={}:out_range={range}:flags=accurate_rnd",
                matrix.trim_end_matches("nc").replace("smpte170m", "bt601")
            );
            let clip = media.make(
                &format!("-f lavfi -i color=c=0xE05A1E:s=128x96:d=0.2 -vf {scale},format=yuv420p -c:v ffv1 -colorspace {matrix} -color_range {range}"),
                "colour.mkv",
            );
            let frame = first(&input(&clip));
            let seen = pixel(&frame.crop(None, None).unwrap(), 64, 48);
            assert!(near(seen, [0xe0, 0x5a, 0x1e], 4), "{matrix} {range}: {seen:?}");
            let spec = InputSpec { width: 64, height: 48, order: ChannelOrder::Bgr, fill: 0 };
            let seen = Scaler::new().input(&frame, &spec, None).unwrap();
            let bgr = seen.data[(24 * 64 + 32) * 3..][..3].try_into().unwrap();
            assert!(near(bgr, [0x1e, 0x5a, 0xe0], 4), "{matrix} {range}: {bgr:?}");
        }
    }
}

#[test]
fn an_unspecified_matrix_is_chosen_by_the_height() {
    let media = Media::new();
    for (size, matrix) in [("320x240", "bt601"), ("1280x720", "bt709")] {
        let clip = media.make(
            &format!(
                "-f lavfi -i color=c=0xE05A1E:s={size}:d=0.1 -vf scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p -c:v ffv1"
            ),
            "unsaid.mkv",
        );
        let seen = pixel(&first(&input(&clip)).crop(None, None).unwrap(), 100, 100);
        assert!(near(seen, [0xe0, 0x5a, 0x1e], 4), "{size}: {seen:?}");
    }
}

#[test]
fn every_pixel_format_is_shown_as_it_is() {
    let media = Media::new();
    for format in [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv410p",
        "yuvj420p",
        "yuv420p10le",
        "yuv444p16le",
        "nv12",
        "nv21",
        "yuyv422",
        "uyvy422",
        "gray",
        "gray10le",
        "gray16le",
        "ya8",
        "rgb24",
        "bgr0",
        "rgba",
        "gbrp",
        "gbrp10le",
        "yuva420p",
        "pal8",
        "rgb565le",
        "monow",
    ] {
        let clip = media
            .make(&format!("-f lavfi -i testsrc2=s=160x120:r=5:d=0.2 -pix_fmt {format} -c:v rawvideo"), "format.nut");
        let frame = first(&input(&clip));
        let seen = frame.crop(None, None).unwrap();
        let reference = media.reference(&clip, "rgb24");
        let apart = difference(&seen.data, &reference);
        assert!(apart < 2.0, "{format}: {apart}");
        // A crop from an odd place shows the same pixels.
        let part = frame.crop(Some(Rect::new(33.0, 17.0, 94.0, 80.0)), None).unwrap();
        let apart = difference(&part.data, &cut(&seen, 33, 17, 61, 63));
        assert!(apart < 1.0, "{format}, crop: {apart}");
        let grey = frame.luma(Rect::new(0.0, 0.0, 160.0, 120.0), Size { width: 160, height: 120 }).unwrap();
        let apart = difference(&grey, &media.reference(&clip, "gray"));
        assert!(grey.iter().max() > Some(&200) && grey.iter().min() < Some(&60), "{format}, grey");
        assert!(apart < 20.0, "{format}, grey: {apart}");
    }
}

#[test]
fn crops_show_what_the_whole_shows() {
    let media = Media::new();
    // With an odd side swscale stretches the chroma of the whole frame by half a sample: there the
    // crop is the better one.
    for (width, height, tolerance) in [(130, 96, 1.0), (131, 97, 25.0)] {
        let clip = media.make(
            &format!(
                "-f lavfi -i testsrc2=s=130x96:r=5:d=0.2,format=rgb24,pad={width}:{height} -pix_fmt yuv420p -c:v ffv1"
            ),
            "crops.mkv",
        );
        let frame = first(&input(&clip));
        let whole = frame.crop(None, None).unwrap();
        assert_eq!((whole.width, whole.height), (width, height));
        let (right, bottom) = (width - 1, height - 1);
        for (x, y, w, h) in [
            (0, 0, 1, 1),
            (right, bottom, 1, 1),
            (1, 1, right, bottom),
            (0, bottom - 1, width, 2),
            (right - 1, 0, 2, height),
            (63, 47, 5, 4),
            (64, 46, 6, 4),
        ] {
            let part = frame.crop(Some(Rect::new(x as f32, y as f32, (x + w) as f32, (y + h) as f32)), None).unwrap();
            assert_eq!((part.width, part.height), (w, h));
            let apart = difference(&part.data, &cut(&whole, x, y, w, h));
            assert!(apart < tolerance, "{w}x{h}+{x}+{y} of {width}x{height}: {apart}");
        }
    }
}

#[test]
fn crops_are_clipped_at_the_edges() {
    let media = Media::new();
    let clip = media
        .make("-f lavfi -i testsrc2=s=130x96:r=5:d=0.2,format=rgb24,pad=131:97 -pix_fmt yuv420p -c:v ffv1", "odd.mkv");
    let frame = first(&input(&clip));
    let over = frame.crop(Some(Rect::new(-20.0, -10.0, 40.5, 500.0)), None).unwrap();
    assert_eq!((over.width, over.height), (41, 97));
    for outside in [
        Rect::new(131.0, 0.0, 150.0, 50.0),
        Rect::new(-9.0, -9.0, 0.0, 0.0),
        Rect::new(5.0, 5.0, 5.0, 5.0),
        Rect::new(f32::NAN, 0.0, f32::NAN, 9.0),
        Rect::new(9.0, 9.0, 1.0, 1.0),
    ] {
        assert!(matches!(frame.crop(Some(outside), None), Err(MediaError::OutsideFrame)), "{outside:?}");
    }
    assert!(frame.rgb(Rect::new(0.0, 0.0, 9.0, 9.0), Size { width: 0, height: 5 }).is_err());
    let small = frame.crop(None, Some(50)).unwrap();
    assert_eq!((small.width, small.height), (50, 37));
    let jpeg = frame.jpeg(Some(Rect::new(3.0, 3.0, 60.0, 40.0)), None, 90).unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
}

#[test]
fn a_jpeg_of_the_frame_shows_what_the_frame_shows() {
    let media = Media::new();
    for format in ["yuv420p", "nv12", "yuv420p10le", "yuv422p", "yuv444p", "gray", "rgb24"] {
        for (size, transform) in
            [("160x96", VideoTransform::None), ("131x97", VideoTransform::None), ("160x96", VideoTransform::Rotate90)]
        {
            let clip = media
                .make(&format!("-f lavfi -i testsrc2=s={size}:r=5:d=0.2 -pix_fmt {format} -c:v rawvideo"), "frame.nut");
            let frame = first(&turned(&clip, transform));
            let jpeg = media.write("frame.jpg", &frame.jpeg(None, None, 100).unwrap());
            let seen = first(&input(&jpeg));
            assert_eq!(seen.size(), frame.size());
            let apart = difference(&seen.crop(None, None).unwrap().data, &frame.crop(None, None).unwrap().data);
            assert!(apart < 1.0, "{format} {size} {transform:?}: {apart}");
        }
    }
}

#[test]
fn a_jpeg_of_a_part_shows_what_the_part_shows() {
    let media = Media::new();
    for format in ["yuv420p", "nv12", "yuv422p", "yuv444p"] {
        let clip = media
            .make(&format!("-f lavfi -i testsrc2=s=160x96:r=5:d=0.2 -pix_fmt {format} -c:v rawvideo"), "frame.nut");
        let frame = first(&input(&clip));
        for [left, top, right, bottom] in
            [[20.0, 10.0, 90.0, 60.0], [21.0, 11.0, 90.0, 60.0], [20.0, 10.0, 91.0, 61.0], [100.0, 50.0, 170.0, 99.0]]
        {
            let part = Some(Rect::new(left, top, right, bottom));
            let jpeg = media.write("part.jpg", &frame.jpeg(part, None, 100).unwrap());
            let seen = first(&input(&jpeg)).crop(None, None).unwrap();
            let shown = frame.crop(part, None).unwrap();
            assert_eq!((seen.width, seen.height), (shown.width, shown.height));
            let apart = difference(&seen.data, &shown.data);
            assert!(apart < 1.5, "{format} {part:?}: {apart}");
        }
    }
}

#[test]
fn rotation_agrees_with_ffmpegs_filters() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=150x100:r=5:d=0.2 -pix_fmt yuv444p -c:v ffv1", "plain.mkv");
    let plain = first(&input(&clip));
    for (transform, filter) in [
        (VideoTransform::FlipHorizontal, "hflip"),
        (VideoTransform::Rotate180, "hflip,vflip"),
        (VideoTransform::FlipVertical, "vflip"),
        // `transpose` by its numbers: 0 is counter-clockwise and flipped, 1 clockwise, 2
        // counter-clockwise, 3 clockwise and flipped.
        (VideoTransform::Transpose, "transpose=0"),
        (VideoTransform::Rotate90, "transpose=1"),
        (VideoTransform::Transverse, "transpose=3"),
        (VideoTransform::Rotate270, "transpose=2"),
    ] {
        let by_filter = media.make(&format!("-i plain.mkv -vf {filter} -c:v ffv1"), "turned.mkv");
        let reference = first(&input(&by_filter));
        let frame = first(&turned(&clip, transform));
        assert_eq!(frame.size(), reference.size(), "{transform:?}");
        assert!(
            difference(&frame.crop(None, None).unwrap().data, &reference.crop(None, None).unwrap().data) < 0.5,
            "{transform:?}"
        );
        let part = Rect::new(11.0, 22.0, 71.0, 53.0);
        let out = Size { width: 40, height: 20 };
        assert!(
            difference(&frame.rgb(part, out).unwrap().data, &reference.rgb(part, out).unwrap().data) < 3.0,
            "{transform:?}"
        );
        assert!(
            difference(&frame.luma(part, out).unwrap(), &reference.luma(part, out).unwrap()) < 3.0,
            "{transform:?}"
        );
        let spec = InputSpec { width: 96, height: 96, order: ChannelOrder::Rgb, fill: 9 };
        let region = Some(Region { width: 70, height: 60, x: 15, y: 25 });
        let (a, b) = (
            Scaler::new().input(&frame, &spec, region).unwrap(),
            Scaler::new().input(&reference, &spec, region).unwrap(),
        );
        assert_eq!((a.frame, a.scale), (b.frame, b.scale));
        assert!(difference(&a.data, &b.data) < 3.0, "{transform:?}");
        assert_eq!(plain.size(), Size { width: 150, height: 100 });
    }
}

#[test]
fn a_containers_rotation_is_applied_before_the_transform() {
    let media = Media::new();
    media.make("-f lavfi -i testsrc2=s=160x96:r=5:d=0.4 -pix_fmt yuv420p -qp 0", "plain.mp4");
    for angle in [90, 180, 270] {
        let clip = media.make(&format!("-i plain.mp4 -c copy -metadata:s:v:0 rotate={angle}"), "rotated.mp4");
        let upright = media.make("-i rotated.mp4 -c:v ffv1", "upright.mkv");
        let (frame, reference) = (first(&input(&clip)), first(&input(&upright)));
        assert_eq!(frame.size(), reference.size(), "{angle}");
        assert!(
            difference(&frame.crop(None, None).unwrap().data, &reference.crop(None, None).unwrap().data) < 2.0,
            "{angle}"
        );
        let frame = first(&turned(&clip, VideoTransform::FlipHorizontal));
        let reference = first(&turned(&upright, VideoTransform::FlipHorizontal));
        assert!(
            difference(&frame.crop(None, None).unwrap().data, &reference.crop(None, None).unwrap().data) < 2.0,
            "{angle}, flipped"
        );
    }
}

#[test]
fn an_input_is_fitted_top_left_and_filled() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i color=c=white:s=200x100:r=5:d=0.2 -pix_fmt yuv420p -c:v ffv1", "white.mkv");
    let mut scaler = Scaler::new();
    for transform in [VideoTransform::None, VideoTransform::Rotate90] {
        let frame = first(&turned(&clip, transform));
        // A width that is no multiple of a vector.
        for spec in [(101, 90), (64, 64), (33, 200)].map(|(width, height)| InputSpec {
            width,
            height,
            order: ChannelOrder::Rgb,
            fill: 114,
        }) {
            let image = scaler.input(&frame, &spec, None).unwrap();
            let (fit, scale) = spec.fit(frame.size());
            assert_eq!((image.frame, image.scale, image.spec), (frame.size(), scale, spec));
            for (n, sample) in image.data.chunks_exact(3).enumerate() {
                let (x, y) = (n as u32 % spec.width, n as u32 / spec.width);
                let expected = if x < fit.width && y < fit.height { [255; 3] } else { [114; 3] };
                // swscale rounds the fast conversion down.
                assert!(near(sample.try_into().unwrap(), expected, 3), "{transform:?} {spec:?}: {sample:?} at {x},{y}");
            }
        }
    }
}

#[test]
fn an_input_of_a_region_shows_the_region() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x240:r=5:d=0.2 -pix_fmt yuv444p -c:v ffv1", "clip.mkv");
    let frame = first(&input(&clip));
    let spec = InputSpec { width: 60, height: 40, order: ChannelOrder::Rgb, fill: 0 };
    let region = Region { width: 60, height: 40, x: 101, y: 33 };
    let image = Scaler::new().input(&frame, &spec, Some(region)).unwrap();
    assert_eq!((image.scale, image.frame), (1.0, Size { width: 60, height: 40 }));
    assert!(difference(&image.data, &frame.crop(Some(region.to_rect()), None).unwrap().data) < 2.0);
    let over = Region { width: 100, height: 100, x: -40, y: 200 };
    assert_eq!(frame.clip(over), Some(Region { width: 60, height: 40, x: 0, y: 200 }));
    assert_eq!(Scaler::new().input(&frame, &spec, Some(over)).unwrap().frame, Size { width: 60, height: 40 });
    let outside = Region { width: 10, height: 10, x: 400, y: 0 };
    assert_eq!(frame.clip(outside), None);
    assert!(matches!(Scaler::new().input(&frame, &spec, Some(outside)), Err(MediaError::OutsideFrame)));
}

#[test]
fn grey_has_full_range_for_every_range_of_the_stream() {
    let media = Media::new();
    for range in ["tv", "pc"] {
        for (colour, expected) in [("white", 255), ("black", 0)] {
            let clip = media.make(
                &format!(
                    "-f lavfi -i color=c={colour}:s=64x64:d=0.2 -vf scale=out_range={range},format=yuv420p -c:v ffv1 -color_range {range}"
                ),
                "grey.mkv",
            );
            let luma =
                first(&input(&clip)).luma(Rect::new(8.0, 8.0, 40.0, 40.0), Size { width: 7, height: 5 }).unwrap();
            assert_eq!(luma.len(), 35);
            assert!(luma.iter().all(|v| v.abs_diff(expected) <= 1), "{colour} {range}: {luma:?}");
        }
    }
}

#[test]
fn blur_lowers_sharpness_but_size_does_not() {
    let media = Media::new();
    let measured = |filter: &str, times: f32| {
        let clip = media.make(
            &format!("-f lavfi -i testsrc2=s=320x240:r=5:d=0.2 -vf {filter} -pix_fmt yuv420p -c:v ffv1"),
            "blur.mkv",
        );
        let [left, top, right, bottom] = [60.0, 60.0, 200.0, 200.0].map(|v| v * times);
        let (frame, part) = (first(&input(&clip)), Rect::new(left, top, right, bottom));
        let size = Luminance::measured_size(&part, frame.size());
        Luminance::of(&frame.luma(part, size).unwrap(), size).sharpness
    };
    let [sharp, soft, blurred] = ["null", "gblur=sigma=3", "gblur=sigma=6"].map(|filter| measured(filter, 1.0));
    assert!(sharp > 2.0 * soft && soft > 2.0 * blurred, "{sharp} {soft} {blurred}");
    for (filter, times) in [("scale=640:480", 2.0), ("scale=160:120", 0.5)] {
        let scaled = measured(filter, times);
        assert!((scaled / sharp - 1.0).abs() < 0.3, "{filter}: {scaled}, as it was {sharp}");
    }
}

#[test]
fn brightness_is_the_mean_of_each_pixels_area() {
    let media = Media::new();
    for format in ["yuv420p", "yuv420p10le"] {
        // Black and white columns, a pixel wide, beside white ones.
        let filter = "nullsrc=s=160x120:r=5:d=0.2,format=gray,geq=lum='if(lt(X,80),255*mod(X,2),255)'";
        let clip = media.make(
            &format!("-f lavfi -i {filter} -vf scale=out_range=tv,format={format} -color_range tv -c:v ffv1"),
            "bars.mkv",
        );
        let frame = first(&input(&clip));
        let mut luma = vec![7; 3];
        Scaler::new().brightness(&frame, frame.size().to_rect(), Size { width: 4, height: 2 }, &mut luma).unwrap();
        let expected = [127, 127, 255, 255, 127, 127, 255, 255];
        assert!(
            luma.len() == 8 && luma.iter().zip(expected).all(|(seen, mean)| seen.abs_diff(mean) <= 2),
            "{format}: {luma:?}"
        );
    }
}
