//! Requests that look at pictures or logs: screenshots, searches, replays. Each kind has a pool of
//! its own, and ends with its client.

use std::sync::Arc;

use ocellus_core::{Error, ErrorKind, Result, VideoId};
use ocellus_media::Interrupt;
use serde_json::Value;

use super::{Engine, Inner, stopping};
use crate::{
    job,
    replay::{self, Decision, Diff, Replay, Wanted},
    screenshot::{self, ScreenshotQuery},
    search::{self, Search, SearchQuery},
};

impl Engine {
    /// A JPEG of the video. Without wishes it is taken from the archive where it was made before,
    /// unless `retake`. Dropped, it is not taken any further.
    ///
    /// # Errors
    /// `NotFound`, also where the source shows no frame; `Unavailable` where too many are being
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
            let input = job::input(&inner.archive, &video, &inner.config.network)?;
            let bytes = screenshot::take(&input, &video.stream_settings, &query, &interrupt).map_err(none_to_show)?;
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

    /// The objects that look most like what `picture` shows: JPEG, PNG, or whatever else FFmpeg
    /// reads a frame of.
    ///
    /// # Errors
    /// `BadParam` where the picture shows nothing that can be looked for; `Unavailable` where too
    /// many searches wait.
    pub async fn search(&self, picture: Vec<u8>, query: SearchQuery) -> Result<Search> {
        let inner = Arc::clone(&self.0);
        let search = self.0.searches.run(move || {
            if let Some(video) = query.video {
                inner.video(video)?;
            }
            let look = {
                // One picture at a time is in memory as pixels; the detectors take one at a time
                // anyway.
                let _turn = inner.looking.lock();
                search::look(&inner.detectors, &inner.embedders, picture.into(), &query)?
            };
            look.find(&inner.archive, &inner.embedders, &query)
        });
        tokio::select! {
            found = search => found,
            () = self.0.closing.cancelled() => Err(stopping()),
        }
    }

    /// Goes through the log of a video's last job once more, with other settings or plugins, and
    /// compares. Dropped, it is not gone through any further.
    ///
    /// # Errors
    /// `Conflict` before the job is over, and where a plugin fails; `BadParam` where `changes` are
    /// not settings; `Unavailable` where too many wait.
    pub async fn replay(&self, id: VideoId, changes: Option<Value>) -> Result<(Replay, Diff)> {
        let schema = self.settings_schema()?;
        let unchanged = changes.is_none();
        let again = move |inner: &Inner, interrupt: &Interrupt| {
            let mut video = inner.video(id)?;
            inner.endings.lay_over(&mut video);
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
        self.look_back(again).await.map_err(|error| if unchanged { of_the_job(error) } else { error })
    }

    /// What went no further in a video's last job; see [`Engine::replay`].
    pub async fn decisions(&self, id: VideoId, wanted: Wanted, limit: usize) -> Result<Vec<Decision>> {
        self.look_back(move |inner, interrupt| {
            inner.video(id)?;
            let job = inner.archive.stored_job(id)?;
            replay::decisions(&job, &inner.plugins, interrupt, &wanted, limit)
        })
        .await
        .map_err(of_the_job)
    }

    async fn look_back<R: Send + 'static>(
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
fn none_to_show(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Unavailable => error,
        _ => Error::not_found("Screenshot").because(error),
    }
}

/// Settings that the request does not carry are not its mistake.
fn of_the_job(error: Error) -> Error {
    match error.kind() {
        ErrorKind::BadParam => Error::new(ErrorKind::Conflict, error.public()).because(error),
        _ => error,
    }
}

/// Raises an interrupt when its request ends, however that happens.
struct RaisedAtEnd(Interrupt);

impl Drop for RaisedAtEnd {
    fn drop(&mut self) {
        self.0.raise();
    }
}
