//! `ocellus decode`, a hidden sub-command: the process in which the server decodes one video.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use ocellus_media::{DecoderFault, DecoderLimits, DecoderProgram};

use serde::Deserialize;

use crate::compile::{environment, own_path};

/// The program itself cannot start with less, in bytes.
const LEAST_MEMORY: u64 = 256 << 20;

/// Where videos are decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IsolationChoice {
    /// Each in a process of its own.
    #[cfg_attr(target_os = "linux", default)]
    Process,
    /// In the server.
    #[cfg_attr(not(target_os = "linux"), default)]
    None,
}

/// Limits of a decoder with this memory, or with the default.
pub(crate) fn decoder_limits(memory_bytes: Option<u64>) -> DecoderLimits {
    let limits = DecoderLimits::default();
    DecoderLimits { memory_bytes: memory_bytes.map_or(limits.memory_bytes, |bytes| bytes.max(LEAST_MEMORY)), ..limits }
}

/// Arguments of [`ocellus_media::serve_decoder`], which documents them.
#[derive(Args, Debug)]
pub(crate) struct DecodeArguments {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    memory_bytes: u64,
}

/// The command that decodes a video: this program with `decode`. `fault` is for tests.
pub(crate) fn program(limits: DecoderLimits, fault: Option<DecoderFault>) -> Result<DecoderProgram> {
    let mut environment = environment();
    // Pictures of whole frames are rare and large: their pages return to the system at once.
    environment.push(("MIMALLOC_PURGE_DELAY".into(), "0".into()));
    Ok(DecoderProgram { path: own_path()?, arguments: vec!["decode".into()], environment, limits, fault })
}

pub(crate) fn run(DecodeArguments { parent, memory_bytes }: &DecodeArguments) -> ExitCode {
    ocellus_media::serve_decoder(*parent, *memory_bytes)
}
