//! `cargo xtask bench identities FOLDER`: measurement of an embedder by labelled pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, cargo, say};

/// The benchmark that measures.
pub(super) const BENCH: &str = "thresholds";

#[derive(Args)]
pub(super) struct PictureArguments {
    /// With `identities FOLDER`: the object type.
    #[arg(long = "type", value_name = "TYPE", default_value = "face")]
    object_type: String,

    /// With `identities FOLDER`: a folder of embedders in place of those of `cargo xtask setup`.
    #[arg(long, value_name = "DIR")]
    embedders: Option<PathBuf>,

    /// With `identities FOLDER`: the pictures are crops of the object; none is searched for.
    #[arg(long)]
    whole: bool,
}

pub(super) fn measure(folder: &Path, arguments: &PictureArguments) -> Result<()> {
    let folder = folder.canonicalize().with_context(|| format!("{} cannot be read", folder.display()))?;
    if !folder.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    say("Measuring", &format!("identities ({})", folder.display()));
    let mut command = cargo();
    command.args(["bench", "--profile", "release", "--workspace", "--bench", BENCH]);
    command.env("OCELLUS_PICTURES", &folder).env("OCELLUS_TYPE", &arguments.object_type);
    if let Some(embedders) = &arguments.embedders {
        command.env("OCELLUS_EMBEDDERS", embedders.canonicalize().context("--embedders cannot be read")?);
    }
    if arguments.whole {
        command.env("OCELLUS_WHOLE", "1");
    }
    shell::run(&mut command)
}
