//! Progress counter of a decoder, for its watchdog.

use std::sync::Arc;

/// Callback at each step of a decoder; none by default.
#[derive(Clone, Default)]
pub(crate) struct Steps(Option<Arc<dyn Fn() + Send + Sync>>);

impl Steps {
    pub(crate) fn new(count: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(count)))
    }

    pub(crate) fn count(&self) {
        if let Some(count) = &self.0 {
            count();
        }
    }
}
