//! URLs of pictures in requests that the server posts: signed, so that they need no token.

use std::sync::Arc;

use ocellus_core::Clock;
use ocellus_pipeline::PictureUrls;
use ocellus_store::Picture;

use crate::url_signer::UrlSigner;

/// Makes these URLs for a server that others reach at `base`, without a slash at its end.
pub fn picture_urls(base: String, signer: UrlSigner, clock: Arc<dyn Clock>) -> PictureUrls {
    PictureUrls::new(move |object, picture, valid| {
        let kind = match picture {
            Picture::Fullframe => "fullframe",
            _ => "thumbnail",
        };
        format!("{base}{}", signer.sign(&format!("/objects/{object}/{kind}/"), clock.now(), valid))
    })
}
