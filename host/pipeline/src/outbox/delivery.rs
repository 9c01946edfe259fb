//! Dispatcher of attempts: begins those that are due, and records their results.

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;
use ocellus_core::{ErrorKind, ObjectId};
use ocellus_store::DeliveryState;
use tracing::{debug, error, info, warn};

use super::{
    attempt::{self, Outcome, attempt},
    schedule::{Change, HealthSignal, Ticket},
    state::Inner,
    wait::{MAX_OUTAGE_WAIT, backoff, until},
};

/// An attempt in flight. Settles its ticket when it is dropped, also by a panic of its task.
struct InFlight {
    outbox: Arc<Inner>,
    ticket: Ticket,
    result: AttemptResult,
}

/// Result of an attempt.
struct AttemptResult {
    /// `None` where the delivery has ended.
    next_try: Option<Timestamp>,
    signal: HealthSignal,
    reason: Option<String>,
}

/// Time of the next attempt after the server itself failed (its archive, or a panic): in 8 to 16 s.
fn after_local_failure(now: Timestamp) -> Timestamp {
    const AS_AFTER_ATTEMPTS: u32 = 6;
    backoff(now, AS_AFTER_ATTEMPTS, MAX_OUTAGE_WAIT)
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let AttemptResult { next_try, signal, reason } = &self.result;
        let (outbox, router) = (&self.outbox, &self.ticket.destination);
        let change = outbox.schedule.lock().settle(&self.ticket, *next_try, *signal, outbox.clock.now());
        outbox.settled.notify_all();
        outbox.changed.notify_one();
        match change {
            Some(Change::Down { waiting }) => {
                let reason = reason.as_deref().unwrap_or_default();
                warn!(
                    %router, waiting, reason,
                    "router {router} does not answer ({reason}); {waiting} objects wait for it and are tried again"
                );
            }
            Some(Change::Recovered { downtime, waiting }) => {
                let away_ms = downtime.as_millis() as u64;
                info!(
                    %router, waiting, away_ms,
                    "router {router} answers again, after {} s; {waiting} objects wait for it",
                    downtime.as_secs()
                );
            }
            None => {}
        }
    }
}

impl Inner {
    /// Begins attempts as they are due, until the server stops.
    pub(super) async fn dispatch(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let (tickets, next) = self.schedule.lock().take(now);
            for ticket in tickets {
                self.tasks.spawn(Arc::clone(&self).deliver(ticket));
            }
            let wait = next.map_or(MAX_OUTAGE_WAIT, |n| until(now, n).min(MAX_OUTAGE_WAIT));
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Makes one attempt, and settles its ticket.
    async fn deliver(self: Arc<Self>, ticket: Ticket) {
        let now = self.clock.now();
        let on_panic =
            AttemptResult { next_try: Some(after_local_failure(now)), signal: HealthSignal::NotSent, reason: None };
        let mut in_flight = InFlight { outbox: Arc::clone(&self), ticket, result: on_panic };
        let ticket = &in_flight.ticket;
        let outcome = tokio::select! {
            outcome = attempt(&self, ticket) => outcome,
            () = ticket.cancelled.cancelled() => Outcome::Interrupted,
            () = self.aborting.cancelled() => Outcome::Interrupted,
        };
        if matches!(outcome, Outcome::Interrupted) {
            in_flight.result.next_try = Some(now);
            return;
        }
        let id = ticket.id.clone();
        // The plugin's code and the disk block the thread.
        match tokio::task::spawn_blocking(move || self.record_result(&id, outcome)).await {
            Ok(result) => in_flight.result = result,
            Err(error) => {
                error!(
                    object = %in_flight.ticket.id, %error,
                    "the delivery of object {} was aborted: {error}",
                    in_flight.ticket.id
                )
            }
        }
    }

    /// Records the result of an attempt in the archive.
    fn record_result(&self, id: &ObjectId, outcome: Outcome) -> AttemptResult {
        let now = self.clock.now();
        let ended = AttemptResult { next_try: None, signal: HealthSignal::NotSent, reason: None };
        let (context, delivery, signal) = match outcome {
            Outcome::Gone | Outcome::Interrupted => return ended,
            Outcome::Recorded(next_try) => return AttemptResult { next_try, ..ended },
            // The archive is damaged: trying again helps only once an operator has repaired it.
            Outcome::ArchiveFailed(error) if error.kind() == ErrorKind::Conflict => {
                error!(object = %id, %error, "object {id} is not delivered: {error}");
                return ended;
            }
            Outcome::ArchiveFailed(error) => {
                warn!(object = %id, %error, "object {id} cannot be delivered yet: {error}");
                return AttemptResult { next_try: Some(after_local_failure(now)), ..ended };
            }
            Outcome::Tried { context, before, reply } => {
                let reply = attempt::interpret(self, &context, reply);
                let (delivery, signal) = attempt::next_state(before, reply, now, self.config.give_up_after);
                (context, delivery, signal)
            }
        };
        self.results.count(delivery.state);
        let reason = delivery.reason.as_deref().unwrap_or_default();
        match delivery.state {
            DeliveryState::Failed if !context.warned.swap(true, Ordering::Relaxed) => {
                warn!(
                    object = %id, attempts = delivery.attempts, reason,
                    "object {id} could not be delivered: {reason}; others of its video that fail are not logged"
                )
            }
            DeliveryState::Posted => debug!(object = %id, attempts = delivery.attempts, "object {id} was delivered"),
            _ => {
                debug!(
                    object = %id, attempts = delivery.attempts, reason,
                    "delivering object {id} failed ({reason}), trying again later"
                )
            }
        }
        if let Err(error) = context.job.record_delivery(&delivery) {
            error!(object = %id, %error, "the state of the delivery of object {id} cannot be written yet: {error}");
            let reason = delivery.reason.clone();
            self.unwritten.lock().insert(id.clone(), delivery);
            return AttemptResult { next_try: Some(after_local_failure(now)), signal, reason };
        }
        AttemptResult { next_try: delivery.next_try, signal, reason: delivery.reason }
    }
}
