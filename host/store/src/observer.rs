//! Observer of an archive: a callback for everything that is written.

use std::{fmt, sync::Arc};

use ocellus_core::{ObjectRecord, VideoId};
use parking_lot::RwLock;

use crate::delivery::Delivery;

/// A write that readers see from now on.
#[derive(Clone, Copy, Debug)]
pub enum Written<'a> {
    /// The record of a video, new or changed.
    Video(VideoId),
    /// A video was deleted.
    Deleted(VideoId),
    /// An object that was not there before.
    Object(&'a ObjectRecord),
    /// A delivery, with its new state.
    Delivery(&'a Delivery),
}

type Observe = dyn Fn(Written<'_>) + Send + Sync;

/// The callback, if one is registered.
#[derive(Default)]
pub(crate) struct Observer(RwLock<Option<Arc<Observe>>>);

impl Observer {
    pub(crate) fn set(&self, observe: impl Fn(Written<'_>) + Send + Sync + 'static) {
        *self.0.write() = Some(Arc::new(observe));
    }

    pub(crate) fn tell(&self, written: Written<'_>) {
        if let Some(observe) = &*self.0.read() {
            observe(written);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer(..)")
    }
}
