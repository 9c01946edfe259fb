//! Request of the user to end the command: Ctrl-C or SIGTERM.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Cheap to clone; all clones share one request.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Request>);

#[derive(Default)]
struct Request {
    made: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Handles the signals. At most once in a process.
    pub(crate) fn listen() -> Result<Self> {
        let stop = Self::default();
        let handled = stop.clone();
        ctrlc::set_handler(move || {
            *handled.made() = true;
            handled.0.changed.notify_all();
        })?;
        Ok(stop)
    }

    fn made(&self) -> MutexGuard<'_, bool> {
        self.0.made.lock()
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.made()
    }

    /// Waits for the request, for `time` at most; whether it came.
    pub(crate) fn within(&self, time: Duration) -> bool {
        let mut made = self.made();
        self.0.changed.wait_while_for(&mut made, |made| !*made, time);
        *made
    }
}
