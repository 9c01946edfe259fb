//! Test bench of `torture` and `load`: a server of their own, recordings, receivers, and the list
//! of violations.
//!
//! Everything listens on 127.0.0.1 and ends with the command. Only processes that were started
//! here are ever ended.

mod receiver;
mod recordings;
mod server;
mod violations;

pub(crate) use self::{
    receiver::{Behaviour, Posts, Receiver},
    recordings::{JobEnd, Recording, make as recordings},
    server::{Installation, LiveServer, program},
    violations::{Violation, ViolationKind, Violations},
};
