//! `ocellus jobs`: the videos that wait or are processed.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use serde_json::{Value, json};

use super::requests::{Client, ServerArguments, block_on, plain};

#[derive(Args, Debug)]
pub(crate) struct JobsArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// List all videos, the newest first.
    #[arg(long)]
    all: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &JobsArguments) -> Result<()> {
    let client = arguments.server.client()?;
    let videos = block_on(videos(&client, arguments.all))?;
    if arguments.json {
        writeln!(io::stdout(), "{:#}", json!(videos))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["ID", "NAME", "STATUS", "DONE", "FPS", "OBJECTS", "ERROR"]);
    for video in &videos {
        let of = |pointer: &str| video.pointer(pointer).unwrap_or(&Value::Null);
        let number = |pointer: &str| of(pointer).as_f64();
        let objects: f64 = ["/face_count", "/body_count", "/car_count"].iter().filter_map(|p| number(p)).sum();
        table.add_row([
            plain(of("/id")),
            plain(of("/name")),
            plain(of("/health_status/status")),
            number("/progress").map(|done| format!("{:.0} %", done * 100.0)).unwrap_or_default(),
            number("/health_status/statistic/processing_fps").map(|fps| format!("{fps:.1}")).unwrap_or_default(),
            objects.to_string(),
            plain(of("/error")),
        ]);
    }
    writeln!(io::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

/// All videos, or those that wait or are processed.
async fn videos(client: &Client, all: bool) -> Result<Vec<Value>> {
    let mut path = "/videos/?limit=1000&ordering=-id".to_owned();
    let mut found = Vec::new();
    loop {
        let mut page = client.get(&path).await?;
        if let Some(Value::Array(results)) = page.get_mut("results").map(Value::take) {
            let is = |video: &Value, flag: &str| video.get(flag) == Some(&Value::Bool(true));
            found.extend(results.into_iter().filter(|video| all || is(video, "active") || is(video, "queued")));
        }
        // The link may have another host than this client knows the server by.
        match page.get("next_page").and_then(Value::as_str).and_then(|link| link.split_once('?')) {
            Some((_, query)) => path = format!("/videos/?{query}"),
            None => return Ok(found),
        }
    }
}
