//! `cargo xtask bench quality`: accuracy of detections, tracks and counts. Labelled recordings and
//! pictures are processed by a real server, with the vendor's defaults and with other settings, and
//! its objects are compared with the labels.

mod boxes;
mod history;
mod labels;
mod rect;
mod results;
mod summary;
mod tracks;

use std::{
    collections::BTreeMap,
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::{
    labels::{Labelled, Truth},
    summary::{Counted, Figures, Summary, by_recording, side_by_side},
};
use crate::{
    build::programs,
    plugins, setup,
    shell::{root, say, target},
};

#[derive(Args)]
pub(crate) struct QualityArguments {
    /// Of quality: folders of labels. [default: tests/bench/labels]
    #[arg(long, value_name = "FOLDER")]
    labels: Vec<PathBuf>,

    /// Of quality: JSON files with stream_settings to compare with the vendor's defaults.
    #[arg(long, value_name = "FILE")]
    settings: Vec<PathBuf>,

    /// Of quality: measure this program instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

/// Name of the settings that a new video has.
const VENDOR: &str = "vendor";

/// Measures, prints the tables and, with `keep`, adds a row to those in `tests/bench`.
pub(super) fn run(arguments: &QualityArguments, keep: Option<&str>) -> Result<()> {
    let settings = settings(&arguments.settings)?;
    let folders = match arguments.labels.as_slice() {
        [] => vec![root().join("tests/bench/labels")],
        folders => folders.to_vec(),
    };
    if arguments.server.is_none() {
        setup::ensure()?;
        plugins::build()?;
        programs()?;
    }
    let program = arguments.server.clone().unwrap_or_else(|| target().join("release/ocellus"));
    let mut material = Vec::new();
    for folder in &folders {
        material.extend(labels::read(folder)?);
    }
    let recordings = results::recordings(&material)?;
    let (mut all, mut rows) = (BTreeMap::new(), counted(&material));
    for (name, settings) in &settings {
        say("Measuring", &format!("{} recordings with the settings {name}", recordings.len()));
        let found = results::of_server(&program, &material, &recordings, settings)?;
        let mut summaries: BTreeMap<String, Summary> = BTreeMap::new();
        let mut rows = rows.iter_mut();
        for (labelled, found) in material.iter().zip(&found) {
            for ((object_type, truth), found) in labelled.truth.iter().zip(found.values()) {
                summaries.entry(object_type.clone()).or_default().add(truth, found);
                if let Some(row) = rows.next() {
                    row.reported.push((found.tracks.len(), found.clusters));
                }
            }
        }
        let figures: BTreeMap<String, Figures> =
            summaries.into_iter().map(|(object_type, summary)| (object_type, summary.figures())).collect();
        all.insert(name.clone(), figures);
    }
    let names: Vec<String> = settings.iter().map(|(name, _)| name.clone()).collect();
    // Pictures that are shown apart are too many for a line each.
    rows.retain(|row| row.individuals.is_some());
    writeln!(stdout(), "\n{}\n\n{}\n", side_by_side(&all), by_recording(&rows, &names))?;
    match keep {
        Some(change) => history::keep(change, &folders, all),
        None => Ok(()),
    }
}

/// Writes the tables in `tests/bench` again.
pub(super) fn bless() -> Result<()> {
    history::bless()
}

/// A row for each recording and type, without results.
fn counted(material: &[Labelled]) -> Vec<Counted> {
    let row = |recording: &str, object_type: &String, truth: &Truth| Counted {
        recording: recording.to_owned(),
        object_type: object_type.clone(),
        individuals: truth.individuals,
        reported: Vec::new(),
    };
    material.iter().flat_map(|l| l.truth.iter().map(|(t, truth)| row(&l.name, t, truth)).collect::<Vec<_>>()).collect()
}

/// The vendor's defaults, and those of the files, by the files' names.
fn settings(files: &[PathBuf]) -> Result<Vec<(String, Value)>> {
    let mut all = vec![(VENDOR.to_owned(), json!({}))];
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !value.is_object() {
            bail!("{}: stream_settings are an object", file.display());
        }
        if all.iter().any(|(other, _)| *other == name) {
            bail!("two settings are called {name}");
        }
        all.push((name, value));
    }
    Ok(all)
}
