//! Shared types of Ocellus.
//!
//! Owns: the types of videos, frames, detections, tracks and objects; [`StreamSettings`] and the
//! JSON Schema that validates, completes and documents them; the kinds of [`Error`]; the [`Clock`]
//! and the [`CpuMeter`]. Does no I/O and has no heavy dependency, so that all other crates can use
//! these types without depending on each other.

#![warn(missing_docs)]

mod clock;
mod cluster;
mod cpu;
mod detection;
mod embedding;
mod error;
mod geometry;
mod ids;
mod image;
mod network;
mod object;
mod plugin_use;
mod settings;
mod video;

pub use clock::{Clock, ManualClock, SystemClock};
pub use cluster::Cluster;
pub use cpu::{CpuClock, CpuLaps, CpuMeter, Stage};
pub use detection::{Detection, FrameRecord, Landmarks, ScoreThresholds, TrackletId, Tracklets};
pub use embedding::squared_distance;
pub use error::{Error, ErrorKind, Result};
pub use geometry::{Point, Rect, Region, Size};
pub use ids::{JobId, ObjectId, ObjectType, TrackId, VideoId};
pub use image::{ChannelOrder, InputImage, InputSpec, RgbImage};
pub use jiff::Timestamp;
pub use network::{BadNetwork, Network, NetworkPolicy, NotAllowed, destinations};
pub use object::{BestShotType, Feature, ObjectRecord, ShotSummary, TrackPoint};
pub use plugin_use::{ComponentUse, PluginUse, ShadowUse};
pub use settings::{DetectorSettings, SettingsSchema, StreamSettings, VideoTransform, unknown_key};
pub use video::{Counts, Statistic, VideoRecord, VideoStatus};
