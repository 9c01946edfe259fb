//! Decoder program, the one that is in force, and its resource limits.

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use super::protocol::DecoderFault;

/// The program of decoder processes, which calls [`serve_decoder`](crate::serve_decoder).
#[derive(Clone, Debug)]
pub struct DecoderProgram {
    /// Its path.
    pub path: PathBuf,
    /// Its arguments, followed by `--parent PID --memory-bytes N`.
    pub arguments: Vec<String>,
    /// Its environment, beside `LD_LIBRARY_PATH`, which is inherited.
    pub environment: Vec<(String, String)>,
    /// Resource limits of a child.
    pub limits: DecoderLimits,
    /// For tests.
    #[doc(hidden)]
    pub fault: Option<DecoderFault>,
}

static IN_FORCE: OnceLock<DecoderProgram> = OnceLock::new();

/// Makes it the program of this process. Only the first call has an effect.
pub(super) fn put_in_force(program: DecoderProgram) {
    let _ = IN_FORCE.set(program);
}

/// The program of this process; `None`, where it decodes itself.
pub(crate) fn in_force() -> Option<&'static DecoderProgram> {
    IN_FORCE.get()
}

/// Resource limits of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Private memory, with all frames that are kept; shared memory for pictures is not included.
    pub memory_bytes: u64,
    /// Time without progress after which it is killed. Waiting for bytes of a URL does not count;
    /// for a camera half a minute is added, in which the child reports a silent camera itself.
    pub patience: Duration,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, patience: Duration::from_secs(30) }
    }
}
