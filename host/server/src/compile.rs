//! `ocellus compile-plugin`: what the server starts for each component that it compiles. Not for
//! people.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use ocellus_runtime::CompilerProgram;

/// The arguments that [`ocellus_runtime::compile`] has a meaning for.
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

/// This program, as the one that compiles.
pub(crate) fn program() -> Result<CompilerProgram> {
    // A newer program may lie at its path by now, whose code would be for another engine: Linux
    // still has this one.
    let path = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe().context("cannot find this program")?,
    };
    // What is limited is address space, of which mimalloc takes a GiB at a time when it is not told
    // otherwise. In KiB.
    let environment = vec![("MIMALLOC_ARENA_RESERVE".into(), "65536".into())];
    Ok(CompilerProgram { path, arguments: vec!["compile-plugin".into()], environment })
}

pub(crate) fn run(CompileArguments { memory_bytes, cpu_seconds, parent, into }: &CompileArguments) -> ExitCode {
    ocellus_runtime::compile(into.as_deref(), *parent, *memory_bytes, *cpu_seconds)
}
