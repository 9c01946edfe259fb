//! `/events/faces/`, `/events/bodies/`, `/events/cars/`: objects in the shape of the vendor's
//! events API, for its existing clients.

mod answer;
mod query;
pub(crate) mod routes;
mod shape;
