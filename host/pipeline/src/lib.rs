//! Processing pipeline: from a video's settings to a running job.
//!
//! Owns: the queue's workers, the stages of a job and the data between them, the choice of the best
//! shot, the measure of quality, and the delivery of objects. Guarantees:
//!
//! * Everything after the detection log ([`analysis`]) is a function of the log, the settings and
//!   the plugins. An interrupted job continues after its own log and makes the same objects under
//!   the same ids, or restarts under another number.
//! * A job runs by its [`job_spec`]; later changes of its video do not affect it.
//! * Objects are delivered, however long their router is unreachable; no job waits for that.
//! * Nothing is delivered before it is in the archive, and nothing is in the archive before the log
//!   that it is derived from.
//! * A job ends in a status; a fault in it ends that job only.
//!
//! ```text
//! decode ─▶ detect ─▶ log ─▶ filters ─▶ tracker ─▶ best shot ─▶ filters ─▶ archive ─▶ outbox
//! (thread)  (thread)  └────────────────── the job's own thread ──────────────────┘    (tasks)
//! ```
//!
//! Queues between the threads are bounded: a job holds a handful of frames, and a few for each open
//! track.

#![warn(missing_docs)]

mod align;
mod analysis;
mod appearance;
mod cut;
mod engine;
mod features;
mod frame_reader;
mod identity;
mod job;
mod job_spec;
mod kept_detections;
mod motion;
mod named;
mod outbox;
mod pace;
mod pictures;
mod progress;
mod quality;
mod recording;
mod replay;
mod retention;
mod screenshot;
mod search;
mod settings;
mod source;
mod tracklet;
mod tracks;

pub use analysis::{Decision, DecisionStage};
pub use engine::{
    Batch, DecodingReport, DiskUse, Engine, EngineConfig, EngineEvent, EngineMetrics, Entry, Health, Load,
    PluginMetrics, Running, Subscription,
};
pub use identity::{Point, agglomerate};
pub use named::NamedAlike;
pub use outbox::{Attempts, Deliveries, OutboxConfig, PictureUrls, RouterToken, SigningSecret};
pub use progress::Work;
pub use quality::quality_in;
pub use replay::{Change, DecisionQuery, Diff, Replay, UnmatchedObject, compare, decisions, replay, settings_of};
pub use retention::Retention;
pub use screenshot::ScreenshotQuery;
pub use search::{AlikeQuery, LooksLike, PictureDetection, Search, SearchQuery, Similar, embed_picture};
pub use settings::settings_schema;
pub use tracks::{TrackBoxes, TrackQuery, Tracks};
