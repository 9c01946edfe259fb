//! `ocellus check`: does the archive folder hold together?

use std::{path::PathBuf, process::ExitCode};

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

/// Prints each finding on a line of its own; fails when there was one that is still true at the end.
#[expect(clippy::print_stdout, reason = "findings are what the command is for")]
pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode> {
    let summary = ocellus_store::check(&arguments.data, arguments.rebuild, &mut |finding| println!("{finding}"))
        .with_context(|| format!("cannot check {}", arguments.data.display()))?;
    println!("{summary}");
    Ok(if summary.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
