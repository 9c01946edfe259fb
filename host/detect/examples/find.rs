//! Object finder: prints the objects in pictures, to try a detector of your own, or thresholds.
//!
//! ```sh
//! ffmpeg -ss 2 -i some.mp4 -frames:v 1 frame.ppm
//! cargo run --release -p ocellus-detect --example find -- target/assets/detectors frame.ppm
//! ```

use std::{error::Error, fs, path::PathBuf};

use ocellus_core::{ChannelOrder, InputImage, InputSpec, RgbImage, Size};
use ocellus_detect::{Detectors, Device, DeviceChoice};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "its purpose")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: find DETECTORS PICTURE.ppm...";
    let folder = arguments.next().ok_or(usage)?;
    let detectors = Detectors::load(&folder, &Device::choose(DeviceChoice::Auto, None)?)?;
    for refused in &detectors.report().refused {
        println!("{} is not used: {}", refused.name, refused.reason);
    }
    for path in arguments {
        let picture = ppm(&fs::read(&path)?).ok_or("not a binary PPM of 8 bits (P6)")?;
        let frame = Size { width: picture.width, height: picture.height };
        for detector in detectors.for_types(&detectors.types()) {
            let image = scaled(&picture, detector.input(frame));
            for found in detector.detect(vec![image])?.concat() {
                let [left, top, right, bottom] = found.rect.to_pixels(frame);
                println!(
                    "{} {} {:.2} {left},{top} {right},{bottom}",
                    path.display(),
                    found.object_type.as_str(),
                    found.score
                );
            }
        }
    }
    Ok(())
}

/// Decodes a binary PPM of 8 bits; `None` for anything else.
fn ppm(bytes: &[u8]) -> Option<RgbImage> {
    let mut rest = bytes.strip_prefix(b"P6")?.trim_ascii_start();
    let mut number = || {
        let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        // A single white-space character ends the header's last number.
        rest = after.get(1..)?;
        std::str::from_utf8(number).ok()?.parse::<u32>().ok()
    };
    let (width, height, 255) = (number()?, number()?, number()?) else { return None };
    let data = rest.get(..width as usize * height as usize * 3)?.to_vec();
    Some(RgbImage { width, height, data })
}

/// Bilinear scaling without a library; the server uses swscale.
fn scaled(picture: &RgbImage, spec: InputSpec) -> InputImage {
    let frame = Size { width: picture.width, height: picture.height };
    let (shown, scale) = spec.fit(frame);
    let mut data = vec![spec.fill; spec.width as usize * spec.height as usize * 3];
    let sample = |x: u32, y: u32, channel: u32| {
        let at = |x: u32, y: u32| {
            let (x, y) = (x.min(frame.width - 1), y.min(frame.height - 1));
            f32::from(picture.data.get(((y * frame.width + x) * 3 + channel) as usize).copied().unwrap_or_default())
        };
        let place = |i: u32| ((i as f32 + 0.5) / scale - 0.5).max(0.0);
        let (fx, fy) = (place(x), place(y));
        let (x, y) = (fx as u32, fy as u32);
        let (dx, dy) = (fx.fract(), fy.fract());
        let top = at(x, y) * (1.0 - dx) + at(x + 1, y) * dx;
        let bottom = at(x, y + 1) * (1.0 - dx) + at(x + 1, y + 1) * dx;
        (top * (1.0 - dy) + bottom * dy).round() as u8
    };
    for (row, pixels) in data.chunks_exact_mut(spec.width as usize * 3).take(shown.height as usize).enumerate() {
        for (column, pixel) in pixels.chunks_exact_mut(3).take(shown.width as usize).enumerate() {
            for (channel, value) in (0..).zip(pixel) {
                let channel = if spec.order == ChannelOrder::Bgr { 2 - channel } else { channel };
                *value = sample(column as u32, row as u32, channel);
            }
        }
    }
    InputImage { spec, data, scale, frame }
}
