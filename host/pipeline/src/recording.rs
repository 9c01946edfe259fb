//! Recording of the stream of a URL as the video's source file (`enable_recorder`, `record_audio`).
//!
//! Owns the file while the job writes it. The file becomes the source when the job has ended,
//! whatever its status, if it has any packet; dropped before that, it is removed.

use std::sync::Arc;

use ocellus_core::{Error, Result, VideoRecord};
use ocellus_media::{Decoder, Input, Interrupt, Location};
use ocellus_store::{Archive, Upload};
use parking_lot::Mutex;
use tracing::warn;

pub(crate) struct Recording {
    upload: Upload,
    audio: bool,
    /// Set by the decoding thread when it ends.
    outcome: Arc<Mutex<Option<ocellus_media::Recording>>>,
}

/// The part of a recording that a decoding thread ends.
pub(crate) struct RecordingHandle(Arc<Mutex<Option<ocellus_media::Recording>>>);

impl Recording {
    /// `None` where the video, with the fields of its job's spec, is not to be recorded, or has a
    /// file already.
    pub(crate) fn begin(archive: &Archive, video: &VideoRecord) -> Result<Option<Self>> {
        let settings = &video.stream_settings;
        if video.file_size.is_some() || !settings.enable_recorder || video.url.is_none() {
            return Ok(None);
        }
        let upload = archive.begin_upload(video.id)?;
        Ok(Some(Self { upload, audio: settings.record_audio, outcome: Arc::default() }))
    }

    /// Makes the decoder record from now on.
    pub(crate) fn attach(&self, decoder: &mut Decoder) -> Result<RecordingHandle> {
        decoder.record(self.upload.handle().map_err(Error::internal)?, self.audio);
        Ok(RecordingHandle(Arc::clone(&self.outcome)))
    }

    /// Makes the file the video's source.
    pub(crate) fn keep(self, archive: &Archive) -> Result<RecordingResult> {
        let Some(outcome) = self.outcome.lock().take() else { return Ok(RecordingResult::default()) };
        let problem = outcome.problem.map(|error| {
            let sentence = error.to_string();
            let error = Error::from(error);
            warn!(%error, "{error}");
            sentence
        });
        if outcome.packets == 0 {
            return Ok(RecordingResult { problem, ..RecordingResult::default() });
        }
        let record = self.upload.commit()?;
        let file = Input::new(Location::File(archive.source_path(record.id)));
        let length = ocellus_media::probe(&file, &Interrupt::new()).ok().and_then(|info| info.duration);
        Ok(RecordingResult { record: Some(record), length, problem })
    }
}

/// Result of a recording.
#[derive(Default)]
pub(crate) struct RecordingResult {
    /// The video's record, now that it has a file.
    pub record: Option<VideoRecord>,
    /// Length in seconds. A source that ended early may have declared more.
    pub length: Option<f64>,
    /// What went wrong, for the user.
    pub problem: Option<String>,
}

impl RecordingHandle {
    /// Ends the recording.
    pub(crate) fn take_from(&self, decoder: &mut Decoder) {
        *self.0.lock() = decoder.finish_recording();
    }
}
