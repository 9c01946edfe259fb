//! State of the engine, shared by requests and workers.

use std::{sync::Arc, thread};

use ocellus_core::{Clock, Error, ObjectType, Result, SettingsSchema, VideoId, VideoRecord};
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_runtime::Plugins;
use ocellus_store::Archive;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    config::EngineConfig, disk_use::SourceUse, ending::Endings, feed::Feed, jobs::Jobs, pool::Pool, totals::Totals,
};
use crate::{kept_detections::KeptDetections, outbox::Outbox};

/// Processes videos. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) archive: Archive,
    pub(super) detectors: Detectors,
    pub(super) embedders: Embedders,
    pub(super) classifiers: AttributeClassifiers,
    /// Held while a search embeds its picture.
    pub(super) embedding: Mutex<()>,
    /// Held while a request makes the file of a job's tracks.
    pub(super) making_tracks: Mutex<()>,
    pub(super) plugins: Plugins,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: EngineConfig,
    pub(super) outbox: Outbox,
    /// Runtime for name resolution.
    pub(super) tasks: tokio::runtime::Handle,
    pub(super) jobs: Arc<Jobs>,
    pub(super) endings: Arc<Endings>,
    pub(super) changes: Pool,
    pub(super) removals: Pool,
    pub(super) screenshots: Pool,
    pub(super) searches: Pool,
    /// Detections in pictures that clients sent.
    pub(super) kept_detections: KeptDetections,
    pub(super) replays: Pool,
    /// Cancelled once the server stops: requests that wait are refused, and no work begins.
    pub(super) closing: CancellationToken,
    pub(super) threads: Mutex<Threads>,
    pub(super) totals: Totals,
    pub(super) feed: Arc<Feed>,
    pub(super) source_use: SourceUse,
    pub(super) schema: Mutex<Option<(Installed, Arc<SettingsSchema>)>>,
}

#[derive(Default)]
pub(super) struct Threads {
    pub(super) workers: Vec<thread::JoinHandle<()>>,
    /// Retries final states that could not be written.
    pub(super) endings: Option<thread::JoinHandle<()>>,
    /// Publishes events.
    pub(super) feed: Option<thread::JoinHandle<()>>,
}

/// Key of a cached schema of settings: the generation of the plugins, and whether the detectors and
/// the classifiers are loaded.
pub(super) type Installed = (u64, bool, bool);

impl Engine {
    /// Runs short blocking work on a thread of the runtime's blocking pool.
    pub(super) async fn blocking<R: Send + 'static>(
        &self,
        f: impl FnOnce(&Inner) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || f(&inner)).await.map_err(Error::internal)?
    }
}

impl Inner {
    pub(super) fn video(&self, id: VideoId) -> Result<VideoRecord> {
        self.archive.video(id)?.ok_or_else(|| Error::not_found("VideoArchive"))
    }

    /// Unloads networks that are not in use, except those of the types `wanted`; returns whether
    /// there were any.
    pub(super) fn make_room(&self, wanted: &[ObjectType]) -> bool {
        let detectors = self.detectors.make_room(wanted);
        let embedders = self.embedders.make_room(wanted);
        self.classifiers.make_room(wanted) || embedders || detectors
    }

    /// Ends all threads at shutdown. Blocks.
    pub(super) fn end(&self) {
        let Threads { workers, endings, feed } = std::mem::take(&mut *self.threads.lock());
        let join = |thread: thread::JoinHandle<()>| {
            if thread.join().is_err() {
                error!("a thread of the engine panicked");
            }
        };
        workers.into_iter().for_each(join);
        self.endings.close();
        endings.into_iter().for_each(join);
        self.feed.close();
        feed.into_iter().for_each(join);
        self.outbox.shutdown();
        if let Err(error) = self.archive.flush() {
            error!(%error, "shutting down: {error}");
        }
    }
}
