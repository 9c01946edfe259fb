//! `ocellus plugin`: what plugin authors need, in the program that they have.

mod test;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use ocellus_build::Kind;
use ocellus_runtime::{InstallError, Limits, PluginInfo, Plugins};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin: a crate that compiles at once, with all that it is written with.
    New {
        /// filter, tracker or router.
        kind: Kind,
        /// Its name: lower-case letters, digits and -.
        name: String,
        /// The folder to make. [default: NAME]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Compile a plugin to a component.
    Build {
        /// The plugin's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where to leave the component. [default: the plugin's folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Say what a component is: whether a server takes it, and what it says of itself.
    Inspect {
        /// The component.
        file: PathBuf,
    },
    /// Run a component in the server's own runtime over a recording's detections and print what it
    /// answers.
    Test(test::TestArguments),
    /// Say what a call costs, on this machine.
    Bench(test::BenchArguments),
}

pub(crate) fn run(command: &PluginCommand) -> Result<ExitCode> {
    // What plugins say themselves, and nothing of the runtime around them.
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
                "{} is begun in {}: cd there, then cargo test and ocellus plugin build",
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
            let (_, info, _) = load(file)?;
            serde_json::to_writer_pretty(&mut stdout, &info)?;
            writeln!(stdout)?;
            Ok(ExitCode::SUCCESS)
        }
        PluginCommand::Test(arguments) => test::run(arguments),
        PluginCommand::Bench(arguments) => test::bench(arguments),
    }
}

/// A registry that holds this component and nothing else, for as long as its folder is held.
fn load(file: &Path) -> Result<(Plugins, PluginInfo, TempDir)> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Of this process alone: no other user may have made it before.
    let folder =
        tempfile::Builder::new().prefix("ocellus-plugin-").tempdir().context("cannot make a temporary folder")?;
    let component = folder.path().join("plugin.wasm");
    std::fs::write(&component, bytes)?;
    let plugins = Plugins::open(folder.path(), Limits::default())?;
    let Some(info) = plugins.list().pop() else { bail!("{} cannot be loaded", file.display()) };
    if let ocellus_runtime::State::Refused(refusal) = &info.state {
        return Err(InstallError::from(refusal.clone())).with_context(|| format!("{} is no plugin", file.display()));
    }
    Ok((plugins, info, folder))
}
