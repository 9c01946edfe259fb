//! Objects in their stored form, and the paths of their pictures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ocellus_core::{JobId, ObjectId, ObjectRecord};
use serde::{Deserialize, Serialize};

use crate::{codec::FileDigest, folder::Folder};

/// Kind of an object's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Picture {
    /// The object, with a margin.
    Thumbnail,
    /// The frame that holds it.
    Fullframe,
    /// The crop that embedders take as input.
    Normalized,
    /// The frame in which the track began.
    FirstFrame,
    /// The frame in which the track was last seen.
    LastFrame,
}

impl Picture {
    fn name(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail",
            Self::Fullframe => "fullframe",
            Self::Normalized => "normalized",
            Self::FirstFrame => "first-frame",
            Self::LastFrame => "last-frame",
        }
    }
}

/// A picture in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFile {
    /// Its path. The file is removed with its job.
    pub path: PathBuf,
    /// `image/jpeg` or `image/png`.
    pub content_type: &'static str,
}

/// An object for the archive.
#[derive(Clone, Debug)]
pub struct NewObject {
    /// Its record.
    pub record: ObjectRecord,
    /// JPEG or PNG files, at most one of each kind.
    pub pictures: Vec<(Picture, Vec<u8>)>,
}

/// Vector by which an object is compared with others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// The object that it describes.
    pub object: ObjectId,
    /// Digest or name of its embedder: only embeddings of one embedder can be compared.
    pub embedder: String,
    /// The embedding of one picture, or the mean of several. All vectors of an embedder have one
    /// length.
    pub vector: Vec<f32>,
    /// Mean squared distance from `vector` of the embeddings that it is the mean of; 0 for a single
    /// one, as in release 0.1. The log has it at the end of the record, where earlier releases stop
    /// reading.
    #[serde(skip)]
    pub spread: f32,
}

/// A record of `objects.log`.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredObject {
    #[serde(flatten)]
    pub record: ObjectRecord,
    /// By file name; empty in records of release 0.1.
    #[serde(default)]
    pub pictures: BTreeMap<String, FileDigest>,
}

impl StoredObject {
    /// The record for the log, and the pictures with their paths.
    pub(crate) fn of<'a>(folder: &Folder, object: &'a NewObject) -> (Self, Vec<(PathBuf, &'a [u8])>) {
        let file = |(picture, bytes): &'a (Picture, Vec<u8>)| {
            let format = if bytes.starts_with(PNG_MAGIC) { PNG } else { JPEG };
            (picture_path(folder, &object.record.id, *picture, format), bytes.as_slice())
        };
        let files: Vec<_> = object.pictures.iter().map(file).collect();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pictures = files.iter().map(|(path, bytes)| (name(path), FileDigest::of(bytes))).collect();
        (Self { record: object.record.clone(), pictures }, files)
    }
}

/// The first bytes of every PNG.
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// File extension and media type.
type Format = (&'static str, &'static str);
const JPEG: Format = ("jpg", "image/jpeg");
const PNG: Format = ("png", "image/png");

pub(crate) fn pictures_folder(folder: &Folder, job: JobId) -> PathBuf {
    folder.job(job).join("pictures")
}

fn picture_path(folder: &Folder, id: &ObjectId, picture: Picture, (extension, _): Format) -> PathBuf {
    pictures_folder(folder, id.job).join(format!("{id}.{}.{extension}", picture.name()))
}

/// A picture, where there is one.
pub(crate) fn find_picture(folder: &Folder, id: &ObjectId, picture: Picture) -> Option<PictureFile> {
    let file = |format: Format| PictureFile { path: picture_path(folder, id, picture, format), content_type: format.1 };
    [JPEG, PNG].into_iter().map(file).find(|file| file.path.exists())
}
