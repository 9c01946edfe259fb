//! Threads of a job and the queues between them.
//!
//! ```text
//! decode ──▶ detect ──▶ take
//! ```
//! Owns both threads: they have ended when [`run`] returns. Each stage ends by itself when the one
//! before it has, and at its next item when the one after it has. Guarantees: a failure or a panic
//! of a stage is never taken for the end of the source.

use std::{
    any::Any,
    ops::ControlFlow,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, ScopedJoinHandle},
};

use ocellus_core::{Error, Result};

/// Capacity of the queue between two stages.
pub(super) const QUEUE: usize = 1;

/// Why the stages ended before the source.
#[derive(Debug)]
pub(super) enum Stopped {
    /// One of them failed.
    Failed(Error),
    /// One of them panicked: a bug, which ends this job and no other.
    Panicked(Error),
}

/// Runs the stages in parallel until each has ended; returns the result of `decode`. `take` is
/// called on this thread for each item, of which up to `waiting` are queued before it; it stops the
/// stages by returning `Break`.
pub(super) fn run<A: Send, B: Send, R: Send>(
    waiting: usize,
    decode: impl FnOnce(&SyncSender<A>) -> R + Send,
    detect: impl FnOnce(&Receiver<A>, &SyncSender<B>) + Send,
    mut take: impl FnMut(B) -> Result<ControlFlow<()>>,
) -> Result<R, Stopped> {
    thread::scope(|scope| {
        let (to_detect, decoded) = sync_channel(QUEUE);
        let (to_take, detected) = sync_channel(waiting);
        let spawn = |e| Stopped::Failed(Error::internal(e));
        let decode = thread::Builder::new()
            .name("decode".into())
            .spawn_scoped(scope, move || decode(&to_detect))
            .map_err(spawn)?;
        let detect = thread::Builder::new()
            .name("detect".into())
            .spawn_scoped(scope, move || detect(&decoded, &to_take))
            .map_err(spawn)?;
        let taken = detected.iter().map(&mut take).find_map(|step| match step {
            Ok(ControlFlow::Continue(())) => None,
            Ok(ControlFlow::Break(())) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        // The other stages end at their next item.
        drop(detected);
        let (decoded, detected) = (join("decode", decode), join("detect", detect));
        taken.unwrap_or(Ok(())).map_err(Stopped::Failed)?;
        detected?;
        decoded
    })
}

fn join<R>(stage: &str, thread: ScopedJoinHandle<'_, R>) -> Result<R, Stopped> {
    thread.join().map_err(|panic| {
        Stopped::Panicked(Error::internal(format!("the stage {stage} panicked: {}", message(&*panic))))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn count_to(end: u32) -> impl FnOnce(&SyncSender<u32>) -> &'static str + Send {
        move |out| {
            let _ = (0..end).try_for_each(|n| out.send(n));
            "through"
        }
    }

    fn pass(items: &Receiver<u32>, out: &SyncSender<u32>) {
        let _ = items.iter().try_for_each(|n| out.send(n));
    }

    /// The items that were taken, and the result.
    fn ran(
        decode: impl FnOnce(&SyncSender<u32>) -> &'static str + Send,
        detect: impl FnOnce(&Receiver<u32>, &SyncSender<u32>) + Send,
        last: Option<u32>,
    ) -> (Vec<u32>, Result<&'static str, String>) {
        let seen = RefCell::new(Vec::new());
        let ended = run(2, decode, detect, |n| {
            seen.borrow_mut().push(n);
            Ok(if Some(n) == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        let ended = ended.map_err(|stopped| match stopped {
            Stopped::Panicked(error) => format!("{error}"),
            Stopped::Failed(error) => format!("failed: {error}"),
        });
        (seen.into_inner(), ended)
    }

    #[test]
    fn everything_comes_through_in_order() {
        assert_eq!(ran(count_to(100), pass, None), ((0..100).collect(), Ok("through")));
        assert_eq!(ran(count_to(0), pass, None), (vec![], Ok("through")));
    }

    #[test]
    fn the_last_stage_may_stop_the_others() {
        assert_eq!(ran(count_to(u32::MAX), pass, Some(4)), ((0..5).collect(), Ok("through")));
    }

    #[test]
    fn a_failure_of_the_last_stage_ends_the_others() {
        let failed = run(2, count_to(u32::MAX), pass, |n| {
            if n < 3 { Ok(ControlFlow::Continue(())) } else { Err(Error::internal("full")) }
        });
        assert!(matches!(failed, Err(Stopped::Failed(_))), "{failed:?}");
    }

    #[test]
    fn a_panic_of_the_decoder_is_not_the_end_of_the_source() {
        let decode = |out: &SyncSender<u32>| {
            let _ = (0..3).try_for_each(|n| out.send(n));
            panic!("frame {} is no frame", 3);
        };
        let (seen, ended) = ran(decode, pass, None);
        assert_eq!(seen, [0, 1, 2], "what came before it is taken");
        assert!(ended.as_ref().is_err_and(|e| e.contains("decode panicked: frame 3 is no frame")), "{ended:?}");
    }

    #[test]
    fn a_panic_of_a_detector_is_not_the_end_of_the_source() {
        let detect = |items: &Receiver<u32>, out: &SyncSender<u32>| {
            let _ = items.iter().take(2).try_for_each(|n| out.send(n));
            panic!("no picture");
        };
        let (seen, ended) = ran(count_to(u32::MAX), detect, None);
        assert_eq!(seen, [0, 1]);
        assert!(ended.as_ref().is_err_and(|e| e.contains("detect panicked: no picture")), "{ended:?}");
    }
}
