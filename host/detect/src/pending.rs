//! Pending value: computed on another thread while callers wait for it.
//!
//! Networks take a second to load, and minutes where a GPU compiles its kernels for the first time;
//! the server answers meanwhile. A value is set once, by its [`Promise`]; dropping the promise sets
//! the default, so that no caller waits forever.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// Interval at which a waiting caller checks for cancellation.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A value that is computed elsewhere.
pub(crate) struct Pending<T> {
    value: OnceLock<T>,
    /// Held while the value is set, so that no caller misses the notification.
    lock: Mutex<()>,
    set: Condvar,
}

/// The obligation to set a [`Pending`] value.
pub(crate) struct Promise<T: Default>(Arc<Pending<T>>);

impl<T: Default> Promise<T> {
    pub(crate) fn keep(self, value: T) {
        self.0.fill(value);
    }
}

impl<T: Default> Drop for Promise<T> {
    fn drop(&mut self) {
        // Without effect after `keep`.
        self.0.fill(T::default());
    }
}

impl<T: Default> Pending<T> {
    /// A value, and the promise to set it.
    pub(crate) fn promised() -> (Arc<Self>, Promise<T>) {
        let pending = Arc::new(Self { value: OnceLock::new(), lock: Mutex::new(()), set: Condvar::new() });
        (Arc::clone(&pending), Promise(pending))
    }

    /// Sets the value, unless it is set.
    fn fill(&self, value: T) {
        let _guard = self.lock.lock();
        let _ = self.value.set(value);
        self.set.notify_all();
    }

    /// `None` until the value is set.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Blocks until the value is set, or `cancelled` returns true; `None` then.
    pub(crate) fn wait_unless(&self, cancelled: impl Fn() -> bool) -> Option<&T> {
        let mut guard = self.lock.lock();
        loop {
            if let Some(value) = self.value.get() {
                return Some(value);
            }
            if cancelled() {
                return None;
            }
            self.set.wait_for(&mut guard, POLL_INTERVAL);
        }
    }

    /// Blocks until the value is set.
    pub(crate) fn wait(&self) -> &T {
        loop {
            if let Some(value) = self.wait_unless(|| false) {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn all_waiting_callers_get_the_value() {
        let (pending, promise) = Pending::promised();
        thread::scope(|scope| {
            let waiting = [scope.spawn(|| *pending.wait()), scope.spawn(|| *pending.wait())];
            promise.keep(1);
            waiting.into_iter().for_each(|w| assert_eq!(w.join().unwrap(), 1));
        });
        assert_eq!(pending.get(), Some(&1));
    }

    #[test]
    fn a_dropped_promise_sets_the_default() {
        let (pending, promise) = Pending::<Vec<u8>>::promised();
        assert!(pending.get().is_none());
        drop(promise);
        assert!(pending.wait().is_empty());
    }

    #[test]
    fn waiting_can_be_cancelled() {
        let ((pending, _promise), cancelled) = (Pending::<u8>::promised(), AtomicBool::new(false));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pending.wait_unless(|| cancelled.load(Ordering::SeqCst)).is_none());
            cancelled.store(true, Ordering::SeqCst);
            assert!(waiting.join().unwrap());
        });
    }
}
