//! `ocellus show`: one video, with its objects and deliveries in numbers.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::requests::{ServerArguments, block_on, plain};

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// The video's id.
    video: u64,

    #[command(flatten)]
    server: ServerArguments,

    /// Print JSON, as the API has it.
    #[arg(long)]
    json: bool,
}

/// Labels of the printed lines, and the JSON pointers to their values in a video.
const LINES: [(&str, &str); 17] = [
    ("name", "/name"),
    ("status", "/health_status/status"),
    ("error", "/error"),
    ("created", "/created_date"),
    ("processing began", "/processing_start_date"),
    ("url", "/url"),
    ("file, bytes", "/file_size"),
    ("length, seconds", "/source_len"),
    ("width", "/frame_width"),
    ("height", "/frame_height"),
    ("frames", "/health_status/statistic/frames_processed"),
    ("frames without motion", "/health_status/statistic/frames_imotion_skipped"),
    ("frames per second", "/health_status/statistic/processing_fps"),
    ("router", "/router_url"),
    ("faces", "/face_count"),
    ("bodies", "/body_count"),
    ("cars", "/car_count"),
];

pub(crate) fn run(arguments: &ShowArguments) -> Result<()> {
    let client = arguments.server.client()?;
    let video = block_on(client.get(&format!("/videos/{}/", arguments.video)))
        .with_context(|| format!("cannot show video {}", arguments.video))?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{video:#}")?;
        return Ok(());
    }
    writeln!(out, "{:<24}{}", "video", arguments.video)?;
    for (name, pointer) in LINES {
        match video.pointer(pointer) {
            None | Some(Value::Null) => {}
            Some(value) => writeln!(out, "{name:<24}{}", plain(value))?,
        }
    }
    if let Some(Value::Object(types)) = video.pointer("/health_status/statistic/objects") {
        for (object_type, counts) in types {
            let of = |key: &str| counts.get(key).and_then(Value::as_u64).unwrap_or(0);
            let (posted, failed, waiting) = (of("posted"), of("failed"), of("not_posted"));
            writeln!(out, "{object_type:<24}{posted} delivered, {failed} failed, {waiting} not delivered")?;
        }
    }
    Ok(())
}
