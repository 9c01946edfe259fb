//! The `ocellus` program: arguments, configuration, wiring, sub-commands.
//!
//! Owns the process: its arguments, the signals that end it, and its exit status (0 success, 1
//! failure, 2 wrong arguments). Everything else lives in the crates below.

mod assets;
mod backup;
mod certificate;
mod check;
mod client;
mod compile;
mod config;
mod decode;
mod defaults;
mod descriptors;
mod documents;
mod import;
mod listen;
mod log;
mod memory;
mod plugin;
mod recent_log;
mod replay;
mod serve;
mod service_manager;
mod token;
mod token_command;

use std::{io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

// burn's CPU engine allocates and frees large tensors all the time, and glibc's allocator would
// return each to the system at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The release, and the commit that it was built from where that was known.
const VERSION: &str = match option_env!("OCELLUS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// A self-hosted server for video archives: finds the faces, bodies and vehicles in recordings and
/// posts them to the system you name.
#[derive(Debug, Parser)]
#[command(name = "ocellus", version = VERSION, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, for the life of the process")]
enum Command {
    /// Run the server.
    Serve(config::ServeArguments),
    /// Upload recordings to a running server, and have them processed.
    Add(client::add::AddArguments),
    /// List the videos that wait or are processed.
    Jobs(client::jobs::JobsArguments),
    /// Show a video.
    Show(client::show::ShowArguments),
    /// Copy a data folder into another folder, while the server runs; only what changed since the
    /// last backup there.
    Backup(backup::BackupArguments),
    /// Verify an archive folder; the server must not be running on it.
    Check(check::CheckArguments),
    /// Run the detections of a finished job through other settings or plugins, and print what would
    /// differ and why.
    Replay(replay::ReplayArguments),
    /// Add, list and revoke tokens for the API, also while the server runs.
    #[command(subcommand)]
    Token(token_command::TokenCommand),
    /// Create, build, inspect, test and benchmark plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print a script that completes commands in a shell.
    Completions(documents::CompletionsArguments),
    /// Print the manual, or write its pages.
    Man(documents::ManArguments),
    #[command(hide = true)]
    CompilePlugin(compile::CompileArguments),
    #[command(hide = true)]
    Decode(decode::DecodeArguments),
}

fn main() -> ExitCode {
    memory::set_up();
    let command = Arguments::parse().command;
    let serving = matches!(command, Command::Serve(_));
    let result = match command {
        Command::Serve(arguments) => serve::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Add(arguments) => client::add::run(&arguments),
        Command::Jobs(arguments) => client::jobs::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Show(arguments) => client::show::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Completions(arguments) => {
            documents::completions(Arguments::command(), &arguments).map(|()| ExitCode::SUCCESS)
        }
        Command::Man(arguments) => documents::man(Arguments::command(), &arguments).map(|()| ExitCode::SUCCESS),
        Command::Check(arguments) => check::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Token(command) => token_command::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Plugin(command) => plugin::run(&command),
        Command::CompilePlugin(arguments) => Ok(compile::run(&arguments)),
        Command::Decode(arguments) => Ok(decode::run(&arguments)),
    };
    result.unwrap_or_else(|error| {
        if !serving && error.chain().any(is_broken_pipe) {
            return ExitCode::SUCCESS;
        }
        // Standard error may be unwritable; the exit status reports the failure, too.
        let _ = writeln!(std::io::stderr(), "ocellus: {}", with_causes(&error));
        ExitCode::FAILURE
    })
}

/// Whether the reader closed the pipe: `ocellus plugin inspect … | head`.
fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = match error.downcast_ref::<std::io::Error>() {
        Some(error) => Some(error.kind()),
        None => error.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind),
    };
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

/// An error with its causes, without those that it names itself.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        said if said.ends_with(&cause) => text,
        _ => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_the_error_names_is_not_repeated() {
        let error = std::io::Error::other("no room");
        let store = ocellus_store::StoreError::Io { path: "a/lock".into(), source: error };
        let error = Err::<(), _>(store).context("cannot check a").unwrap_err();
        assert_eq!(with_causes(&error), "cannot check a: a/lock: no room");
    }

    #[test]
    fn a_closed_pipe_is_seen_through_json() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let error = anyhow::Error::from(serde_json::to_writer(Closed, &[1]).unwrap_err());
        assert!(error.chain().any(is_broken_pipe));
    }
}
