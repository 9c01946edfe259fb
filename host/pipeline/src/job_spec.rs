//! Job spec: the specification that a job runs by, written when it is requested, so that later
//! changes of its video do not affect it.
//!
//! Networks and plugins are pinned by their digests. Pins do not select versions: a job runs with
//! those installed under a name when it begins, since plugins may be replaced even while it runs.
//! Pins tell whether these are the versions installed when it was requested; the server's log names
//! the differences. A job whose network or plugin is missing ends MISCONFIGURED.

use std::collections::BTreeMap;

use ocellus_core::{Error, ErrorKind, ObjectType, Result, StreamSettings, VideoRecord};
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_runtime::Plugins;
use ocellus_store::Job;
use serde::{Deserialize, Serialize};

use crate::analysis::{ShotRule, plugins_of};

/// Contents of `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    pub stream_settings: StreamSettings,
    pub url: Option<String>,
    pub router_url: Option<String>,
    pub camera: Option<i64>,
    pub camera_group: i64,
    /// Release 0.1 did not write it.
    #[serde(default, skip_serializing_if = "ShotRule::is_default")]
    pub shot_rule: ShotRule,
    #[serde(flatten)]
    pub pins: Pins,
}

/// Digests, by name, of the components installed when the job was requested. `None` where they were
/// unknown: release 0.1 did not write them, and networks have none while they are being loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pins {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectors: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedders: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<BTreeMap<String, String>>,
}

impl JobSpec {
    pub(crate) fn of(video: &VideoRecord, pins: Pins) -> Self {
        Self {
            stream_settings: video.stream_settings.clone(),
            url: video.url.clone(),
            router_url: video.router_url.clone(),
            camera: video.camera,
            camera_group: video.camera_group,
            shot_rule: ShotRule::QualityAndSize,
            pins,
        }
    }

    /// The spec of a job, as it was written.
    ///
    /// # Errors
    /// `Internal` where it cannot be read, with a sentence for the user.
    pub(crate) fn read(job: &Job) -> Result<Self> {
        let unreadable = |e: Error| {
            Error::new(ErrorKind::Internal, "The spec of this processing cannot be read: process the video again.")
                .because(e)
        };
        let written = job.spec().map_err(|e| unreadable(e.into()))?;
        Self::parse(written).map_err(unreadable)
    }

    pub(crate) fn parse(written: serde_json::Value) -> Result<Self> {
        serde_json::from_value(written).map_err(Error::internal)
    }

    /// The video's record with the fields that the spec fixes.
    pub(crate) fn over(&self, video: VideoRecord) -> VideoRecord {
        let Self { stream_settings, url, router_url, camera, camera_group, .. } = self.clone();
        VideoRecord { stream_settings, url, router_url, camera, camera_group, ..video }
    }
}

impl Pins {
    /// The digests of the components that a job by these settings would run with now. Does not
    /// block.
    pub(crate) fn of(
        settings: &StreamSettings,
        detectors: &Detectors,
        embedders: &Embedders,
        classifiers: &AttributeClassifiers,
        plugins: &Plugins,
    ) -> Self {
        let types: Vec<&ObjectType> = settings.active().map(|(t, _)| t).collect();
        let (detectors_now, embedders_now) = (detectors.report(), embedders.report());
        let detectors = detectors_now
            .detectors
            .into_iter()
            .filter(|d| d.types.iter().any(|t| types.contains(&t)))
            .map(|d| (d.name, d.digest));
        let embedders =
            embedders_now.embedders.into_iter().filter(|e| types.contains(&&e.object_type)).map(|e| (e.name, e.digest));
        let classifiers_now = classifiers.report();
        let classifiers = classifiers_now
            .classifiers
            .into_iter()
            .filter(|c| types.contains(&&c.object_type) && (settings.enable_liveness || !c.liveness))
            .map(|c| (c.name, c.digest));
        let plugins = plugins_of(settings)
            .filter_map(|(kind, name)| Some((name.to_owned(), plugins.digest(kind, name)?.to_string())));
        Self {
            detectors: (!detectors_now.loading).then(|| detectors.collect()),
            embedders: (!embedders_now.loading).then(|| embedders.collect()),
            attributes: (!classifiers_now.loading).then(|| classifiers.collect()),
            plugins: Some(plugins.collect()),
        }
    }

    /// Differences between pinned and installed, as "plugin quality (pinned 0f…, installed 1e…)".
    pub(crate) fn differences(&self, now: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (kind, pinned, installed) in [
            ("detector", &self.detectors, &now.detectors),
            ("embedder", &self.embedders, &now.embedders),
            ("classifier", &self.attributes, &now.attributes),
            ("plugin", &self.plugins, &now.plugins),
        ] {
            let (Some(pinned), Some(installed)) = (pinned, installed) else { continue };
            for name in pinned.keys().chain(installed.keys().filter(|name| !pinned.contains_key(*name))) {
                let digest =
                    |of: &BTreeMap<String, String>| of.get(name).map_or_else(|| "none".to_owned(), Clone::clone);
                let (pinned, installed) = (digest(pinned), digest(installed));
                if pinned != installed {
                    differences.push(format!("{kind} {name} (pinned {pinned}, installed {installed})"));
                }
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pins(of: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
        Some(of.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect())
    }

    #[test]
    fn a_spec_of_0_1_is_read_and_pins_nothing() {
        let schema = ocellus_core::SettingsSchema::new(&[ObjectType::car()], &["simple_iou".into()], &[]).unwrap();
        let settings = serde_json::to_value(schema.complete(None).unwrap()).unwrap();
        let old = json!({
            "stream_settings": settings, "url": null, "router_url": "http://r/", "camera": 4, "camera_group": 1,
        });
        let spec = JobSpec::parse(old.clone()).unwrap();
        assert_eq!((&spec.pins, spec.shot_rule), (&Pins::default(), ShotRule::Quality));
        assert_eq!(serde_json::to_value(&spec).unwrap(), old, "and is written as it was");
        let pins = Pins { plugins: pins(&[("roi", "0f")]), ..Pins::default() };
        let pinned = JobSpec { pins, shot_rule: ShotRule::QualityAndSize, ..spec };
        let written = serde_json::to_value(&pinned).unwrap();
        assert_eq!((&written["plugins"], &written["shot_rule"]), (&json!({"roi": "0f"}), &json!("quality_and_size")));
        assert_eq!(JobSpec::parse(written).unwrap(), pinned);
    }

    #[test]
    fn differences_from_the_pins_are_named() {
        let before = Pins {
            detectors: None,
            embedders: pins(&[]),
            attributes: pins(&[("colours", "a")]),
            plugins: pins(&[("quality", "0f"), ("roi", "aa"), ("size", "cc")]),
        };
        let now = Pins {
            detectors: pins(&[("cars", "1")]),
            embedders: pins(&[]),
            attributes: pins(&[("colours", "b")]),
            plugins: pins(&[("quality", "1e"), ("size", "cc")]),
        };
        let expected = [
            "classifier colours (pinned a, installed b)",
            "plugin quality (pinned 0f, installed 1e)",
            "plugin roi (pinned aa, installed none)",
        ];
        assert_eq!(before.differences(&now), expected);
        assert!(before.differences(&before).is_empty());
    }
}
