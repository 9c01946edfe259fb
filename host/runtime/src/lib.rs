//! Plugin runtime: WebAssembly components that filter, track and route.
//!
//! Owns: loading components from folders, and reloading changed ones; checking them against the
//! contract in `wit/`; compiling them within limits, once; running their calls within limits;
//! validating their answers. No other crate knows wasmtime.
//!
//! Guarantees:
//! * A plugin that traps, spins, hoards memory or breaks the contract loses its session and causes
//!   a
//!   [`PluginError`] with plugin, digest, call and reason. It never affects the process or
//!   another session.
//! * The answers of a session depend only on the component, the settings and the calls so far:
//!   no clock, no randomness, canonical NaNs, no relaxed SIMD.
//! * Every answer is validated by the contract's rules: as many verdicts as items,
//!   ids that were never used before, text within its bounds.
//!
//! [`Plugins`] is the registry; [`Tracker`], [`Filter`] and [`Router`] are sessions. A session
//! keeps the component that it was opened with. [`TrackerSlot`] and [`FilterSlot`] are plugins in a
//! running job: a changed file takes over between two frames, and a fault is handled by the
//! [`FaultPolicy`] and leaves a [`Trace`]. A canary (`NAME.shadow.wasm`) gets the calls of the
//! plugin of that name, without effect.
//!
//! ```no_run
//! use ocellus_core::{Detection, ObjectType, Rect, Size};
//! use ocellus_runtime::{FrameInfo, Limits, Plugins, StreamInfo};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let plugins = Plugins::open("target/assets/plugins", Limits::default())?;
//! let size = Size { width: 1920, height: 1080 };
//! let stream = StreamInfo { object_type: ObjectType::face(), size, frame_rate: Some(25.0) };
//! let mut tracker = plugins.tracker_slot("simple_iou", &json!({"miss_interval": 0.5}), &stream)?;
//! for index in 0..100 {
//!     let rect = Rect::new(index as f32, 0.0, index as f32 + 80.0, 90.0);
//!     let appearance = vec![];
//!     let face = Detection { rect, score: 0.9, quality: 0.8, landmarks: None, appearance };
//!     let frame = FrameInfo { index, time: index as f64 / 25.0, size, cut: false };
//!     let update = tracker.update(&frame, &[face])?;
//!     println!("frame {index}: tracks {:?}, over {:?}", update.ids, update.closed);
//! }
//! println!("over {:?}", tracker.finish()?);
//! # Ok(())
//! # }
//! ```

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
pub use imports::{Pixels, PostPictures};
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
