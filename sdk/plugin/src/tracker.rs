//! Trackers: the trait, and its export as a component.

use std::{cell::RefCell, marker::PhantomData};

use serde::de::DeserializeOwned;

pub use crate::bindings::tracker::exports::ocellus::plugin::tracking::{State, Update};
use crate::{
    Detection, FrameInfo, Manifest, Stages, StreamInfo,
    bindings::{tracker::exports::ocellus::plugin::tracking, types},
};

/// One session of a tracker: one object type of one job. `tracker.wit` has the rules for ids.
///
/// A complete tracker, for scenes with one object:
///
/// ```
/// use ocellus_plugin::{Detection, FrameInfo, Manifest, State, StreamInfo, Tracker, Update};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Settings {}
///
/// /// Takes the best detection of each frame for the same object, until a cut.
/// #[derive(Default)]
/// struct Only {
///     /// Greatest id so far.
///     given: u64,
///     open: bool,
/// }
///
/// impl Tracker for Only {
///     type Settings = Settings;
///     const MANIFEST: Manifest = Manifest {
///         name: "only",
///         version: "1.0.0",
///         description: "Tracks a single object.",
///         ..Manifest::DEFAULT
///     };
///
///     fn open(_: Settings, _: StreamInfo) -> Result<Self, String> {
///         Ok(Self::default())
///     }
///
///     fn update(
///         &mut self,
///         frame: FrameInfo,
///         detections: Vec<Detection>,
///     ) -> Result<Update, String> {
///         let closed = if frame.cut { self.finish() } else { Vec::new() };
///         let scores = || detections.iter().map(|d| d.score).enumerate();
///         let best = scores().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(i, _)| i);
///         if best.is_some() && !self.open {
///             self.given += 1;
///             self.open = true;
///         }
///         let ids = scores().map(|(i, _)| (Some(i) == best).then_some(self.given)).collect();
///         Ok(Update { ids, closed })
///     }
///
///     fn finish(&mut self) -> Vec<u64> {
///         if std::mem::take(&mut self.open) { vec![self.given] } else { Vec::new() }
///     }
///
///     fn snapshot(&self) -> State {
///         let bytes = serde_json::to_vec(&(self.given, self.open)).unwrap_or_default();
///         State { schema_tag: "only/1".into(), bytes }
///     }
///
///     fn restore(&mut self, state: State) -> Result<(), String> {
///         let bytes = state.bytes_of("only/1")?;
///         (self.given, self.open) = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
///         Ok(())
///     }
/// }
///
/// ocellus_plugin::register!(Only: Tracker);
///
/// let mut seen = Only { given: 3, open: true };
/// let mut restored = Only::default();
/// restored.restore(seen.snapshot()).unwrap();
/// assert_eq!(restored.finish(), seen.finish());
/// ```
pub trait Tracker: Sized + 'static {
    /// Deserialized from JSON that fits the manifest's schema; give absent keys their defaults with
    /// `#[serde(default)]`.
    type Settings: DeserializeOwned;
    /// The description of the plugin, which the host reads before it opens a session.
    const MANIFEST: Manifest;

    /// Opens a session for one object type of one job.
    ///
    /// # Errors
    /// The text is shown to the user and fails the job.
    fn open(settings: Self::Settings, source: StreamInfo) -> Result<Self, String>;

    /// Returns an id (or none) for each detection, in the same order, and the closed tracks. Called
    /// for every frame, also without detections.
    ///
    /// # Errors
    /// The session ends as by a trap, with the text as the reason.
    fn update(&mut self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String>;

    /// Returns the tracks that are still open, after the last frame. The last call of a session.
    fn finish(&mut self) -> Vec<u64>;

    /// The complete state, with which another session continues exactly as this one would.
    fn snapshot(&self) -> State;

    /// Restores a state from [`Tracker::snapshot`] of an earlier session, possibly of an older
    /// build or with other settings.
    ///
    /// # Errors
    /// The state cannot be restored: the host keeps the earlier session, or continues without the
    /// state.
    fn restore(&mut self, state: State) -> Result<(), String>;
}

impl State {
    /// The bytes of a state whose format has this tag.
    ///
    /// # Errors
    /// It has another format; the reason is for [`Tracker::restore`].
    pub fn bytes_of(self, schema_tag: &str) -> Result<Vec<u8>, String> {
        if self.schema_tag != schema_tag {
            return Err(format!("the state is of the form {:?}, this build reads {schema_tag:?}", self.schema_tag));
        }
        Ok(self.bytes)
    }
}

#[doc(hidden)]
pub struct Exports<T>(PhantomData<T>);

#[doc(hidden)]
pub struct Session<T>(RefCell<T>);

impl<T: Tracker> tracking::Guest for Exports<T> {
    type Session = Session<T>;

    fn describe() -> types::Manifest {
        T::MANIFEST.with_stages(Stages::empty())
    }
}

impl<T: Tracker> tracking::GuestSession for Session<T> {
    fn open(settings: String, source: StreamInfo) -> Result<tracking::Session, String> {
        let tracker = T::open(crate::settings(&settings)?, source)?;
        Ok(tracking::Session::new(Self(RefCell::new(tracker))))
    }

    fn update(&self, frame: FrameInfo, detections: Vec<Detection>) -> Result<Update, String> {
        self.0.borrow_mut().update(frame, detections)
    }

    fn finish(&self) -> Vec<u64> {
        self.0.borrow_mut().finish()
    }

    fn snapshot(&self) -> State {
        self.0.borrow().snapshot()
    }

    fn restore(&self, state: State) -> Result<(), String> {
        self.0.borrow_mut().restore(state)
    }
}
