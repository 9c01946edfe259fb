//! Networks that are loaded in the background, and those who wait for them.
//!
//! It is there once its [`Promise`] is kept, or dropped, which leaves the default; all who wait are
//! told. Networks take a second to load, and minutes where a GPU compiles its kernels for the first
//! time, which is no reason for a server not to answer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// How soon somebody who waits notices that it need not any more.
const GLANCE: Duration = Duration::from_millis(50);

pub(crate) struct Pending<T> {
    value: OnceLock<T>,
    /// Held while the value is put there, so that nobody begins to wait just then.
    turn: Mutex<()>,
    filled: Condvar,
}

/// The duty to make it ready.
pub(crate) struct Promise<T: Default>(Arc<Pending<T>>);

impl<T: Default> Promise<T> {
    pub(crate) fn keep(self, value: T) {
        self.0.fill(value);
    }
}

impl<T: Default> Drop for Promise<T> {
    fn drop(&mut self) {
        // Without effect where it was kept.
        self.0.fill(T::default());
    }
}

impl<T: Default> Pending<T> {
    pub(crate) fn promised() -> (Arc<Self>, Promise<T>) {
        let pending = Arc::new(Self { value: OnceLock::new(), turn: Mutex::new(()), filled: Condvar::new() });
        (Arc::clone(&pending), Promise(pending))
    }

    /// The first value stays.
    fn fill(&self, value: T) {
        let _turn = self.turn.lock();
        let _ = self.value.set(value);
        self.filled.notify_all();
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Blocks until it is there, or `enough` says that it is no longer wanted.
    pub(crate) fn wait_unless(&self, enough: impl Fn() -> bool) -> Option<&T> {
        let mut turn = self.turn.lock();
        loop {
            if let Some(value) = self.value.get() {
                return Some(value);
            }
            if enough() {
                return None;
            }
            self.filled.wait_for(&mut turn, GLANCE);
        }
    }

    /// Blocks until it is there.
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
    fn who_waits_is_told_and_the_first_value_stays() {
        let (pending, promise) = Pending::promised();
        thread::scope(|scope| {
            let waiting = [scope.spawn(|| *pending.wait()), scope.spawn(|| *pending.wait())];
            promise.keep(1);
            waiting.into_iter().for_each(|w| assert_eq!(w.join().unwrap(), 1));
        });
        assert_eq!(pending.get(), Some(&1));
    }

    #[test]
    fn a_broken_promise_leaves_the_default() {
        let (pending, promise) = Pending::<Vec<u8>>::promised();
        assert!(pending.get().is_none());
        drop(promise);
        assert!(pending.wait().is_empty());
    }

    #[test]
    fn waiting_can_be_given_up() {
        let ((pending, _promise), enough) = (Pending::<u8>::promised(), AtomicBool::new(false));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| pending.wait_unless(|| enough.load(Ordering::SeqCst)).is_none());
            enough.store(true, Ordering::SeqCst);
            assert!(waiting.join().unwrap());
        });
    }
}
