//! Plugin slots: a place in a job that a plugin fills, while sessions come and go in it.
//!
//! Guarantees: a newer component takes over between two frames, with the state of the one before,
//! or does not at all: it is opened beside the job, given the state, and shown the next frame; if
//! any of that fails the one before goes on, and has missed nothing. Track ids go on whatever
//! happens. A fault ends a session and is answered by the operator's [`FaultPolicy`]. A slot ends
//! with its job.
//!
//! | file | owns |
//! |---|---|
//! | `policy` | what follows from a fault |
//! | `supervisor` | what both kinds of slot share: successors, faults, candidates, usage |
//! | `tracker`, `filter` | the sessions of one plugin in one job |

mod filter;
mod policy;
mod supervisor;
mod tracker;

pub use self::{
    filter::FilterSlot,
    policy::{FaultPolicy, OnFault},
    tracker::TrackerSlot,
};
