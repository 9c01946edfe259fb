//! Attempts in flight, and the slots that they hold.
//!
//! Guarantees: destinations that respond and those that are not known to have separate slots. An
//! attempt holds its slot for [`SLOT_TIME`]; then it becomes overdue and waits for its response in
//! a larger, bounded pool. If that pool is full and others wait, the oldest attempts that exceeded
//! their patience are abandoned.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{super::wait::later, destination::Destination};

/// Slots for destinations that respond.
pub(super) const RESPONDING: usize = 32;
/// Slots for the others, one for each destination.
pub(super) const PROBES: usize = 32;
/// Time for which an attempt holds a slot; a slower one continues in the pool of overdue attempts.
pub(super) const SLOT_TIME: Duration = Duration::from_millis(500);
/// Greatest number of attempts that wait for a response without a slot. Once its body was sent, an
/// attempt only costs a connection.
pub(super) const OVERDUE: usize = 256;
/// Greatest number of bytes of their unsent bodies.
pub(super) const OVERDUE_BYTES: u64 = 128 << 20;
/// Patience with an attempt while others have no slot, where the destination is not known to
/// respond...
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// ...and where it is: the default of `router_timeout_ms`.
pub(super) const RESPONDING_PATIENCE: Duration = Duration::from_secs(15);

/// Slot of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Responding,
    Probe,
    Overdue,
}

struct Attempt {
    destination: Destination,
    begun: Timestamp,
    slot: Slot,
    patience: Duration,
    /// Bytes of the request's body in memory.
    body_bytes: u64,
    abandoned: CancellationToken,
}

impl Attempt {
    fn slot_ends(&self) -> Timestamp {
        later(self.begun, SLOT_TIME)
    }

    fn patience_ends(&self) -> Timestamp {
        later(self.begun, self.patience)
    }
}

/// Attempts by their numbers, that is, by age.
#[derive(Default)]
pub(super) struct Attempts(BTreeMap<u64, Attempt>);

impl Attempts {
    /// Whether one more may begin.
    pub(super) fn has_room(&self, slot: Slot) -> bool {
        let slots = match slot {
            Slot::Responding => RESPONDING,
            Slot::Probe => PROBES,
            Slot::Overdue => OVERDUE,
        };
        self.0.values().filter(|a| a.slot == slot).count() < slots
    }

    /// Adds an attempt that begins now. The token is cancelled when others need its slot.
    pub(super) fn begin(
        &mut self,
        number: u64,
        destination: Destination,
        slot: Slot,
        now: Timestamp,
    ) -> CancellationToken {
        let abandoned = CancellationToken::new();
        let patience = if slot == Slot::Responding { RESPONDING_PATIENCE } else { PATIENCE };
        let attempt = Attempt { destination, begun: now, slot, patience, body_bytes: 0, abandoned: abandoned.clone() };
        self.0.insert(number, attempt);
        abandoned
    }

    /// Removes an attempt; returns when it began, or `None` if it was removed already.
    pub(super) fn end(&mut self, number: u64) -> Option<Timestamp> {
        self.0.remove(&number).map(|a| a.begun)
    }

    /// Sets the bytes of an attempt's body in memory.
    pub(super) fn set_body(&mut self, number: u64, bytes: u64) {
        if let Some(attempt) = self.0.get_mut(&number) {
            attempt.body_bytes = bytes;
        }
    }

    /// Reduces the patience with a destination that no longer responds to that with one that never
    /// did.
    pub(super) fn reduce_patience(&mut self, destination: &Destination) {
        for attempt in self.0.values_mut().filter(|a| a.destination == *destination) {
            attempt.patience = PATIENCE;
        }
    }

    /// Frees the slots of attempts that exceeded [`SLOT_TIME`], as long as the pool of overdue
    /// attempts has room.
    pub(super) fn free_slots(&mut self, now: Timestamp) {
        let (mut count, mut bytes) = self.overdue();
        for attempt in self.0.values_mut().filter(|a| a.slot != Slot::Overdue && a.slot_ends() <= now) {
            if count < OVERDUE && (bytes == 0 || bytes.saturating_add(attempt.body_bytes) <= OVERDUE_BYTES) {
                attempt.slot = Slot::Overdue;
                count += 1;
                bytes += attempt.body_bytes;
            }
        }
    }

    /// Makes room for `wanted` destinations without a slot: abandons that many of the oldest
    /// attempts, unless slots become free anyway. Returns when to call again; `None` where only the
    /// end of an attempt can help.
    pub(super) fn make_room(&self, wanted: usize, now: Timestamp) -> Option<Timestamp> {
        let has_slot = |a: &&Attempt| a.slot != Slot::Overdue;
        let stuck = self.0.values().filter(has_slot).filter(|a| a.slot_ends() <= now).count();
        let ending = self.0.values().filter(|a| a.abandoned.is_cancelled()).count();
        // If the pool is full by bytes and not by count, only ending an attempt with a body helps.
        let by_bytes = self.overdue().0 < OVERDUE;
        let old =
            |a: &&Attempt| !a.abandoned.is_cancelled() && a.patience_ends() <= now && (!by_bytes || a.body_bytes > 0);
        self.0.values().filter(old).take(wanted.min(stuck).saturating_sub(ending)).for_each(|a| a.abandoned.cancel());
        let slots = self.0.values().filter(has_slot).map(Attempt::slot_ends);
        let patience = self.0.values().filter(|a| !a.abandoned.is_cancelled()).map(Attempt::patience_ends);
        slots.chain(patience).filter(|end| *end > now).min()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Number of overdue attempts, and the bytes of their bodies in memory.
    fn overdue(&self) -> (usize, u64) {
        let overdue = self.0.values().filter(|a| a.slot == Slot::Overdue);
        overdue.fold((0, 0), |(count, bytes), a| (count + 1, bytes + a.body_bytes))
    }
}
