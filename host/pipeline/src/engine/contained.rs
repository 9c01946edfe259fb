//! Containment of panics: a panic is a bug, but must not end a thread that other jobs need.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ocellus_core::{Error, Result};

/// Runs `work`; a panic in it becomes an `Internal` error. `what`: its name, for the log.
pub(super) fn contained<R>(what: &str, work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(what, &*panic)))
}

pub(super) fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("{what} panicked: {}", text.unwrap_or("without a message")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_for_the_log_only() {
        let error = contained("the work", || -> Result<()> { panic!("at {}", 5) }).unwrap_err();
        assert_eq!(error.public(), "Internal server error.");
        assert_eq!(error.to_string(), "Internal server error.: the work panicked: at 5");
    }
}
