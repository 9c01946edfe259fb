//! Program whose children decode, and what they may take.

use std::{path::PathBuf, time::Duration};

use super::protocol::DecoderFault;

/// The program that decodes, as [`serve_decoder`](crate::serve_decoder) does it.
#[derive(Clone, Debug)]
pub struct DecoderProgram {
    /// Where it is.
    pub path: PathBuf,
    /// Before those that are added: `--parent PID --memory-bytes N`.
    pub arguments: Vec<String>,
    /// All that it has beside the path of the system's libraries.
    pub environment: Vec<(String, String)>,
    /// What a child may take.
    pub limits: DecoderLimits,
    /// For tests.
    #[doc(hidden)]
    pub fault: Option<DecoderFault>,
}

/// What a child may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Memory of its own, with all frames that are kept; shared memory for pictures comes on top.
    pub memory_bytes: u64,
    /// So long it may do nothing, while it does not wait for bytes of a URL; half a minute longer
    /// where it waits for a camera, which it says by itself.
    pub patience: Duration,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, patience: Duration::from_secs(30) }
    }
}
