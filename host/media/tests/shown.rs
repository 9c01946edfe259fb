//! Covers: presentation of pictures: EXIF rotation, non-square pixels, high dynamic range,
//! interlaced fields; and refusals before decoding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Media, all, difference, first, input, open};
use ocellus_core::{RgbImage, Size};
use ocellus_media::{Decoder, Frame, Input, Interrupt, MediaError};

fn whole(frame: &Frame) -> RgbImage {
    frame.crop(None, None).unwrap()
}

/// A JPEG with an EXIF segment of nothing but an orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let exif = [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".as_slice(), &entry, &[0; 4]].concat();
    let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn exif_turns_a_picture() {
    let media = Media::new();
    let jpeg = std::fs::read(media.make("-f lavfi -i testsrc2=s=160x120 -frames:v 1 -q:v 2", "plain.jpg")).unwrap();
    let filters = ["", "hflip", "hflip,vflip", "vflip", "transpose=0", "transpose=1", "transpose=3", "transpose=2"];
    for (orientation, filter) in (1..).zip(filters) {
        let turned = media.write("turned.jpg", &with_orientation(&jpeg, orientation));
        let decoder = open(&turned).unwrap();
        let tall = orientation > 4;
        let size = Size { width: if tall { 120 } else { 160 }, height: if tall { 160 } else { 120 } };
        assert_eq!(decoder.info().size, size, "{orientation}");
        let shown = whole(&first(&input(&turned)));
        let filter = if filter.is_empty() { String::new() } else { format!("-vf {filter}") };
        let expected = media.make(&format!("-noautorotate -i plain.jpg {filter} -pix_fmt rgb24 -f rawvideo"), "raw");
        assert!(difference(&shown.data, &std::fs::read(expected).unwrap()) < 8.0, "{orientation}");
    }
}

#[test]
fn pixels_become_square() {
    let media = Media::new();
    media.make("-f lavfi -i testsrc2=s=320x240:r=5:d=0.4 -c:v ffv1 -pix_fmt yuv420p", "square.mkv");
    let square = first(&input(&media.path("square.mkv")));
    for (stored, aspect) in [("160:240", "2/1"), ("320:120", "1/2")] {
        for (name, codec) in
            [("oblong.mkv", "-c:v ffv1"), ("oblong.mp4", "-crf 1"), ("oblong.ts", "-c:v libx264 -crf 1")]
        {
            let oblong = media.make(&format!("-i square.mkv -vf scale={stored},setsar={aspect} {codec}"), name);
            assert_eq!(open(&oblong).unwrap().info().size, square.size(), "{name} {aspect}");
            let frame = first(&input(&oblong));
            assert_eq!(frame.size(), square.size(), "{name} {aspect}");
            let apart = difference(&whole(&frame).data, &whole(&square).data);
            assert!(apart < 12.0, "{name} {aspect}: {apart}");
        }
    }
    let unsaid = media.make("-i square.mkv -vf scale=160:240,setsar=1 -c:v ffv1", "unsaid.mkv");
    let asked = Input { options: vec![("sample_aspect_ratio".into(), "2:1".into())], ..input(&unsaid) };
    assert_eq!(first(&asked).size(), square.size());
    assert_eq!(Decoder::open(&asked, &Interrupt::new()).unwrap().info().size, square.size());
}

#[test]
fn a_high_dynamic_range_looks_as_on_an_ordinary_screen() {
    let media = Media::new();
    // Reference white of BT.2408, 203 cd/m2: 58 % PQ, 75 % HLG.
    for (transfer, level) in [("smpte2084", 0.58), ("arib-std-b67", 0.75)] {
        let luma = 64 + (level * 876.0) as u32;
        let clip = media.make(
            &format!(
                "-f lavfi -i color=s=64x48:d=0.2,format=yuv420p10le,geq=lum={luma}:cb=512:cr=512 -c:v ffv1 \
                 -color_trc {transfer} -colorspace bt2020nc -color_primaries bt2020 -color_range tv"
            ),
            "hdr.mkv",
        );
        let frame = first(&input(&clip));
        let shown = whole(&frame).data;
        // Nearly white, with headroom for highlights.
        assert!(shown.iter().all(|v| (215..245).contains(v)), "{transfer}: {:?}", &shown[..3]);
        let grey = frame.luma(frame.size().to_rect(), Size { width: 8, height: 6 }).unwrap();
        assert!(grey[0].abs_diff(shown[0]) < 4, "{transfer}: {} {}", grey[0], shown[0]);
    }
}

#[test]
fn fields_of_different_moments_make_no_combs() {
    let media = Media::new();
    // A box that moves by 8 pixels from field to field.
    let moving = "-f lavfi -i color=black:s=320x240:r=50:d=1 -f lavfi -i color=white:s=40x80:r=50:d=1 -filter_complex overlay=x=400*t:y=80";
    for (name, mode, field) in [("top.mkv", "interleave_top", "tff"), ("bottom.mkv", "interleave_bottom", "bff")] {
        let clip =
            media.make(&format!("{moving},tinterlace=mode={mode},setfield={field} -c:v ffv1 -pix_fmt yuv420p"), name);
        let (frames, _) = all(&mut open(&clip).unwrap());
        let frame = &frames[10];
        assert_eq!(frame.size(), Size { width: 320, height: 240 });
        let image = whole(frame);
        let at = |x: usize, y: usize| image.data[(y * 320 + x) * 3];
        // Within the box, each column is the same from line to line.
        let combed = (0..320).filter(|x| (100..140).any(|y| at(*x, y).abs_diff(at(*x, y + 1)) > 40)).count();
        assert_eq!(combed, 0, "{name}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_decoded() {
    let media = Media::new();
    media.make("-f lavfi -i color=s=9000x8000 -frames:v 1 -pix_fmt gray", "large.png");
    media.make("-i large.png -c copy", "large.mkv");
    for name in ["large.png", "large.mkv"] {
        let error = open(&media.path(name)).err().map(|e| e.to_string());
        let text = "The picture is too large: it has 9000 x 8000 pixels, and at most 67 million are processed.";
        assert_eq!(error.as_deref(), Some(text), "{name}");
    }
}

#[test]
fn an_encrypted_video_is_reported_as_such() {
    let media = Media::new();
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
               -encryption_kid a7e61c373e219033c21091fa607bf3b8";
    let clip = media.make(&format!("-f lavfi -i testsrc2=s=160x120:r=25:d=1 -pix_fmt yuv420p {key}"), "secret.mp4");
    let (frames, error) = all(&mut open(&clip).unwrap());
    assert!(frames.is_empty() && matches!(error, Some(MediaError::Encrypted)), "{error:?}");
}

#[test]
fn an_unsupported_kind_of_picture_is_named() {
    let media = Media::new();
    let webp = [b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0".as_slice(), &[0; 6]].concat();
    let heic = [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08meta".as_slice()].concat();
    for (bytes, kind) in [(webp, "animated WebP"), (heic, "HEIC")] {
        let path = media.write("rare", &bytes);
        let error = open(&path).and_then(|mut d| d.next_frame()).err().map(|e| e.to_string());
        assert_eq!(error, Some(format!("The video codec {kind} is not supported.")));
    }
}
