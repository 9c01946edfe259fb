//! Dispatcher of attempts: begins those that are due, and writes their results.

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;
use ocellus_core::{ErrorKind, ObjectId};
use ocellus_store::DeliveryState;
use tracing::{debug, error, info, warn};

use super::{
    attempt::{self, Outcome, attempt},
    schedule::{Change, Contact, Ticket},
    state::Inner,
    wait::{LONGEST_SILENCE, backoff, until},
};

/// An attempt in flight. Dropped, it settles its ticket, even if the task panicked.
struct InFlight {
    outbox: Arc<Inner>,
    ticket: Ticket,
    result: Concluded,
}

/// Result of an attempt.
struct Concluded {
    /// When to try again; `None` at the end.
    again: Option<Timestamp>,
    contact: Contact,
    reason: Option<String>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Concluded { again, contact, reason } = &self.result;
        let (outbox, router) = (&self.outbox, &self.ticket.destination);
        let change = outbox.schedule.lock().settle(&self.ticket, *again, *contact, outbox.clock.now());
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
            Some(Change::Back { away, waiting }) => {
                let away_ms = away.as_millis() as u64;
                info!(
                    %router, waiting, away_ms,
                    "router {router} answers again, after {} s; {waiting} objects wait for it",
                    away.as_secs()
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
            let wait = next.map_or(LONGEST_SILENCE, |n| until(now, n).min(LONGEST_SILENCE));
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Makes one attempt, and settles it.
    async fn deliver(self: Arc<Self>, ticket: Ticket) {
        let now = self.clock.now();
        let unfinished =
            Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), contact: Contact::None, reason: None };
        let mut in_flight = InFlight { outbox: Arc::clone(&self), ticket, result: unfinished };
        let ticket = &in_flight.ticket;
        let outcome = tokio::select! {
            outcome = attempt(&self, ticket) => outcome,
            () = ticket.cancelled.cancelled() => Outcome::Interrupted,
            () = self.halted.cancelled() => Outcome::Interrupted,
        };
        if matches!(outcome, Outcome::Interrupted) {
            in_flight.result.again = Some(now);
            return;
        }
        let id = ticket.id.clone();
        // The plugin and the disk block.
        match tokio::task::spawn_blocking(move || self.conclude(&id, outcome)).await {
            Ok(result) => in_flight.result = result,
            Err(error) => {
                error!(
                    object = %in_flight.ticket.id, %error,
                    "delivering object {} broke off: {error}",
                    in_flight.ticket.id
                )
            }
        }
    }

    /// Writes the result of an attempt.
    fn conclude(&self, id: &ObjectId, outcome: Outcome) -> Concluded {
        let now = self.clock.now();
        let over = Concluded { again: None, contact: Contact::None, reason: None };
        let (open, delivery, contact) = match outcome {
            Outcome::Gone | Outcome::Interrupted => return over,
            Outcome::Recorded(again) => return Concluded { again, ..over },
            // Nor will it be later, before an operator repairs it.
            Outcome::Unread(error) if error.kind() == ErrorKind::Conflict => {
                error!(object = %id, %error, "object {id} is not delivered: {error}");
                return over;
            }
            Outcome::Unread(error) => {
                warn!(object = %id, %error, "object {id} cannot be delivered yet: {error}");
                return Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), ..over };
            }
            Outcome::Tried { open, before, reply } => {
                let answer = attempt::understand(self, &open, reply);
                let (delivery, contact) = attempt::judge(before, answer, now, self.config.give_up_after);
                (open, delivery, contact)
            }
        };
        let reason = delivery.reason.as_deref().unwrap_or_default();
        match delivery.state {
            DeliveryState::Failed if !open.warned.swap(true, Ordering::Relaxed) => {
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
        if let Err(error) = open.job.record_delivery(&delivery) {
            error!(object = %id, %error, "how the delivery of object {id} stands cannot be written down yet: {error}");
            let reason = delivery.reason.clone();
            self.unwritten.lock().insert(id.clone(), delivery);
            return Concluded { again: Some(backoff(now, 6, LONGEST_SILENCE)), contact, reason };
        }
        Concluded { again: delivery.next_try, contact, reason: delivery.reason }
    }
}
