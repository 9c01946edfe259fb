//! Defaults of new videos: the settings that `--defaults` names.

use std::{path::Path, str::FromStr};

use anyhow::{Context, Result};
use serde_json::Value;

/// Settings that find more than the vendor's, at the cost of more objects to look through.
const THOROUGH: &str = include_str!("../presets/thorough.json");

/// Value of `--defaults`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Defaults {
    #[default]
    Vendor,
    Thorough,
    /// A file with settings as a client sends them, in JSON.
    File(String),
}

impl FromStr for Defaults {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "vendor" => Self::Vendor,
            "thorough" => Self::Thorough,
            file => Self::File(file.to_owned()),
        })
    }
}

impl Defaults {
    /// The settings; `None` are the vendor's.
    pub(crate) fn read(&self) -> Result<Option<Value>> {
        let (text, name) = match self {
            Self::Vendor => return Ok(None),
            Self::Thorough => (THOROUGH.to_owned(), "thorough"),
            Self::File(path) => {
                let text = std::fs::read_to_string(Path::new(path))
                    .with_context(|| format!("--defaults: cannot read {path} (or give vendor or thorough)"))?;
                (text, path.as_str())
            }
        };
        serde_json::from_str(&text).map(Some).with_context(|| format!("--defaults: {name} is no JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_names_are_built_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("night.json");
        std::fs::write(&file, r#"{"play_speed": 1}"#).unwrap();
        let read = |text: &str| text.parse::<Defaults>().unwrap().read();
        assert_eq!(read(file.to_str().unwrap()).unwrap(), Some(serde_json::json!({"play_speed": 1})));
        assert_eq!(read("vendor").unwrap(), None);
        assert!(read("thorough").unwrap().unwrap().pointer("/detectors/body").is_some());

        std::fs::write(&file, "play_speed = 1").unwrap();
        assert!(format!("{:#}", read(file.to_str().unwrap()).unwrap_err()).contains("night.json is no JSON"));
        assert!(format!("{:#}", read("thorogh").unwrap_err()).contains("vendor or thorough"));
    }

    #[test]
    fn the_thorough_settings_are_valid() {
        let types = ["face", "body", "car"].map(|t| t.parse().unwrap());
        let schema =
            ocellus_core::SettingsSchema::new(&types, &["simple_iou".into(), "deep_sort".into()], &[]).unwrap();
        let settings =
            schema.with_preset(&Defaults::Thorough.read().unwrap().unwrap()).unwrap().complete(None).unwrap();
        assert_eq!(settings.active().count(), 3);
    }
}
