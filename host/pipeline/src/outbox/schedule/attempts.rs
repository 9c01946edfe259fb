//! Attempts under way, and the slots that they hold.
//!
//! Guarantees: destinations that answer and those that are not known to have slots of their own. An
//! attempt holds its slot for [`SLOT_TIME`]; then it becomes overdue and goes on waiting for its
//! response in a larger, bounded pool. Where that pool is full and others wait, the oldest attempts
//! that had their time are abandoned.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{super::wait::later, destination::Destination};

/// Slots for destinations that answered last.
pub(super) const ANSWERING: usize = 32;
/// Slots for the others, one for each destination.
pub(super) const PROBES: usize = 32;
/// How long an attempt holds a slot. A router that takes longer works, with a slot of the overdue.
pub(super) const SLOT_TIME: Duration = Duration::from_millis(500);
/// Attempts that wait for a response without a slot. Once its body was sent, one costs a
/// connection.
pub(super) const OVERDUE: usize = 256;
/// Memory for the bodies of these that were not sent yet.
pub(super) const OVERDUE_BYTES: u64 = 128 << 20;
/// How long an attempt may take while others have no room, where the destination is not known to
/// answer...
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// ...and where it is: the default of `router_timeout_ms`.
pub(super) const ANSWERING_PATIENCE: Duration = Duration::from_secs(15);

/// What an attempt occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Answering,
    Probe,
    Overdue,
}

struct Attempt {
    destination: Destination,
    begun: Timestamp,
    slot: Slot,
    patience: Duration,
    /// Of the request's body, as far as it is in memory.
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

/// By their numbers, which is by their age.
#[derive(Default)]
pub(super) struct Attempts(BTreeMap<u64, Attempt>);

impl Attempts {
    /// Whether one more may begin.
    pub(super) fn has_room(&self, slot: Slot) -> bool {
        let slots = match slot {
            Slot::Answering => ANSWERING,
            Slot::Probe => PROBES,
            Slot::Overdue => OVERDUE,
        };
        self.0.values().filter(|a| a.slot == slot).count() < slots
    }

    /// Puts down one that begins now. The token is cancelled when its place is wanted for others.
    pub(super) fn begin(
        &mut self,
        number: u64,
        destination: Destination,
        slot: Slot,
        now: Timestamp,
    ) -> CancellationToken {
        let abandoned = CancellationToken::new();
        let patience = if slot == Slot::Answering { ANSWERING_PATIENCE } else { PATIENCE };
        let attempt = Attempt { destination, begun: now, slot, patience, body_bytes: 0, abandoned: abandoned.clone() };
        self.0.insert(number, attempt);
        abandoned
    }

    /// When it began; `None` where it ended already.
    pub(super) fn end(&mut self, number: u64) -> Option<Timestamp> {
        self.0.remove(&number).map(|a| a.begun)
    }

    /// Says how much of an attempt's body is in memory.
    pub(super) fn set_body(&mut self, number: u64, bytes: u64) {
        if let Some(attempt) = self.0.get_mut(&number) {
            attempt.body_bytes = bytes;
        }
    }

    /// A destination that fell silent is waited for no longer than one that never answered.
    pub(super) fn lose_patience(&mut self, destination: &Destination) {
        for attempt in self.0.values_mut().filter(|a| a.destination == *destination) {
            attempt.patience = PATIENCE;
        }
    }

    /// Takes the slots of attempts that had them long enough, as far as there is room for the
    /// overdue.
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

    /// Where `wanted` destinations have no slot: abandons as many of the oldest attempts, if their
    /// slots could not be freed otherwise. When to look again; `None` where only the end of an
    /// attempt can help.
    pub(super) fn make_room(&self, wanted: usize, now: Timestamp) -> Option<Timestamp> {
        let has_slot = |a: &&Attempt| a.slot != Slot::Overdue;
        let stuck = self.0.values().filter(has_slot).filter(|a| a.slot_ends() <= now).count();
        let ending = self.0.values().filter(|a| a.abandoned.is_cancelled()).count();
        // Where the count of the overdue leaves room, only an attempt with a body makes more.
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

    /// How many there are of the overdue, and how much of their bodies is in memory.
    fn overdue(&self) -> (usize, u64) {
        let overdue = self.0.values().filter(|a| a.slot == Slot::Overdue);
        overdue.fold((0, 0), |(count, bytes), a| (count + 1, bytes + a.body_bytes))
    }
}
