//! Families of networks: the input that each wants, and the meaning of its output.
//!
//! Pictures go in as they come from `host/media`: scaled by one factor to fit, in the top left
//! corner, the rest filled. No family here normalises its input; the networks do that themselves.
//! What a family decodes is in pixels of the input; [`crate::Detector`] brings it back to the
//! frame.

mod centerface;
mod yolox;
mod yunet;

use ocellus_core::ChannelOrder;

use crate::{
    graph::Array,
    manifest::{FamilyName, Manifest},
    nms::Candidate,
};

pub(crate) trait Family: Send + Sync {
    /// The order of the channels, and what fills the part of the input that shows nothing.
    fn picture(&self) -> (ChannelOrder, u8);

    /// The boxes of one picture from the network's outputs for it, in the network's order, each
    /// without the batch dimension. `width` and `height` are the input's. Nothing is suppressed
    /// yet.
    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<Candidate>, Unexpected>;
}

/// The outputs are not those of the family, so the manifest names the wrong one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outputs {given:?}, where the family {family} has {wanted}")]
pub(crate) struct Unexpected {
    family: &'static str,
    wanted: String,
    given: Vec<Vec<usize>>,
}

impl Unexpected {
    fn new(family: &'static str, wanted: impl Into<String>, outputs: &[Array]) -> Self {
        Self { family, wanted: wanted.into(), given: outputs.iter().map(|o| o.dims.clone()).collect() }
    }
}

/// `groups` has an entry for each class that is reported: its index in the network's output, and
/// its group.
pub(crate) fn family(manifest: &Manifest, groups: Vec<(usize, usize)>) -> Box<dyn Family> {
    let score = manifest.thresholds.score;
    match manifest.family {
        FamilyName::Yolox => Box::new(yolox::Yolox { score, groups }),
        FamilyName::Centerface => Box::new(centerface::CenterFace { score }),
        FamilyName::Yunet => Box::new(yunet::YuNet { score }),
    }
}
