//! Runs a network by ONNX Runtime, where its shared library is at hand.
//!
//! The library is loaded once in a process, from the file that is asked for first, and stays. All networks share its threads, one
//! for each core, which sleep while there is nothing to do: what runs beside them is FFmpeg and the other stages of jobs.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use ort::{
    environment::{Environment, GlobalThreadPoolOptions},
    logging::LogLevel,
    session::builder::GraphOptimizationLevel,
    value::TensorRef,
};
use parking_lot::Mutex;

use super::{Array, NetworkError};

/// ONNX Runtime, ready to run networks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OnnxRuntime(&'static Environment);

impl OnnxRuntime {
    /// Loads the library, unless one was loaded before: that one stays.
    pub(crate) fn load(library: &Path, threads: usize) -> Result<Self, String> {
        static LOADED: OnceLock<Environment> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let load = || {
            if !library.is_file() {
                return Err(format!("there is no file {}", library.display()));
            }
            let environment = ort::init_from(library).map_err(|e| e.to_string())?;
            let pool = GlobalThreadPoolOptions::default().with_intra_threads(threads).and_then(|pool| pool.with_spin_control(false));
            let pool = pool.map_err(|e| e.to_string())?;
            let environment =
                environment.with_name("ocellus").with_telemetry(false).with_global_thread_pool(pool).with_logger(Arc::new(log));
            let environment = environment.build().map_err(|e| e.to_string())?;
            environment.set_log_level(LogLevel::Warning);
            Ok(environment)
        };
        let _turn = TURN.lock();
        match LOADED.get() {
            Some(environment) => Ok(Self(environment)),
            None => load().map(|environment| Self(LOADED.get_or_init(|| environment))),
        }
    }

    /// Makes a network ready whose input has the shape that the file declares.
    pub(super) fn open(&self, name: &str, network: &[u8]) -> Result<Session, NetworkError> {
        let open = || -> ort::Result<ort::session::Session> {
            let builder = ort::session::Session::builder(self.0)?;
            let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
            builder.commit_from_memory(network)
        };
        let session = open().map_err(|e| NetworkError::Malformed { file: name.into(), reason: e.to_string() })?;
        Ok(Session(Mutex::new(session)))
    }
}

/// What the library has to say is for the log. It warns of files that declare other shapes than they are run with.
fn log(level: LogLevel, _category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::warn!("ONNX Runtime: {message}"),
        LogLevel::Warning => tracing::debug!("ONNX Runtime: {message}"),
        LogLevel::Info | LogLevel::Verbose => {}
    }
}

/// A network. One call runs at a time.
pub(super) struct Session(Mutex<ort::session::Session>);

impl Session {
    /// The named outputs, in the order of the file.
    pub(super) fn run(&self, Array { dims, data }: &Array) -> Result<Vec<(String, Array)>, NetworkError> {
        let run = || -> ort::Result<Vec<(String, Array)>> {
            let mut session = self.0.lock();
            let input = TensorRef::from_array_view((dims.as_slice(), data.as_slice()))?;
            let outputs = session.run(ort::inputs![input])?;
            let array = |(name, value): (&str, ort::value::ValueRef<'_>)| {
                let (shape, data) = value.try_extract_tensor::<f32>()?;
                let dims = shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
                Ok((name.to_owned(), Array { dims, data: data.to_vec() }))
            };
            outputs.iter().map(array).collect()
        };
        run().map_err(|e| NetworkError::Run { node: "the network".into(), reason: e.to_string() })
    }
}
