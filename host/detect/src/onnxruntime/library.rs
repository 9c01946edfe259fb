//! Shared library of ONNX Runtime, loaded once in a process.
//!
//! The first library that loads stays loaded until the process ends; later paths are ignored.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use ort::{environment::Environment, logging::LogLevel};
use parking_lot::Mutex;

use super::scratch::{self, ScratchPool};

/// ONNX Runtime, ready to load networks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OnnxRuntime(&'static Library);

struct Library {
    environment: Environment,
    scratch: ScratchPool,
}

impl OnnxRuntime {
    /// Loads the library, unless one was loaded before. At most `concurrent_runs` networks run at
    /// the same time.
    pub(crate) fn load(library: &Path, concurrent_runs: usize) -> Result<Self, String> {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        static LOADING: Mutex<()> = Mutex::new(());
        let load = || {
            if !library.is_file() {
                return Err(format!("there is no file {}", library.display()));
            }
            let environment = ort::init_from(library).map_err(|e| e.to_string())?;
            let environment = environment.with_name("ocellus").with_telemetry(false).with_logger(Arc::new(log));
            let environment = environment.build().map_err(|e| e.to_string())?;
            environment.set_log_level(LogLevel::Warning);
            scratch::register(&environment).map_err(|e| e.to_string())?;
            Ok(Library { environment, scratch: ScratchPool::new(concurrent_runs) })
        };
        let _loading = LOADING.lock();
        match LIBRARY.get() {
            Some(library) => Ok(Self(library)),
            None => load().map(|library| Self(LIBRARY.get_or_init(|| library))),
        }
    }

    pub(super) fn environment(&self) -> &'static Environment {
        &self.0.environment
    }

    pub(super) fn scratch(&self) -> &'static ScratchPool {
        &self.0.scratch
    }
}

/// Forwards the library's messages to the log, each one level lower: it warns of every file that
/// declares other shapes than it is run with.
fn log(level: LogLevel, _category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::warn!("ONNX Runtime: {message}"),
        LogLevel::Warning => tracing::debug!("ONNX Runtime: {message}"),
        LogLevel::Info | LogLevel::Verbose => {}
    }
}
