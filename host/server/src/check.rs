//! `ocellus check`: verification of an archive folder, and rebuilding of its index.

use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// Folder that holds the archive.
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    data: PathBuf,

    /// Rebuild the index from the archive's folders.
    #[arg(long)]
    rebuild: bool,
}

/// Prints one line for each finding. Exits with failure when a finding was not repaired.
pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let data = &arguments.data;
    // Otherwise the error would be about a file inside, which would mislead.
    anyhow::ensure!(data.is_dir(), "{} is no folder", data.display());
    anyhow::ensure!(data.join("archive").is_dir(), "{} is no data folder: there is no archive in it", data.display());
    let mut printed = Ok(());
    let mut print = |line: &dyn Display| {
        if printed.is_ok() {
            printed = writeln!(io::stdout(), "{line}");
        }
    };
    let mut summary = ocellus_store::check(data, arguments.rebuild, &mut |finding| print(&finding))
        .with_context(|| format!("cannot check {}", data.display()))?;
    // As in a backup, where no server was cut off.
    let has_index = data.join("index").is_dir();
    summary.after_crash &= has_index;
    print(&summary);
    if !has_index {
        print(&"there is no index, as in a backup: the next start builds it");
    }
    match printed {
        // The reader closed the pipe (`| head`); the exit status still counts.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        printed => printed.context("cannot write to standard output")?,
    }
    Ok(if summary.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
