//! Queries of pictures and logs: screenshots, searches, replays. Each kind has a thread pool, and a
//! query is cancelled when its client disconnects.

use std::sync::Arc;

use ocellus_core::{Error, ErrorKind, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_media::Interrupt;
use ocellus_store::Identity;
use serde_json::Value;

use super::{
    refusal::stopping,
    state::{Engine, Inner},
};
use crate::{
    analysis::Decision,
    named::{self, NamedAlike},
    replay::{self, DecisionQuery, Diff, Replay},
    screenshot::{self, ScreenshotQuery},
    search::{self, AlikeQuery, LOOKS_LIKE, LooksLike, PictureDetection, Reference, Search, SearchQuery},
    source,
    tracks::{self, TrackQuery, Tracks},
};

impl Engine {
    /// A JPEG of the video. The default query is answered from the archive where it was made
    /// before, unless `retake`. Dropping the future cancels it.
    ///
    /// # Errors
    /// `NotFound`, also where the source has no frame; `Unavailable` where too many are being
    /// taken.
    pub async fn screenshot(&self, id: VideoId, query: ScreenshotQuery, retake: bool) -> Result<Vec<u8>> {
        let plain = query == ScreenshotQuery::default();
        let kept = self.blocking(move |inner| {
            let video = inner.video(id)?;
            let wanted = plain && !retake;
            Ok((video, wanted.then(|| std::fs::read(inner.archive.screenshot_path(id)).ok()).flatten()))
        });
        let video = match kept.await? {
            (_, Some(bytes)) => return Ok(bytes),
            (video, None) => video,
        };
        let interrupt = Interrupt::new();
        let _raised = RaisedAtEnd(interrupt.clone());
        let inner = Arc::clone(&self.0);
        let taken = self.0.screenshots.run(move || {
            let input = source::input(&inner.archive, &video, &inner.config.network)?;
            let bytes = screenshot::take(&input, &video.stream_settings, &query, &interrupt).map_err(no_screenshot)?;
            if plain {
                inner.archive.save_screenshot(&video, &bytes)?;
            }
            Ok(bytes)
        });
        tokio::select! {
            taken = taken => taken,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }

    /// The objects most similar to the one in `picture`: a JPEG, a PNG, or any other file from
    /// which FFmpeg decodes a frame.
    ///
    /// # Errors
    /// `BadParam` where nothing is detected in the picture; `Unavailable` where too many searches
    /// wait.
    pub async fn search(&self, picture: Vec<u8>, query: SearchQuery) -> Result<Search> {
        let inner = Arc::clone(&self.0);
        let search = self.0.searches.run(move || {
            if let Some(video) = query.video {
                inner.video(video)?;
            }
            let target = {
                // One picture at a time is in memory as pixels; the detectors take one at a time
                // anyway.
                let _turn = inner.embedding.lock();
                search::embed(&inner.detectors, &inner.embedders, picture.into(), &query)?
            };
            target.find(&inner.archive, &inner.embedders, &query)
        });
        tokio::select! {
            found = search => found,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }

    /// All detections in a picture, of these types, or of all if `types` is empty. Each is kept for
    /// an hour, so that [`Engine::alike`] can compare objects with it.
    ///
    /// # Errors
    /// `BadParam` for a type without a detector, and for a file that is not a picture;
    /// `Unavailable` where too many searches wait.
    pub async fn detect(&self, picture: Vec<u8>, types: Vec<ObjectType>) -> Result<Vec<PictureDetection>> {
        let inner = Arc::clone(&self.0);
        let detect = self.0.searches.run(move || {
            let found = {
                let _turn = inner.embedding.lock();
                search::detect(&inner.detectors, &inner.embedders, picture.into(), &types)?
            };
            let now = inner.clock.now();
            let keep = |(detection, reference)| PictureDetection {
                id: inner.kept_detections.add(reference, now),
                ..detection
            };
            Ok(found.into_iter().map(keep).collect())
        });
        tokio::select! {
            found = detect => found,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }

    /// The 1000 objects most similar to a detection or another object, the most similar first, with
    /// their [similarity](crate::Similar::similarity).
    ///
    /// # Errors
    /// `BadParam` for a reference that does not exist, or cannot be compared with objects of the
    /// type; `Unavailable` where too many searches wait.
    pub async fn alike(&self, query: AlikeQuery) -> Result<Vec<(ObjectRecord, f32)>> {
        let inner = Arc::clone(&self.0);
        let search = self.0.searches.run(move || {
            let unknown = |what: &str| Error::bad_param(LOOKS_LIKE, what);
            let reference = match &query.looks_like {
                LooksLike::Detection(id) => inner
                    .kept_detections
                    .get(id, inner.clock.now())
                    .ok_or_else(|| unknown("There is no such detection: detections are kept for an hour."))?,
                LooksLike::Object(id) => {
                    let found = inner.archive.embedding(id)?;
                    let (embedder, vector) =
                        found.ok_or_else(|| unknown("There is no such object, or none that can be compared."))?;
                    Reference { object_type: id.object_type.clone(), embedder, vector: Some(vector) }
                }
            };
            reference.alike(&inner.archive, &inner.embedders, &query)
        });
        tokio::select! {
            found = search => found,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }

    /// For each identity without a name, the one with a name in another video that looks most like
    /// it, if they count as one. Reads an embedding of each, and of all with a name.
    ///
    /// # Errors
    /// `Internal` where the index fails.
    pub async fn named_alike(&self, identities: Vec<Identity>) -> Result<Vec<(Identity, Option<NamedAlike>)>> {
        self.blocking(move |inner| named::alike(&inner.archive, &inner.embedders, identities)).await
    }

    /// Replays the log of a video's last job with other settings or plugins, and compares the
    /// objects. Dropping the future cancels it.
    ///
    /// # Errors
    /// `Conflict` before the job is over, and where a plugin fails; `BadParam` where `changes` are
    /// not valid settings; `Unavailable` where too many wait.
    pub async fn replay(&self, id: VideoId, changes: Option<Value>) -> Result<(Replay, Diff)> {
        let schema = self.settings_schema()?;
        let unchanged = changes.is_none();
        let again = move |inner: &Inner, interrupt: &Interrupt| {
            let mut video = inner.video(id)?;
            inner.endings.overlay(&mut video);
            if video.status.is_enabled() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "The video is queued or being processed: replay it when that is over.",
                ));
            }
            let job = inner.archive.stored_job(id)?;
            let before = replay::settings_of(&job)?;
            let settings = changes.map_or(Ok(before.clone()), |changes| schema.merge(&before, &changes))?;
            let replay = replay::replay(&job, &settings, &inner.plugins, interrupt)?;
            let diff = replay::compare(&job, &replay, &settings, &inner.plugins, interrupt)?;
            Ok((replay, diff))
        };
        self.run_replay(again).await.map_err(|error| if unchanged { as_conflict(error) } else { error })
    }

    /// The decisions of a video's last job that match, at most `limit`. Errors as for
    /// [`Engine::replay`].
    pub async fn decisions(&self, id: VideoId, query: DecisionQuery, limit: usize) -> Result<Vec<Decision>> {
        self.run_replay(move |inner, interrupt| {
            inner.video(id)?;
            let job = inner.archive.stored_job(id)?;
            replay::decisions(&job, &inner.plugins, interrupt, &query, limit)
        })
        .await
        .map_err(as_conflict)
    }

    /// The boxes of tracks in a part of a video, while it is processed up to the last frame so far.
    /// A job that was resumed after a restart has none until it is over: the first request then
    /// makes them by a replay. Errors as for [`Engine::replay`].
    pub async fn tracks(&self, id: VideoId, query: TrackQuery) -> Result<Tracks> {
        let read = move |inner: &Inner| {
            let mut video = inner.video(id)?;
            inner.endings.overlay(&mut video);
            let job = inner.archive.stored_job(id)?;
            let is_over = !video.status.is_enabled() && job.detections()?.is_some();
            Ok((tracks::read(&inner.archive, &job, &query, is_over)?, is_over))
        };
        match self.blocking(read).await? {
            (Some(tracks), _) => return Ok(tracks),
            (None, false) => return Ok(Tracks::default()),
            (None, true) => {}
        }
        let make = move |inner: &Inner, interrupt: &Interrupt| {
            // Requests that wait here find the tracks made.
            let _turn = inner.making_tracks.lock();
            tracks::make(&inner.archive, &inner.archive.stored_job(id)?, &inner.plugins, interrupt)
        };
        self.run_replay(make).await.map_err(as_conflict)?;
        Ok(self.blocking(read).await?.0.unwrap_or_default())
    }

    async fn run_replay<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &Interrupt) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let interrupt = Interrupt::new();
        let _raised = RaisedAtEnd(interrupt.clone());
        let inner = Arc::clone(&self.0);
        tokio::select! {
            done = self.0.replays.run(move || work(&inner, &interrupt)) => done,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }
}

/// A source that cannot be decoded has no screenshot.
fn no_screenshot(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Unavailable => error,
        _ => Error::not_found("Screenshot").because(error),
    }
}

/// The job's settings are not parameters of the request: an error in them is a conflict.
fn as_conflict(error: Error) -> Error {
    match error.kind() {
        ErrorKind::BadParam => Error::new(ErrorKind::Conflict, error.public()).because(error),
        _ => error,
    }
}

/// Raises an interrupt when it is dropped, with its request.
struct RaisedAtEnd(Interrupt);

impl Drop for RaisedAtEnd {
    fn drop(&mut self) {
        self.0.raise();
    }
}
