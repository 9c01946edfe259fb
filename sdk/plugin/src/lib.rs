//! Plugin SDK for filters, trackers and routers of Ocellus.
//!
//! A plugin is a crate with `crate-type = ["cdylib"]`, one type that implements [`Filter`],
//! [`Tracker`] or [`Router`], and one line that registers it. A complete filter:
//!
//! ```
//! use ocellus_plugin::{Candidate, Filter, FrameInfo, Manifest, Stages, StreamInfo, Verdict};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Settings {
//!     #[serde(default)]
//!     max: f32,
//! }
//!
//! /// Drops shots that are wider than `max` times their height.
//! struct Upright(Settings);
//!
//! impl Filter for Upright {
//!     type Settings = Settings;
//!     const MANIFEST: Manifest = Manifest {
//!         name: "upright",
//!         version: env!("CARGO_PKG_VERSION"),
//!         description: "Drops shots that are too wide for their height.",
//!         settings_schema: r#"{
//!             "type": "object",
//!             "additionalProperties": false,
//!             "properties": {"max": {"type": "number", "minimum": 0, "default": 0}}
//!         }"#,
//!         ..Manifest::DEFAULT
//!     };
//!     const STAGES: Stages = Stages::SHOTS;
//!
//!     fn open(settings: Settings, _: StreamInfo) -> Result<Self, String> {
//!         Ok(Self(settings))
//!     }
//!
//!     fn shots(&mut self, _: FrameInfo, candidates: Vec<Candidate>) -> Vec<Verdict> {
//!         let ratio = |c: &Candidate| c.detection.rect.width() / c.detection.rect.height();
//!         let verdict = |ratio| Verdict::reject_if(ratio > self.0.max, "max", ||
//! format!("{ratio:.2}"));
//!         candidates.iter().map(ratio).map(verdict).collect()
//!     }
//! }
//!
//! ocellus_plugin::register!(Upright: Filter);
//! # fn main() {}
//! ```
//!
//! The contract with the host (calls and their order, consequences of a trap) is in `wit/v0.1`. A
//! panic is a trap: it ends the session and is reported with the plugin's name.
//!
//! Plugins have no clock, no randomness and no files; iterate over `BTreeMap` and not `HashMap`, so
//! that a replay gives the same results.

#![warn(missing_docs)]

mod bindings;
mod facts;
mod filter;
mod host;
mod manifest;
mod router;
mod time;
mod tracker;

pub use bindings::types::{Attribute, Detection, FrameInfo, Landmarks, Point, Rect, Size, Stages, StreamInfo};
pub use facts::{Feature, facts, six_digits};
pub use filter::{Candidate, Filter, Moment, Object, Rejection, Verdict};
pub use host::{Crop, Level, PictureUnavailable, Unavailable, crop, log, picture, picture_url};
pub use manifest::{Capability, Limits, Manifest, OnFault};
pub use ocellus_tracking as tracking;
pub use router::{
    Bbox, BestShotType, Body, Content, Header, Outcome, Part, Picture, PictureInfo, Post, PostMoment, Request, Router,
    TrackPoint,
};
pub use time::rfc3339_millis;
pub use tracker::{State, Tracker, Update};

/// For the expansion of `register!`; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        bindings::{filter, router, tracker},
        filter::Exports as FilterExports,
        router::Exports as RouterExports,
        tracker::Exports as TrackerExports,
    };
}

/// Exports a type as this crate's plugin, once per crate: `register!(Upright: Filter)`, and
/// likewise for [`Tracker`] and [`Router`].
#[macro_export]
macro_rules! register {
    ($plugin:ty: Filter) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::__private::FilterExports<$plugin>;
    $crate::__private::filter::export_filter!(Exported with_types_in $crate::__private::filter);
        };
    };
    ($plugin:ty: Tracker) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::__private::TrackerExports<$plugin>;
    $crate::__private::tracker::export_tracker!(Exported with_types_in $crate::__private::tracker);
        };
    };
    ($plugin:ty: Router) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::__private::RouterExports<$plugin>;
    $crate::__private::router::export_router!(Exported with_types_in $crate::__private::router);
        };
    };
}

impl Rect {
    /// In pixels, above 0 for every box that the host passes.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// In pixels, above 0 for every box that the host passes.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// In pixels of the frame; may lie outside of it, as the box may.
    pub fn center(&self) -> Point {
        Point { x: (self.left + self.right) / 2.0, y: (self.top + self.bottom) / 2.0 }
    }
}

impl From<Rect> for tracking::Rect {
    fn from(r: Rect) -> Self {
        Self { left: r.left, top: r.top, right: r.right, bottom: r.bottom }
    }
}

/// Parses the JSON settings of a session.
fn settings<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|e| format!("settings: {e}"))
}
