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
mod canary;
mod child;
mod compile;
mod compiled;
mod convert;
mod digest;
mod engine;
mod error;
mod filter;
mod folders;
mod history;
mod imports;
mod inspect;
mod kind;
mod limits;
mod plugin;
mod policy;
mod registry;
mod router;
mod sandbox;
mod slot;
mod store;
mod stream;
mod trace;
mod tracker;

pub use call::Call;
pub use child::{CompilerProgram, compile};
pub use digest::Digest;
pub use error::{Fault, InstallError, OpenError, PluginError, Refusal, RemoveError};
pub use filter::{Candidate, Filter, Moment, Object, Rejection, Stage, Verdict};
pub use folders::Origin;
pub use imports::Pixels;
pub use kind::Kind;
pub use limits::{CompileLimits, Limits};
pub use policy::{FaultPolicy, OnFault};
pub use registry::{PluginInfo, Plugins, Role, Setup, State};
pub use router::{Body, Content, Outcome, Part, Picture, PictureInfo, Post, Request, Router};
pub use sandbox::Meters;
pub use slot::{FilterSlot, TrackerSlot};
pub use stream::{FrameInfo, StreamInfo};
pub use trace::Trace;
pub use tracker::{Tracker, TrackerState, Update};
