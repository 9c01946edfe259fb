//! `ocellus add`: uploads recordings and has them processed.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::{
    body::FileBody,
    requests::{Client, ServerArguments, block_on, plain},
};

#[derive(Args, Debug)]
pub(crate) struct AddArguments {
    /// The recordings.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    server: ServerArguments,

    /// Name of the video. [default: the file's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Camera group of the videos.
    #[arg(long, value_name = "ID", default_value_t = 1, allow_negative_numbers = true)]
    camera_group: i64,

    /// Where objects are posted.
    #[arg(long, value_name = "URL")]
    router_url: Option<String>,

    /// JSON file with stream_settings.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Upload only.
    #[arg(long)]
    no_process: bool,

    /// Wait for the end of the jobs; the exit status is 1 where one did not complete.
    #[arg(long, conflicts_with = "no_process")]
    wait: bool,
}

/// Prints one line for each file: the id of its video, and the file.
pub(crate) fn run(arguments: &AddArguments) -> Result<ExitCode> {
    let client = arguments.server.client()?;
    let mut fields = Map::new();
    fields.insert("camera_group".into(), arguments.camera_group.into());
    if let Some(url) = &arguments.router_url {
        fields.insert("router_url".into(), url.as_str().into());
    }
    if let Some(path) = &arguments.settings {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let sent: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        fields.insert("stream_settings".into(), sent.get("stream_settings").cloned().unwrap_or(sent));
    }
    block_on(async {
        let mut ids = Vec::new();
        for path in &arguments.files {
            let name = arguments.name.clone().or_else(|| Some(path.file_name()?.to_string_lossy().into_owned()));
            fields.insert("name".into(), name.map(|name| name.chars().take(256).collect::<String>()).into());
            let id = add(&client, &fields, path, !arguments.no_process)
                .await
                .with_context(|| format!("cannot add {}", path.display()))?;
            writeln!(io::stdout(), "{id} {}", path.display())?;
            ids.push(id);
        }
        let mut all_completed = true;
        for id in ids.into_iter().filter(|_| arguments.wait) {
            all_completed &= completes(&client, id).await?;
        }
        Ok(if all_completed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Uploads one file; returns the id of its video.
async fn add(client: &Client, fields: &Map<String, Value>, path: &Path, process: bool) -> Result<u64> {
    // Checked before the video is created.
    let file = File::open(path)?;
    let found = file.metadata()?;
    anyhow::ensure!(found.is_file() && found.len() > 0, "it is not a file, or it is empty");
    let video = client.send(client.request(Method::POST, "/videos/").body(json!(fields).to_string())).await?;
    let id = video.get("id").and_then(Value::as_u64).context("the server's response has no id")?;
    let bar = bar(found.len(), "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
    bar.set_message(path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
    let body = Body::wrap(FileBody::new(file, found.len(), bar.clone()));
    let upload = client.request(Method::PUT, &format!("/videos/{id}/upload/source_file/"));
    let uploaded = client.send(upload.header(CONTENT_TYPE, "application/octet-stream").body(body)).await;
    bar.finish_and_clear();
    if let Err(error) = uploaded {
        // Without a source the video is useless.
        let _ = client.send(client.request(Method::DELETE, &format!("/videos/{id}/"))).await;
        return Err(error);
    }
    if process {
        client.send(client.request(Method::POST, &format!("/videos/{id}/process/"))).await?;
    }
    Ok(id)
}

/// Waits for the end of a job; returns whether it completed.
async fn completes(client: &Client, id: u64) -> Result<bool> {
    let bar = bar(1000, "video {msg} {bar:30} {percent} %");
    loop {
        let video = client.get(&format!("/videos/{id}/")).await?;
        let status = plain(video.pointer("/health_status/status").unwrap_or(&Value::Null));
        if let Some(progress) = video.get("progress").and_then(Value::as_f64) {
            bar.set_position((progress * 1000.0) as u64);
        }
        bar.set_message(format!("{id} {status}"));
        if !["AWAITING", "STARTING", "INPROGRESS"].contains(&status.as_str()) {
            bar.finish_and_clear();
            let error = plain(video.get("error").unwrap_or(&Value::Null));
            writeln!(io::stdout(), "{}", format!("{id} {status} {error}").trim_end())?;
            return Ok(status == "COMPLETED");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A bar on standard error, where that is a terminal.
fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
