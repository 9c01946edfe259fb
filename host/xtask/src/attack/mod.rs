//! Parts that `torture` and `load` share: a server of their own, recordings, receivers, and a note
//! of what went wrong.
//!
//! Everything listens on 127.0.0.1 and ends with the command. Only processes that were started
//! here are ever ended.

mod faults;
mod receiver;
mod recordings;
mod server;
mod stop;

pub(crate) use self::{
    faults::{Fault, FaultKind, Faults},
    receiver::{Behaviour, Posts, Receiver},
    recordings::{Ends, Recording, make as recordings},
    server::{Place, Served},
    stop::Stop,
};
