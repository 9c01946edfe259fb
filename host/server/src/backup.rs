//! `ocellus backup`: copies a data folder while a server works in it.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ocellus_core::{Clock, SystemClock};

#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    /// Folder of the backup: a new or empty one, or that of an earlier backup, of which only what
    /// changed is copied. It is a data folder: to restore, copy it and serve it.
    target: PathBuf,

    /// Folder that holds the archive; the server may be running on it.
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    data: PathBuf,
}

/// Exit status 1 where a video kept changing, so that its earlier backup was kept.
pub(crate) fn run(arguments: &BackupArguments) -> Result<ExitCode> {
    let BackupArguments { target, data } = arguments;
    anyhow::ensure!(data.join("archive").is_dir(), "{} is no data folder: there is no archive in it", data.display());
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} videos, {eta} left") {
        bar.set_style(style);
    }
    let mut on_video = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let summary = ocellus_store::backup(data, target, SystemClock.now(), &mut on_video)
        .with_context(|| format!("cannot back up {} to {}", data.display(), target.display()))?;
    bar.finish_and_clear();
    writeln!(
        io::stdout(),
        "videos: {}; {} files copied ({} bytes), {} unchanged; videos removed: {}",
        summary.videos,
        summary.copied_files,
        summary.copied_bytes,
        summary.unchanged_files,
        summary.removed_videos
    )?;
    for id in &summary.busy_videos {
        writeln!(
            io::stderr(),
            "ocellus: video {id} changed all the time and is as in the backup before; run it again"
        )?;
    }
    Ok(if summary.busy_videos.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
