//! Cancellation and timeouts of decoders.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A flag that stops all decoders that were opened with it. Clones share the flag; once raised, it
/// stays raised.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    /// A flag that also counts as raising this one.
    outer: Option<Arc<AtomicBool>>,
}

impl Interrupt {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops running calls, and makes later ones fail with
    /// [`MediaError::Interrupted`](crate::MediaError::Interrupted).
    pub fn raise(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        let is_up = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        is_up(&self.flag) || self.outer.as_deref().is_some_and(is_up)
    }

    /// A child flag: raised with this one, but raising it does not raise this one.
    pub(crate) fn narrower(&self) -> Self {
        Self { flag: Arc::default(), outer: Some(Arc::clone(&self.flag)) }
    }
}

/// Timeout of a single read of a URL.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now_ms() -> u64 {
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Interrupt flag and deadline of a read, which FFmpeg polls while it waits.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    interrupt: Interrupt,
    /// In milliseconds since `EPOCH`; `None` for a local file, which has no timeout.
    deadline: Option<Arc<AtomicU64>>,
}

impl Watch {
    pub(crate) fn file(interrupt: &Interrupt) -> Self {
        Self { interrupt: interrupt.clone(), deadline: None }
    }

    pub(crate) fn network(interrupt: &Interrupt) -> Self {
        let watch = Self { interrupt: interrupt.clone(), deadline: Some(Arc::default()) };
        watch.rearm();
        watch
    }

    /// Restarts the deadline for a new read.
    pub(crate) fn rearm(&self) {
        if let Some(deadline) = &self.deadline {
            deadline.store(now_ms().saturating_add(PATIENCE.as_millis() as u64), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| now_ms() > deadline.load(Ordering::Relaxed))
    }
}
