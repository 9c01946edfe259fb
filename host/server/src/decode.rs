//! `ocellus decode`: what the server starts for each video that it decodes. Not for people.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use ocellus_media::{DecoderFault, DecoderLimits, DecoderProgram};

use crate::compile::{environment, own_path};

/// The arguments that [`ocellus_media::serve_decoder`] has a meaning for.
#[derive(Args, Debug)]
pub(crate) struct DecodeArguments {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    memory_bytes: u64,
}

/// This program, as the one that decodes. `fault` is for tests.
pub(crate) fn program(limits: DecoderLimits, fault: Option<DecoderFault>) -> Result<DecoderProgram> {
    let (arguments, environment) = (vec!["decode".into()], environment());
    Ok(DecoderProgram { path: own_path()?, arguments, environment, limits, fault })
}

pub(crate) fn run(DecodeArguments { parent, memory_bytes }: &DecodeArguments) -> ExitCode {
    ocellus_media::serve_decoder(*parent, *memory_bytes)
}
