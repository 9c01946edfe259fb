//! `ocellus plugin`: the tools of plugin authors, without a checkout of the repository.

mod calls;
mod loading;
mod recording;
mod sample_picture;
mod test;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Subcommand;
use ocellus_build::Kind;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Create the crate of a new plugin, with the SDK that it needs; it compiles as it is.
    New {
        /// filter, tracker or router.
        kind: Kind,
        /// Name of the plugin: lower-case letters, digits and -.
        name: String,
        /// Folder to create. [default: NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Compile a plugin to a WebAssembly component.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Folder to write the component to. [default: the plugin's folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print a component's manifest, and whether a server accepts it.
    Inspect {
        /// The component.
        file: PathBuf,
    },
    /// Run a component in the server's runtime over the detections of a recording, and print its
    /// answers.
    Test(test::TestArguments),
    /// Measure the time of a component's calls on this machine.
    Bench(test::BenchArguments),
}

pub(crate) fn run(command: &PluginCommand) -> Result<ExitCode> {
    // Only lines that plugins log, none of the runtime.
    let lines = EnvFilter::new("off,ocellus_runtime::imports=debug");
    tracing_subscriber::fmt()
        .with_env_filter(lines)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
    let mut stdout = std::io::stdout().lock();
    match command {
        PluginCommand::New { kind, name, dir } => {
            let dir = dir.clone().unwrap_or_else(|| name.into());
            ocellus_build::begin(*kind, name, &dir)?;
            writeln!(
                stdout,
                "created {} in {}: cd there, then cargo test and ocellus plugin build",
                name,
                dir.display()
            )?;
            Ok(ExitCode::SUCCESS)
        }
        PluginCommand::Build { dir, out } => {
            for component in ocellus_build::build(dir, None, out.as_ref().unwrap_or(dir))? {
                let bytes = std::fs::metadata(&component)?.len();
                writeln!(stdout, "{} ({} kB)", component.display(), bytes / 1000)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        PluginCommand::Inspect { file } => {
            let (_, info, _) = loading::load(file)?;
            serde_json::to_writer_pretty(&mut stdout, &info)?;
            writeln!(stdout)?;
            Ok(ExitCode::SUCCESS)
        }
        PluginCommand::Test(arguments) => test::run(arguments),
        PluginCommand::Bench(arguments) => test::bench(arguments),
    }
}
