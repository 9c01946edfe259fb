//! Recorder of decisions, for one object type.

use ocellus_core::{ObjectType, ShotSummary, TrackId};
use ocellus_runtime::Rejection;

use super::{
    decision::{Decision, DecisionStage},
    event::Event,
};

/// Name of the host in decisions, in place of a plugin's.
pub(super) const HOST: &str = "ocellus";

/// Records what was dropped, if enabled.
pub(super) struct DecisionRecorder {
    pub(super) object_type: ObjectType,
    pub(super) is_enabled: bool,
}

impl DecisionRecorder {
    pub(super) fn record(
        &self,
        events: &mut Vec<Event>,
        stage: DecisionStage,
        track: Option<TrackId>,
        shot: &ShotSummary,
        plugin: &str,
        why: Rejection,
    ) {
        if self.is_enabled {
            let Rejection { rule, value } = why;
            events.push(Event::Decision(Decision::new(
                &self.object_type,
                stage,
                track,
                shot,
                plugin.to_owned(),
                rule,
                value,
            )));
        }
    }
}
