//! Families of networks: the input format that each expects, and the meaning of its outputs.
//!
//! Pictures arrive as `host/media` scales them: by one factor to fit, in the top left corner, the
//! rest filled. Networks that do not normalise their input themselves have `mean` and `std` in the
//! manifest.
//! A family decodes boxes in pixels of the input; [`crate::Detector`] maps them back to the frame.

mod centerface;
mod detr;
mod interface;
mod scrfd;
mod ssd;
mod yolox;
mod yunet;

use crate::manifest::{FamilyName, Manifest};
pub(crate) use interface::Family;

/// The family that a manifest names. `groups` has an entry for each class that is reported: its
/// index in the network's output, and its group for non-maximum suppression.
pub(crate) fn family(manifest: &Manifest, groups: Vec<(usize, usize)>) -> Box<dyn Family> {
    let score = manifest.thresholds.least();
    match manifest.family {
        FamilyName::Yolox => Box::new(yolox::Yolox { score, groups }),
        FamilyName::Centerface => Box::new(centerface::CenterFace { score }),
        FamilyName::Detr => Box::new(detr::Detr { score, groups }),
        FamilyName::Scrfd => Box::new(scrfd::Scrfd { score }),
        FamilyName::Ssd => Box::new(ssd::Ssd { score, groups }),
        FamilyName::Yunet => Box::new(yunet::YuNet { score }),
    }
}
