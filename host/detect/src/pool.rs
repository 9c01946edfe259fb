//! Object pool: values that serve one call at a time.
//!
//! There are as many concurrent calls as values; more wait. A value whose call panicked does not
//! return to the pool.

use parking_lot::{Condvar, Mutex};

pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    returned: Condvar,
}

impl<T> Pool<T> {
    pub(crate) fn new(values: Vec<T>) -> Self {
        Self { idle: Mutex::new(values), returned: Condvar::new() }
    }

    /// Calls `work` with a value as soon as one is idle.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut value = {
            let mut idle = self.idle.lock();
            loop {
                match idle.pop() {
                    Some(value) => break value,
                    None => self.returned.wait(&mut idle),
                }
            }
        };
        let result = work(&mut value);
        self.idle.lock().push(value);
        self.returned.notify_one();
        result
    }

    /// Calls `work` with each idle value.
    pub(crate) fn each_idle(&self, work: impl FnMut(&mut T)) {
        self.idle.lock().iter_mut().for_each(work);
    }
}
