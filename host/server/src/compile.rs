//! `ocellus compile-plugin`, a hidden sub-command: the process in which the server compiles one
//! component.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use ocellus_runtime::CompilerProgram;

/// Arguments of [`ocellus_runtime::compile`], which documents them.
#[derive(Args, Debug)]
pub(crate) struct CompileArguments {
    #[arg(long)]
    memory_bytes: u64,
    #[arg(long)]
    cpu_seconds: u64,
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    into: Option<PathBuf>,
}

/// The command that compiles a component: this program with `compile-plugin`.
pub(crate) fn program() -> Result<CompilerProgram> {
    Ok(CompilerProgram { path: own_path()?, arguments: vec!["compile-plugin".into()], environment: environment() })
}

/// The file of the program that runs.
pub(crate) fn own_path() -> Result<PathBuf> {
    // An upgrade may have replaced the file at this program's path, and a newer program does not
    // understand this one. On Linux `/proc/self/exe` is the program that runs.
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe().context("cannot find this program"),
    }
}

/// Environment of a child of this program whose memory is limited.
pub(crate) fn environment() -> Vec<(String, String)> {
    // Mimalloc reserves a GiB of address space at a time by default. In KiB.
    vec![("MIMALLOC_ARENA_RESERVE".into(), "65536".into())]
}

pub(crate) fn run(CompileArguments { memory_bytes, cpu_seconds, parent, into }: &CompileArguments) -> ExitCode {
    ocellus_runtime::compile(into.as_deref(), *parent, *memory_bytes, *cpu_seconds)
}
