//! Interface of a family of networks.

use ocellus_core::ChannelOrder;

use crate::{array::Array, nms::RawBox};

/// Input format and output encoding that some networks share.
pub(crate) trait Family: Send + Sync {
    /// Channel order of the input, and the byte that fills the part beside the scaled frame.
    fn input_format(&self) -> (ChannelOrder, u8);

    /// Decodes the boxes of one picture, before non-maximum suppression, in pixels of the input.
    /// `outputs` are in the network's order, each without the batch dimension; `width` and `height`
    /// are the input's, in pixels.
    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs>;
}

/// The outputs do not have the family's shapes, so the manifest names the wrong family.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outputs {given:?}, where the family {family} has {wanted}")]
pub(crate) struct UnexpectedOutputs {
    family: &'static str,
    wanted: String,
    given: Vec<Vec<usize>>,
}

impl UnexpectedOutputs {
    pub(super) fn new(family: &'static str, wanted: impl Into<String>, outputs: &[Array]) -> Self {
        Self { family, wanted: wanted.into(), given: outputs.iter().map(|o| o.dims.clone()).collect() }
    }
}
