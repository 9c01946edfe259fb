//! Progress of a decoder, for whoever ends one that makes none.

use std::sync::Arc;

/// Calls somebody who watches at each step; nobody by default.
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
