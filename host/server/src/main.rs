//! The `ocellus` program: arguments, configuration, wiring, sub-commands.
//!
//! Owns the process: its arguments, the signals that end it, and its exit status (0 success, 1
//! failure, 2 wrong arguments). Everything else lives in the crates below.

mod assets;
mod check;
mod compile;
mod config;
mod decode;
mod defaults;
mod descriptors;
mod log;
mod memory;
mod plugin;
mod replay;
mod serve;
mod token;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

// burn's CPU engine allocates and frees large tensors all the time, and glibc's allocator would
// return each to the system at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A self-hosted server for video archives: finds the faces, bodies and vehicles in recordings and
/// posts them to the system you name.
#[derive(Debug, Parser)]
#[command(name = "ocellus", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value, for the life of the process")]
enum Command {
    /// Run the server.
    Serve(config::ServeArguments),
    /// Verify an archive folder; the server must not be running on it.
    Check(check::CheckArguments),
    /// Run the detections of a finished job through other settings or plugins, and print what would
    /// differ and why.
    Replay(replay::ReplayArguments),
    /// Create, build, inspect, test and benchmark plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
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
        Command::Check(arguments) => check::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Plugin(command) => plugin::run(&command),
        Command::CompilePlugin(arguments) => Ok(compile::run(&arguments)),
        Command::Decode(arguments) => Ok(decode::run(&arguments)),
    };
    result.unwrap_or_else(|error| {
        // The reader closed the pipe: `ocellus plugin inspect … | head`.
        if !serving
            && error
                .chain()
                .any(|e| e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
        {
            return ExitCode::SUCCESS;
        }
        // Standard error may be unwritable; the exit status reports the failure, too.
        let _ = writeln!(std::io::stderr(), "ocellus: {error:#}");
        ExitCode::FAILURE
    })
}
