//! Loading of one component, without an installation.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ocellus_runtime::{InstallError, Limits, PluginInfo, Plugins, State};
use tempfile::TempDir;

/// A registry that holds only this component. The component lies in the temporary folder, which the
/// caller keeps for as long as it uses the registry.
pub(super) fn load(file: &Path) -> Result<(Plugins, PluginInfo, TempDir)> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    // With a random name: another user may have created a predictable one in the shared folder.
    let folder =
        tempfile::Builder::new().prefix("ocellus-plugin-").tempdir().context("cannot make a temporary folder")?;
    // Under its own name, by which it is reported; a registry reads no others.
    let name = file.file_name().filter(|_| file.extension().is_some_and(|extension| extension == "wasm"));
    let component = folder.path().join(name.unwrap_or("plugin.wasm".as_ref()));
    std::fs::write(&component, bytes)?;
    let plugins = Plugins::open(folder.path(), Limits::default())?;
    let Some(info) = plugins.list().pop() else { bail!("{} cannot be loaded", file.display()) };
    if let State::Refused(refusal) = &info.state {
        return Err(InstallError::from(refusal.clone())).with_context(|| format!("{} is not a plugin", file.display()));
    }
    Ok((plugins, info, folder))
}
