// Frames of the benchmark, for components and native code: boxes that move to the right, in rows.

pub const FRAMES: u64 = 5_000;
pub const SIZE: (u32, u32) = (1920, 1080);
pub const COUNTS: [usize; 3] = [1, 10, 100];
/// The filters and their settings; the tracker keeps its defaults.
pub const FILTERS: [(&str, &str); 3] =
    [("quality", r#"{"min": 0.42}"#), ("size", r#"{"min": 60}"#), ("roi", r#"{"roi": "1900x1000+0+0"}"#)];

/// Left, top, right, bottom.
pub fn boxes(frame: u64, count: usize) -> impl Iterator<Item = [f32; 4]> {
    (0..count).map(move |i| {
        let (left, top) = ((i % 16) as f32 * 110.0 + (frame % 40) as f32, (i / 16) as f32 * 110.0);
        [left, top, left + 80.0, top + 90.0]
    })
}

pub fn time(frame: u64) -> f64 {
    frame as f64 / 25.0
}

/// In microseconds. The median, which is robust against other load of the machine.
pub fn median_us(mut times: Vec<std::time::Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |t| t.as_secs_f64() * 1e6)
}
