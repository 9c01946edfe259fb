//! Fault trace: the calls of a session up to a fault, to reproduce it; small enough to mail.
//!
//! Guarantees: a trace holds at most [`MAX_BYTES`] of calls and the failing one, and is marked as
//! incomplete where earlier calls did not fit. The folder of traces holds the latest [`MAX_FILES`].
//! A trace outlives its job, until newer ones replace it.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Kind, PluginError, Plugins, StreamInfo, TrackerState, call::Call};

/// Limit of the memory of the calls before the failing one, in bytes.
pub(crate) const MAX_BYTES: usize = 256 << 10;
/// Limit of the traces in the folder.
const MAX_FILES: usize = 32;

/// A fault, and the calls that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The plugin's name.
    pub plugin: String,
    /// Kind of the plugin.
    pub kind: Kind,
    /// SHA-256, in hex, of the component that failed.
    pub digest: String,
    /// The text of the error.
    pub fault: String,
    /// Settings of the session.
    pub settings: Value,
    /// Stream of the session.
    pub stream: StreamInfo,
    /// Initial state of the session.
    pub state: Option<TrackerState>,
    /// The calls since, the failing one last; empty where opening or restoring the state failed.
    pub calls: Vec<Call>,
    /// Whether the calls begin with the first of the session. Otherwise the fault may not be
    /// reproducible.
    pub complete: bool,
}

impl Trace {
    /// Replays the calls in a session of the present plugin of that name, and returns its error if
    /// it fails again.
    ///
    /// # Errors
    /// There is no such plugin, or the settings do not fit it.
    pub fn reproduce(&self, plugins: &Plugins) -> Result<Option<PluginError>, PluginError> {
        let mut session = match plugins.session_of(self.kind, &self.plugin, &self.settings, &self.stream) {
            Ok(session) => session,
            Err(error) if error.fault().is_some() => return Ok(Some(error)),
            Err(error) => return Err(error),
        };
        let restored = session.restore(self.state.as_ref());
        Ok(restored.and_then(|()| self.calls.iter().try_for_each(|call| session.make(call).map(|_| ()))).err())
    }

    /// Writes it to the folder of traces, and returns the file's name.
    pub(crate) fn keep(&self, folder: &Path) -> io::Result<String> {
        fs::create_dir_all(folder)?;
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let name = format!("{millis}-{}.json", self.plugin);
        fs::write(folder.join(&name), serde_json::to_vec(self)?)?;
        // Names begin with the time in thirteen digits, so that the oldest come first.
        let mut all: Vec<_> = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
        all.sort();
        for old in all.iter().take(all.len().saturating_sub(MAX_FILES)).filter(|old| **old != *name) {
            match fs::remove_file(folder.join(old)) {
                // Another job may have removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrameInfo;

    fn call(index: u64) -> Call {
        let frame = FrameInfo {
            index,
            time: 0.1 + index as f64 / 3.0,
            size: ocellus_core::Size { width: 640, height: 480 },
            cut: false,
        };
        let rect = ocellus_core::Rect::new(0.1, 0.2, 1.0 / 3.0, 4e7);
        let detection =
            ocellus_core::Detection { rect, score: 0.7, quality: 0.1, landmarks: None, appearance: vec![0.3; 100] };
        Call::Update { frame, detections: vec![detection; 100] }
    }

    #[test]
    fn a_call_survives_serialization() {
        for index in 0..1000 {
            let text = serde_json::to_string(&call(index)).unwrap();
            assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), call(index));
        }
    }

    #[test]
    fn the_folder_holds_the_latest() {
        let folder = tempfile::TempDir::new().unwrap();
        let trace = |n: usize| Trace {
            plugin: format!("p{n:03}"),
            kind: Kind::Tracker,
            digest: String::new(),
            fault: String::new(),
            settings: Value::Null,
            stream: StreamInfo {
                object_type: "face".parse().unwrap(),
                size: ocellus_core::Size { width: 1, height: 1 },
                frame_rate: None,
            },
            state: None,
            calls: vec![call(1)],
            complete: true,
        };
        let names: Vec<_> = (0..MAX_FILES + 5).map(|n| trace(n).keep(folder.path()).unwrap()).collect();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_FILES);
        let kept = fs::read(folder.path().join(names.last().unwrap())).unwrap();
        assert_eq!(serde_json::from_slice::<Trace>(&kept).unwrap(), trace(MAX_FILES + 4));
    }
}
