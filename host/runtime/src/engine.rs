//! wasmtime engine, and the thread that ticks its epochs.
//!
//! Guarantees: code is deterministic, and a call is stopped within two ticks after its deadline.
//! The thread ends with the engine.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    thread,
    time::Duration,
};

use wasmtime::{Cache, CacheConfig, Config, Engine, OptLevel};

use crate::OpenError;

/// Time between two epochs, the resolution of deadlines.
const TICK: Duration = Duration::from_millis(5);

/// An engine whose code is deterministic and can be interrupted. Its ticker ends with the last
/// clone of the engine.
pub(crate) fn engine(cache: Option<Cache>) -> Result<Engine, OpenError> {
    let engine = build(cache)?;
    // A system thread, since the call that has to be interrupted could starve an executor's task.
    let weak = engine.weak();
    thread::Builder::new()
        .name("plugin-ticker".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map_err(OpenError::Thread)?;
    Ok(engine)
}

/// An engine that compiles into a cache below this folder, and runs nothing. Its code runs on
/// [`engine`], since both have the same configuration.
pub(crate) fn compiler(into: Option<&Path>) -> Result<Engine, OpenError> {
    build(into.map(cache).transpose()?)
}

/// wasmtime's own cache in this folder.
pub(crate) fn cache(folder: &Path) -> Result<Cache, OpenError> {
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(|e| OpenError::Engine(format!("{e:#}")))
}

/// Key of an engine's compatibility: it differs between engines of another version, configuration
/// or CPU, which cannot run one another's code.
pub(crate) fn key(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn build(cache: Option<Cache>) -> Result<Engine, OpenError> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.cache(cache);
    Engine::new(&config).map_err(|e| OpenError::Engine(e.to_string()))
}

/// The epochs in `deadline`, and one more, since the first of them has begun already.
pub(crate) fn ticks(deadline: Duration) -> u64 {
    let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
}
