//! The `ocellus` program: arguments, configuration, wiring, sub-commands.
//!
//! Owns the process: what it was asked to do, the signals that end it, and its exit status (0 done,
//! 1 failed, 2 wrong arguments). Everything else lives in the crates below it.

mod assets;
mod check;
mod compile;
mod config;
mod descriptors;
mod log;
mod memory;
mod plugin;
mod replay;
mod serve;
mod token;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

// burn's CPU engine makes and frees large tensors all the time: glibc's allocator gives each back
// to the system at once.
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
#[expect(clippy::large_enum_variant, reason = "there is one, for the life of the process")]
enum Command {
    /// Run the server.
    Serve(config::ServeArguments),
    /// Verify an archive folder; the server must not be running on it.
    Check(check::CheckArguments),
    /// Go through a finished job once more, with other settings or plugins: what would be
    /// different, and why.
    Replay(replay::ReplayArguments),
    /// Create, build, inspect, test and benchmark plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    #[command(hide = true)]
    CompilePlugin(compile::CompileArguments),
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
    };
    result.unwrap_or_else(|error| {
        // Whoever reads what is printed has seen enough: `ocellus plugin inspect … | head`.
        if !serving
            && error
                .chain()
                .any(|e| e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
        {
            return ExitCode::SUCCESS;
        }
        // The exit status says it, too, where standard error takes nothing.
        let _ = writeln!(std::io::stderr(), "ocellus: {error:#}");
        ExitCode::FAILURE
    })
}
