//! Set-up of the registry: where plugins and compiled components lie, and what compiles.

use std::path::{Path, PathBuf};

use crate::CompilerProgram;

/// Folders of plugins, and the compiler program.
///
/// A path converts to a set-up with that folder only, into which plugins are also installed; this
/// process compiles.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Folder of the shipped plugins.
    pub shipped: PathBuf,
    /// Folder of the plugins that users install, created if missing. They override the shipped
    /// ones.
    pub user: Option<PathBuf>,
    /// Folder of compiled components, created if missing. It must belong to the server's user
    /// alone. Without one every start compiles again.
    pub compiled: Option<PathBuf>,
    /// Program that compiles, within `Limits::compile`; `None` to compile in this process.
    pub compiler: Option<CompilerProgram>,
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Setup {
    fn from(folder: &P) -> Self {
        Self { shipped: folder.as_ref().to_owned(), user: None, compiled: None, compiler: None }
    }
}
