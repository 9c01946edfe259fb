//! Pictures of one post: their files, and the URLs that serve them.
//!
//! A file is read when the router plugin asks for it, or when a part of its form is the picture: a
//! plugin that sends URLs costs no reading. Ends with the attempt that it is made for.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ocellus_core::ObjectId;
use ocellus_runtime::{Content, Part as FormPart, Picture as Part, PictureInfo, PostPictures};
use ocellus_store::Picture;

type MakeUrl = dyn Fn(&ObjectId, Picture, Duration) -> String + Send + Sync;

/// Maker of absolute URLs that serve an object's thumbnail or full frame without a token, for the
/// given time from now on.
#[derive(Clone)]
pub struct PictureUrls(Arc<MakeUrl>);

impl PictureUrls {
    /// `make` is called for thumbnails and full frames only.
    pub fn new(make: impl Fn(&ObjectId, Picture, Duration) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for PictureUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PictureUrls(…)")
    }
}

/// A picture that an object can be posted with.
pub(super) struct PictureFile {
    /// Its description for the router plugin.
    pub(super) info: PictureInfo,
    path: PathBuf,
    /// Its bytes, once they were asked for.
    read: OnceLock<io::Result<Vec<u8>>>,
}

impl PictureFile {
    pub(super) fn new(info: PictureInfo, path: PathBuf) -> Self {
        Self { info, path, read: OnceLock::new() }
    }

    fn bytes(&self) -> Result<&[u8], &io::Error> {
        self.read.get_or_init(|| fs::read(&self.path)).as_deref()
    }
}

/// The pictures that an object can be posted with.
pub(super) struct Files {
    object: ObjectId,
    files: Vec<PictureFile>,
    urls: Option<PictureUrls>,
}

impl Files {
    pub(super) fn new(object: ObjectId, files: Vec<PictureFile>, urls: Option<PictureUrls>) -> Self {
        Self { object, files, urls }
    }

    /// The pictures that parts of a form are, with their bytes.
    pub(super) fn read(&self, parts: &[FormPart]) -> io::Result<Vec<(&PictureInfo, &[u8])>> {
        let named = |picture| parts.iter().any(|part| is(&part.content, picture));
        let files = self.files.iter().filter(|file| named(file.info.picture));
        files.map(|file| Ok((&file.info, file.bytes().map_err(copied)?))).collect()
    }

    /// Why a picture that the plugin asked for could not be read.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.files.iter().find_map(|file| file.read.get()?.as_ref().err()).map(copied)
    }
}

fn is(content: &Content, picture: Part) -> bool {
    matches!(content, Content::Picture(named) if *named == picture)
}

fn copied(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

impl PostPictures for Files {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn file(&self, index: usize) -> Option<&[u8]> {
        self.files.get(index)?.bytes().ok()
    }

    fn url(&self, index: usize, valid: Duration) -> Option<String> {
        let served = match self.files.get(index)?.info.picture {
            Part::Photo => Picture::Fullframe,
            Part::Normalized => Picture::Thumbnail,
            Part::FirstFrame | Part::LastFrame => return None,
        };
        let PictureUrls(make) = self.urls.as_ref()?;
        Some(make(&self.object, served, valid))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ocellus_core::Size;

    use super::*;

    /// The first picture has no file.
    fn files(folder: &Path, urls: Option<PictureUrls>) -> Files {
        fs::write(folder.join("Normalized"), b"\xff\xd8").unwrap();
        let info = |picture| PictureInfo {
            picture,
            content_type: "image/jpeg".into(),
            size: Size { width: 2, height: 1 },
            region: [0, 0, 2, 1],
        };
        let pictures = [Part::LastFrame, Part::Normalized]
            .map(|picture| PictureFile::new(info(picture), folder.join(format!("{picture:?}"))));
        Files::new("7-1-face-3-0".parse().unwrap(), pictures.into(), urls)
    }

    fn picture(picture: Part) -> FormPart {
        FormPart { name: "a".into(), filename: None, content_type: None, content: Content::Picture(picture) }
    }

    #[test]
    fn only_pictures_that_are_asked_for_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), None);
        let form = files.read(&[picture(Part::Normalized), picture(Part::Photo)]).unwrap();
        assert_eq!(
            form.iter().map(|(info, bytes)| (info.picture, *bytes)).collect::<Vec<_>>(),
            [(Part::Normalized, b"\xff\xd8".as_slice())]
        );
        assert_eq!(files.file(1), Some(b"\xff\xd8".as_slice()));
        assert!(files.error().is_none());
        assert_eq!(files.file(0), None);
        assert_eq!(files.error().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(files.read(&[picture(Part::LastFrame)]).is_err());
    }

    #[test]
    fn a_picture_has_a_file_and_a_url_where_it_is_served() {
        let make = |object: &ObjectId, picture, valid: Duration| format!("{object} {picture:?} {}", valid.as_secs());
        let folder = tempfile::tempdir().unwrap();
        let served = files(folder.path(), Some(PictureUrls::new(make)));
        let hour = Duration::from_secs(3600);
        assert_eq!(served.file(1), Some(b"\xff\xd8".as_slice()));
        assert_eq!(served.file(2), None);
        assert_eq!(served.url(1, hour).as_deref(), Some("7-1-face-3-0 Thumbnail 3600"));
        assert_eq!(
            (served.url(0, hour), served.url(2, hour), files(folder.path(), None).url(1, hour)),
            (None, None, None)
        );
    }
}
