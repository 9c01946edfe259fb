//! Where everything lies in the data folder. Nothing else builds a path.
//!
//! ```text
//! DIR/lock                              held by the server
//! DIR/index/                            sled; may be deleted
//! DIR/index.suspect                     the index failed while running: rebuild it at the next start
//! DIR/index.broken-<n>/                 an index that was set aside
//! DIR/archive/archive.json              the archive's identity, and the lowest id that was never used
//! DIR/archive/incoming/                 uploads under way
//! DIR/archive/trash/                    deleted videos on their way out
//! DIR/archive/<id/1000>/<id>/video.json
//! DIR/archive/<id/1000>/<id>/source
//! DIR/archive/<id/1000>/<id>/screenshot.jpg
//! DIR/archive/<id/1000>/<id>/jobs/<n>/  plan.json, detections.log, objects.log, deliveries.log, pictures/
//! ```

use std::path::{Path, PathBuf};

use ocellus_core::{JobId, ObjectId, VideoId};

use crate::{durable, error::Result};

/// Videos in one folder of folders.
const GROUP: u64 = 1000;

/// A picture that belongs to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The object alone.
    Thumbnail,
    /// The frame that it was seen in.
    Fullframe,
    /// The face turned upright and scaled.
    Normalized,
}

impl Picture {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail",
            Self::Fullframe => "fullframe",
            Self::Normalized => "normalized",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }
    pub(crate) fn index_suspect(&self) -> PathBuf {
        self.root.join("index.suspect")
    }
    /// A name for a broken index that is not taken yet.
    pub(crate) fn index_set_aside(&self) -> PathBuf {
        (1u64..).map(|n| self.root.join(format!("index.broken-{n}"))).find(|p| !p.exists()).unwrap_or_else(|| self.root.join("index.broken"))
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.root.join("archive")
    }
    pub(crate) fn identity(&self) -> PathBuf {
        self.archive().join("archive.json")
    }
    pub(crate) fn incoming(&self) -> PathBuf {
        self.archive().join("incoming")
    }
    pub(crate) fn trash(&self) -> PathBuf {
        self.archive().join("trash")
    }

    pub(crate) fn video(&self, id: VideoId) -> PathBuf {
        self.archive().join(format!("{:03}", id.0 / GROUP)).join(id.to_string())
    }
    pub(crate) fn record(&self, id: VideoId) -> PathBuf {
        self.video(id).join("video.json")
    }
    pub(crate) fn source(&self, id: VideoId) -> PathBuf {
        self.video(id).join("source")
    }
    pub(crate) fn screenshot(&self, id: VideoId) -> PathBuf {
        self.video(id).join("screenshot.jpg")
    }
    pub(crate) fn jobs(&self, id: VideoId) -> PathBuf {
        self.video(id).join("jobs")
    }
    pub(crate) fn job(&self, id: JobId) -> JobLayout {
        JobLayout { dir: self.jobs(id.video).join(id.number.to_string()) }
    }

    /// The ids that have a folder, with or without a record in it, a group at a time: groups ascend, and so do ids.
    pub(crate) fn video_ids(&self) -> Result<impl Iterator<Item = Result<Vec<VideoId>>> + use<>> {
        let mut groups: Vec<(u64, PathBuf)> = durable::entries(&self.archive())?
            .into_iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?;
                let number: u64 = name.parse().ok()?;
                (format!("{number:03}") == name).then_some((number, path))
            })
            .collect();
        groups.sort();
        Ok(groups.into_iter().map(|(group, path)| {
            let mut ids: Vec<VideoId> = durable::entries(&path)?
                .iter()
                .filter_map(|path| {
                    let name = path.file_name()?.to_str()?;
                    let id: u64 = name.parse().ok()?;
                    (id.to_string() == name && id / GROUP == group).then_some(VideoId(id))
                })
                .collect();
            ids.sort();
            Ok(ids)
        }))
    }
}

/// The folder of one job.
#[derive(Clone, Debug)]
pub(crate) struct JobLayout {
    dir: PathBuf,
}

impl JobLayout {
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
    pub(crate) fn plan(&self) -> PathBuf {
        self.dir.join("plan.json")
    }
    pub(crate) fn detections(&self) -> PathBuf {
        self.dir.join("detections.log")
    }
    pub(crate) fn objects(&self) -> PathBuf {
        self.dir.join("objects.log")
    }
    pub(crate) fn deliveries(&self) -> PathBuf {
        self.dir.join("deliveries.log")
    }
    pub(crate) fn pictures(&self) -> PathBuf {
        self.dir.join("pictures")
    }
    pub(crate) fn picture(&self, object: &ObjectId, picture: Picture) -> PathBuf {
        self.pictures().join(format!("{object}.{}.jpg", picture.as_str()))
    }
}
