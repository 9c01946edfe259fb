//! Target `media`: opens and decodes recordings and pictures, and encodes frames as JPEG.

use ocellus_media::{Decoder, Input, Interrupt, Location};

/// Most frames to decode: a damaged time stamp may multiply one frame.
const FRAMES: usize = 200;

pub(crate) fn run(bytes: &[u8]) {
    let input = Input { threads: 1, ..Input::new(Location::Memory(bytes.into())) };
    decode(&input);
}

/// Checks the first frames of a source, if it has any.
pub(crate) fn decode(input: &Input) {
    let Ok(mut decoder) = Decoder::open(input, &Interrupt::new()) else { return };
    let mut last = f64::NEG_INFINITY;
    for number in 0..FRAMES {
        let Ok(Some(frame)) = decoder.next_frame() else { break };
        let (time, size) = (frame.time(), frame.size());
        assert!(time.is_finite() && time >= last, "frame {number} at {time} after {last}");
        assert!(size.width > 0 && size.height > 0, "frame {number} of {size:?}");
        last = time;
        if number < 2 {
            frame.jpeg(None, Some(64), 80).expect("a frame is a picture");
        }
    }
    assert!(decoder.length().is_none_or(|length| length.is_finite() && length >= 0.0), "{:?}", decoder.length());
}
