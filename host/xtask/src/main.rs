//! `cargo xtask`: the commands of this repository, one file or folder for each.

#![allow(clippy::print_stderr, reason = "a command may panic if its progress cannot be printed")]

mod attack;
mod bench;
mod bless;
mod build;
mod children;
#[cfg(test)]
mod circles;
mod client;
mod clients;
mod demo;
mod dlib;
mod examples;
mod fetch;
mod fuzz;
mod load;
mod onnx;
mod package;
mod page;
mod plugins;
mod running;
mod setup;
mod shell;
mod stop;
mod system;
mod test;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, builds, demonstrates and tests Ocellus.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing: system packages, WebAssembly target, networks, sample recording.
    Setup,
    /// Build the server, the receiver and the plugins for release.
    Build {
        /// Only the plugins, including those of the tests.
        #[arg(long)]
        plugins_only: bool,
        /// Only the example plugins in Python and JavaScript; needs Python and Node.js.
        #[arg(long, conflicts_with = "plugins_only")]
        examples_only: bool,
    },
    /// Process a recording with a new server and receiver, and show progress and objects.
    Demo(demo::DemoArguments),
    /// Make the Debian package and the archive for other Linuxes, and process a recording with what
    /// each holds.
    Package(package::PackageArguments),
    /// Run every check: formatting, lints, plugins built from source, all tests.
    Test,
    /// Use the server by generated clients, schemathesis, the libraries of Standard Webhooks and of
    /// tus, and promtool.
    Clients,
    /// Run the benchmarks, each with what it is compared with.
    Bench(bench::BenchArguments),
    /// Kill a server repeatedly while clients use it, and verify that nothing is lost.
    Torture(torture::TortureArguments),
    /// Use a server with 200 clients beside 600 silent connections, receivers that never answer and
    /// a full disk.
    Load(load::LoadArguments),
    /// Try damaged recordings and the property tests of all parsers for some minutes.
    Fuzz(fuzz::FuzzArguments),
    /// Write the present output to the golden files.
    Bless,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::run(),
        Command::Build { examples_only: true, .. } => examples::build(),
        Command::Build { plugins_only, .. } => build::run(plugins_only),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::Test => test::run(),
        Command::Clients => clients::run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Torture(arguments) => torture::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Bless => bless::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
