//! Compilation of components to native code within limits, and reuse of compiled code.
//!
//! Guarantees: with a compiler program, this process only compiles components that the program has
//! compiled within the limits before. One component is compiled at a time. Ends with its registry.

use std::path::Path;

use parking_lot::Mutex;
use wasmtime::{Cache, Engine, component::Component};

use crate::{
    Digest, Limits, OpenError, Refusal,
    child::{self, CompilerProgram, Stop},
    compiled::{CompiledFolder, StagedCode},
    engine,
};

pub(crate) struct Compiler {
    engine: Engine,
    /// Cache of compiled code; without it every start compiles again.
    kept: Option<Kept>,
    /// Without it this process compiles, without limits of time and memory.
    program: Option<CompilerProgram>,
    compiling: Mutex<()>,
    stop: Stop,
}

struct Kept {
    folder: CompiledFolder,
    /// The engine's cache, which reads below [`CompiledFolder::loading`].
    cache: Cache,
    /// Held while code is staged: otherwise a thread could remove it while another loads it.
    loading: Mutex<()>,
}

impl Compiler {
    pub(crate) fn new(compiled: Option<&Path>, program: Option<CompilerProgram>) -> Result<Self, OpenError> {
        // Without the folder plugins still run; only starts are slower.
        let folder = compiled.and_then(|path| {
            let failed = |error: &std::io::Error| {
                let folder = path.display();
                tracing::error!(%folder, %error, "compiled plugins cannot be kept in {folder}: {error}");
            };
            CompiledFolder::open(path).inspect_err(failed).ok()
        });
        let kept = match folder {
            Some(folder) => Some(Kept { cache: engine::cache(&folder.loading())?, folder, loading: Mutex::default() }),
            None => None,
        };
        let engine = engine::engine(kept.as_ref().map(|kept| kept.cache.clone()))?;
        Ok(Self { engine, kept, program, compiling: Mutex::default(), stop: Stop::default() })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends the running compilation, and prevents further ones.
    pub(crate) fn stop(&self) {
        self.stop.raise();
    }

    /// The code of a component that has passed [`inspect`](crate::inspect::inspect).
    pub(crate) fn component(&self, limits: &Limits, digest: Digest, bytes: &[u8]) -> Result<Component, Refusal> {
        let Some(kept) = &self.kept else {
            let _one = self.compiling.lock();
            self.compile(limits, None, bytes)?;
            return self.load(bytes);
        };
        let name = format!("{digest}-{:016x}", engine::key(&self.engine));
        if let Some(component) = self.load_kept(kept, &name, bytes) {
            return component;
        }
        let _one = self.compiling.lock();
        // Another thread may have compiled it meanwhile.
        if let Some(component) = self.load_kept(kept, &name, bytes) {
            return component;
        }
        let fresh = kept.folder.fresh();
        self.compile(limits, fresh.as_ref().ok().map(|fresh| fresh.0.as_path()), bytes)?;
        match fresh.and_then(|fresh| kept.folder.keep(&name, &fresh.0)) {
            Ok(()) => self.load_kept(kept, &name, bytes).unwrap_or_else(|| self.load(bytes)),
            Err(error) => {
                tracing::warn!(%error, "the compiled plugin is not kept, the next start compiles it again: {error}");
                self.load(bytes)
            }
        }
    }

    fn load_kept(&self, kept: &Kept, name: &str, bytes: &[u8]) -> Option<Result<Component, Refusal>> {
        let _one = kept.loading.lock();
        let _staged: StagedCode = kept.folder.stage(name)?;
        let hits = kept.cache.cache_hits();
        let component = Component::new(&self.engine, bytes).map_err(refused);
        if component.is_ok() && kept.cache.cache_hits() == hits {
            tracing::warn!(name, "the compiled plugin {name} was kept for another server and is compiled again");
            kept.folder.forget(name);
        }
        Some(component)
    }

    /// Compiles, within the limits where there is a program, and writes the code below `into`.
    /// Without program and folder it does nothing, and loading compiles.
    fn compile(&self, limits: &Limits, into: Option<&Path>, bytes: &[u8]) -> Result<(), Refusal> {
        match (&self.program, into) {
            (Some(program), into) => child::run(program, limits, into, bytes, &self.stop),
            (None, Some(into)) => {
                let engine = engine::compiler(Some(into)).map_err(|e| Refusal::NoCompiler(e.to_string()))?;
                pooled(|| Component::new(&engine, bytes)).map(|_| ()).map_err(refused)
            }
            (None, None) => Ok(()),
        }
    }

    /// Loads code that was just compiled, or compiles it here.
    fn load(&self, bytes: &[u8]) -> Result<Component, Refusal> {
        pooled(|| Component::new(&self.engine, bytes)).map_err(refused)
    }
}

fn refused(error: wasmtime::Error) -> Refusal {
    Refusal::Compile(format!("{error:#}"))
}

/// Compiles functions in parallel, on threads that end afterwards: a permanent pool would keep the
/// memory of compiling.
fn pooled(compile: impl FnOnce() -> wasmtime::Result<Component> + Send) -> wasmtime::Result<Component> {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(compile),
        Err(_) => compile(),
    }
}
