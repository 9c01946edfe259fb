//! The user's wish to end: Ctrl-C or SIGTERM.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;

/// Cheap to clone; all clones are one wish.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for the signals. At most once in a process.
    pub(crate) fn listen() -> Result<Self> {
        let stop = Self::default();
        let wish = stop.clone();
        ctrlc::set_handler(move || wish.0.store(true, Ordering::SeqCst))?;
        Ok(stop)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
