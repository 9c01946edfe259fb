//! Plugins: WebAssembly components that filter, track and route.
//!
//! Owns: reading components from folders and again when a file changes; checking them against the
//! contract in `wit/`; compiling them within limits, once; running their calls under limits;
//! checking what they answer. Nothing else in the common knows wasmtime.
//!
//! Guarantees:
//! * A plugin that traps, spins, hoards memory or breaks the contract costs its session and gives a
//!   [`PluginError`] that says plugin, digest, call and reason. It never takes the process, or
//!   another session, with it.
//! * What a session answers follows from the component, the settings and the calls so far alone: no
//!   clock, no randomness, canonical NaNs, no relaxed SIMD.
//! * What a caller gets has passed the contract's rules: as many answers as questions, ids that
//!   were never used before, text within its bounds.
//!
//! A candidate (`NAME.shadow.wasm`) is shown what the plugin of that name is shown, without effect.
//! A fault leaves a [`Trace`].
//!
//! [`Plugins`] is the folders; [`Tracker`], [`Filter`] and [`Router`] are sessions. A session keeps
//! the component that it was opened with. [`TrackerSlot`] and [`FilterSlot`] are places in a
//! running job: a changed file takes over there between two frames, and what fails is answered by
//! the [`FaultPolicy`].

#![warn(missing_docs)]

mod bindings;
mod call;
mod child;
mod compile;
mod compiled;
mod convert;
mod digest;
mod engine;
mod error;
mod filter;
mod folders;
mod imports;
mod inspect;
mod limits;
mod plugin;
mod registry;
mod restart;
mod router;
mod sandbox;
mod shadow;
mod slot;
mod trace;
mod tracker;

pub use call::Call;
pub use child::{CompilerProgram, compile};
pub use digest::Digest;
pub use error::{Fault, InstallError, OpenError, PluginError, Refusal, RemoveError};
pub use filter::{Candidate, Filter, Moment, Object, Rejection, Stage, Verdict};
pub use folders::Origin;
pub use imports::Pixels;
pub use limits::{CompileLimits, Limits};
pub use plugin::Kind;
pub use registry::{PluginInfo, Plugins, Role, Setup, State};
pub use router::{Body, Content, Outcome, Part, Picture, PictureInfo, Post, Request, Router};
pub use sandbox::Meters;
pub use slot::{FaultPolicy, FilterSlot, OnFault, TrackerSlot};
pub use trace::Trace;
pub use tracker::{Tracker, TrackerState, Update};

use ocellus_core::{ObjectType, Size};
use serde::{Deserialize, Serialize};

/// What a session is opened for: one object type of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    pub object_type: ObjectType,
    /// Of the frames at the start.
    pub size: Size,
    /// Frames per second, where the source declares it.
    pub frame_rate: Option<f64>,
}

/// Which frame a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameInfo {
    /// From 0, only growing.
    pub index: u64,
    /// Stream time in seconds, never running backwards.
    pub time: f64,
    pub size: Size,
    /// A hard cut lies between this frame and the one before.
    pub cut: bool,
}
