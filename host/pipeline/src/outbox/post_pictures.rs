//! Pictures of one post: their files, and the URLs that serve them.
//!
//! Ends with the attempt for which the files were read.

use std::{fmt, sync::Arc, time::Duration};

use ocellus_core::ObjectId;
use ocellus_runtime::{Picture as Part, PictureInfo, PostPictures};
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

/// The pictures that an object is posted with.
pub(super) struct Files {
    object: ObjectId,
    /// With their descriptions for the router plugin.
    files: Vec<(PictureInfo, Vec<u8>)>,
    urls: Option<PictureUrls>,
}

impl Files {
    pub(super) fn new(object: ObjectId, files: Vec<(PictureInfo, Vec<u8>)>, urls: Option<PictureUrls>) -> Self {
        Self { object, files, urls }
    }

    pub(super) fn all(&self) -> &[(PictureInfo, Vec<u8>)] {
        &self.files
    }
}

impl PostPictures for Files {
    fn file(&self, index: usize) -> Option<&[u8]> {
        self.files.get(index).map(|(_, bytes)| bytes.as_slice())
    }

    fn url(&self, index: usize, valid: Duration) -> Option<String> {
        let served = match self.files.get(index)?.0.picture {
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
    use ocellus_core::Size;

    use super::*;

    fn files(urls: Option<PictureUrls>) -> Files {
        let info = |picture| PictureInfo {
            picture,
            content_type: "image/jpeg".into(),
            size: Size { width: 2, height: 1 },
            region: [0, 0, 2, 1],
        };
        let pictures = [Part::LastFrame, Part::Normalized].map(|picture| (info(picture), b"\xff\xd8".to_vec()));
        Files::new("7-1-face-3-0".parse().unwrap(), pictures.into(), urls)
    }

    #[test]
    fn a_picture_has_a_file_and_a_url_where_it_is_served() {
        let make = |object: &ObjectId, picture, valid: Duration| format!("{object} {picture:?} {}", valid.as_secs());
        let served = files(Some(PictureUrls::new(make)));
        let hour = Duration::from_secs(3600);
        assert_eq!(served.file(1), Some(b"\xff\xd8".as_slice()));
        assert_eq!(served.file(2), None);
        assert_eq!(served.url(1, hour).as_deref(), Some("7-1-face-3-0 Thumbnail 3600"));
        assert_eq!((served.url(0, hour), served.url(2, hour), files(None).url(1, hour)), (None, None, None));
    }
}
