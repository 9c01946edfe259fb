//! A delivery as the API shows it.

use ocellus_store::{Delivery, DeliveryState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::time;

/// The names of [`DeliveryState`], for the OpenAPI document.
#[derive(ToSchema)]
#[schema(as = DeliveryState, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum State {
    Pending,
    Retrying,
    Posted,
    Failed,
}

/// One object on its way to the router.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryJson {
    /// The object's id; also the Idempotency-Key that it is sent under.
    #[schema(examples("6-1-face-3-0"))]
    id: String,
    /// `pending`: not tried yet. `retrying`: tried without success, and to be tried again.
    /// `posted`: accepted. `failed`: refused, or given up after too long.
    #[schema(value_type = State)]
    state: DeliveryState,
    attempts: u32,
    /// Status of the last response; null where the last attempt got none.
    #[schema(required)]
    last_status: Option<u16>,
    /// Why the last attempt failed.
    #[schema(required)]
    reason: Option<String>,
    /// When it is tried next: the later of its own backoff and the pause after its router did not
    /// answer. Never in the past. Null while it is being sent or waits for its turn behind others,
    /// and where it was posted or has failed.
    #[schema(required, format = DateTime)]
    next_try: Option<String>,
}

impl From<Delivery> for DeliveryJson {
    fn from(delivery: Delivery) -> Self {
        let Delivery { object, state, attempts, last_status, reason, next_try, since: _ } = delivery;
        Self { id: object.to_string(), state, attempts, last_status, reason, next_try: next_try.map(time::text) }
    }
}
