//! Delivery: the state of an object on its way to a router.
//!
//! Every object of a job whose spec names a router is a delivery. Its state is stored in
//! `objects.log` and `deliveries.log`: an object without a line in the latter is pending, otherwise
//! its last line counts.

use jiff::Timestamp;
use ocellus_core::ObjectId;
use serde::{Deserialize, Serialize};

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not attempted yet.
    Pending,
    /// Attempted without success, and attempted again later.
    Retrying,
    /// Accepted.
    Posted,
    /// Refused, or given up after too long; attempted again only at a user's request.
    Failed,
}

impl DeliveryState {
    /// Whether no further attempt follows by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Posted | Self::Failed)
    }
}

/// One object on its way to a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The object that is delivered.
    pub object: ObjectId,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was attempted.
    pub attempts: u32,
    /// HTTP status of the last response; `None` where the last attempt had none.
    pub last_status: Option<u16>,
    /// Why the last attempt failed; `None` where it did not.
    pub reason: Option<String>,
    /// When it is attempted again, while it is retried.
    pub next_try: Option<Timestamp>,
    /// When it was first attempted, or last restarted by a user.
    pub since: Option<Timestamp>,
}

impl Delivery {
    /// A delivery before its first attempt.
    pub fn pending(object: ObjectId) -> Self {
        Self {
            object,
            state: DeliveryState::Pending,
            attempts: 0,
            last_status: None,
            reason: None,
            next_try: None,
            since: None,
        }
    }
}
