//! Object pool: values that serve one call at a time each.

use parking_lot::{Condvar, Mutex};

/// As many calls at a time as there are things; more wait. A thing that a call panicked in is not
/// used again.
pub(super) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    came_back: Condvar,
}

impl<T> Pool<T> {
    pub(super) fn new(things: Vec<T>) -> Self {
        Self { idle: Mutex::new(things), came_back: Condvar::new() }
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut thing = {
            let mut idle = self.idle.lock();
            loop {
                match idle.pop() {
                    Some(thing) => break thing,
                    None => self.came_back.wait(&mut idle),
                }
            }
        };
        let result = work(&mut thing);
        self.idle.lock().push(thing);
        self.came_back.notify_one();
        result
    }

    /// Calls `work` with all that serve nobody.
    pub(super) fn each_idle(&self, work: impl FnMut(&mut T)) {
        self.idle.lock().iter_mut().for_each(work);
    }
}
