//! Choice of the decoding device: the CPU, or one that FFmpeg can reach.
//!
//! Owns the names of the choices and the list of usable devices. A device is opened at most once in
//! a process; all decoders share it, and it lives as long as the process.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    av::{self, Device},
    hardware::Hardware,
};

/// What decodes. With every choice software takes over where hardware does not offer a codec or
/// fails, without a frame lost or shown twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decoding {
    /// The CPU.
    #[default]
    Software,
    /// The first usable device that offers the codec.
    Auto,
    /// This one.
    On(Hardware),
}

/// A device that was chosen by name and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {hardware} device for decoding can be opened (FFmpeg: {reason})")]
pub struct NoDevice {
    /// The device.
    pub hardware: Hardware,
    /// FFmpeg's error text.
    pub reason: String,
}

impl Decoding {
    fn candidates(self) -> &'static [Hardware] {
        match self {
            Self::Software => &[],
            Self::Auto => &Hardware::ALL,
            Self::On(Hardware::Cuda) => &[Hardware::Cuda],
            Self::On(Hardware::Vaapi) => &[Hardware::Vaapi],
            Self::On(Hardware::VideoToolbox) => &[Hardware::VideoToolbox],
            Self::On(Hardware::D3d11va) => &[Hardware::D3d11va],
        }
    }

    /// Opens the devices of this choice and returns those that can be used, in the order in which
    /// they are tried.
    ///
    /// # Errors
    /// [`NoDevice`], where one was chosen by name and cannot be used.
    pub fn bring_up(self) -> Result<Vec<Hardware>, NoDevice> {
        let mut found = Vec::new();
        for hardware in self.candidates() {
            match av::device(*hardware) {
                Ok(_) => found.push(*hardware),
                Err(error) if self == Self::On(*hardware) => {
                    return Err(NoDevice { hardware: *hardware, reason: error.to_string() });
                }
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// The usable devices of this choice.
    pub(crate) fn devices(self) -> Vec<Arc<dyn Device>> {
        self.candidates().iter().filter_map(|hardware| av::device(*hardware).ok()).collect()
    }
}

impl FromStr for Decoding {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "software" => Ok(Self::Software),
            "auto" => Ok(Self::Auto),
            other => {
                let named = Hardware::ALL.into_iter().find(|hardware| hardware.name() == other);
                let expected = "expected software, auto, cuda, vaapi, videotoolbox or d3d11va";
                named.map(Self::On).ok_or_else(|| format!("{other:?} is no decoding device: {expected}"))
            }
        }
    }
}

impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software => f.write_str("software"),
            Self::Auto => f.write_str("auto"),
            Self::On(hardware) => hardware.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_print_and_parse() {
        for choice in [Decoding::Software, Decoding::Auto].into_iter().chain(Hardware::ALL.map(Decoding::On)) {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "gpu".parse::<Decoding>().unwrap_err();
        assert!(Hardware::ALL.iter().all(|hardware| error.contains(hardware.name())), "{error}");
    }

    #[test]
    fn a_choice_has_its_devices_as_candidates() {
        for hardware in Hardware::ALL {
            assert_eq!(Decoding::On(hardware).candidates(), [hardware]);
        }
        assert_eq!(Decoding::Auto.candidates(), Hardware::ALL);
        assert_eq!(Decoding::Software.bring_up(), Ok(Vec::new()));
    }
}
