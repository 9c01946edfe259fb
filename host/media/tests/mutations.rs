//! Covers: damaged and hostile media. Files of many kinds with bytes changed, removed or doubled
//! end in frames, in an error with a sentence, or in both; never in a panic, a crash or an endless
//! loop. Regressions are in `tests/corpus`. `cargo xtask fuzz` tries more: environment variables
//! give the number for each kind (`OCELLUS_MUTATIONS`), the seed (`OCELLUS_MUTATIONS_SEED`), and
//! the file to which each is written before it is tried (`OCELLUS_MUTATIONS_CASE`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::Media;
use ocellus_media::{Decoder, Input, Interrupt, Location};

/// Knuth's linear congruential generator: the same mutations in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

fn mutated(whole: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    // Headers are small, and more sensitive.
    let end = if numbers.below(2) == 0 { bytes.len().min(2048) } else { bytes.len() };
    for _ in 0..=numbers.below(8) {
        let at = numbers.below(end).min(bytes.len() - 1);
        match numbers.below(5) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = [0, 0xff, 0x7f, 0x80][numbers.below(4)],
            2 => drop(bytes.drain(at..(at + 1 + numbers.below(64)).min(bytes.len() - 1).max(at))),
            3 => {
                let part = bytes[at..(at + 1 + numbers.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.truncate(at.max(16)),
        }
    }
    bytes
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap())
}

fn try_to_decode(bytes: Vec<u8>, what: &str) {
    if let Some(case) = std::env::var_os("OCELLUS_MUTATIONS_CASE") {
        std::fs::write(case, &bytes).unwrap();
    }
    let input = Input { threads: 1, ..Input::new(Location::Memory(bytes.into())) };
    let Ok(mut decoder) = Decoder::open(&input, &Interrupt::new()) else { return };
    // A damaged time stamp may multiply the frames, within limits.
    let mut frames = 0;
    while let Ok(Some(frame)) = decoder.next_frame() {
        frames += 1;
        assert!(frames < 10_000, "{what}");
        assert!(frame.time().is_finite() && frame.size().width > 0, "{what}");
        if frames < 3 {
            frame.jpeg(None, Some(64), 80).unwrap();
        }
    }
    assert!(decoder.length().is_none_or(f64::is_finite), "{what}");
}

#[test]
fn what_was_found_once_is_never_found_again() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in std::fs::read_dir(corpus).into_iter().flatten() {
        let path = entry.unwrap().path();
        try_to_decode(std::fs::read(&path).unwrap(), &path.display().to_string());
    }
}

#[test]
fn whatever_the_bytes_are_decoding_ends() {
    let (count, seed) = (number("OCELLUS_MUTATIONS").unwrap_or(12), number("OCELLUS_MUTATIONS_SEED").unwrap_or(0));
    let media = Media::new();
    let clip = "-f lavfi -i testsrc2=s=96x64:r=25:d=0.5 -pix_fmt yuv420p";
    for (name, codec) in [
        ("clip.mp4", ""),
        ("clip.mkv", ""),
        ("clip.ts", "-c:v libx264"),
        ("clip.avi", ""),
        ("clip.flv", "-c:v libx264"),
        ("clip.wmv", ""),
        ("clip.webm", "-deadline realtime -cpu-used 8"),
        ("clip.mpg", ""),
        ("hevc.mp4", "-c:v libx265 -x265-params log-level=none"),
        ("clip.jpg", "-frames:v 1"),
        ("clip.png", "-frames:v 1"),
        ("clip.webp", "-frames:v 1"),
        ("clip.gif", ""),
    ] {
        let whole = std::fs::read(media.make(&format!("{clip} {codec}"), name)).unwrap();
        let mut numbers = Numbers(seed ^ (name.len() as u64 * 7919));
        for n in 0..count {
            try_to_decode(mutated(&whole, &mut numbers), &format!("{name}, mutation {n}, seed {seed}"));
        }
    }
}
