//! Tables of quality in `tests/bench`: `quality.json` with a row for each change that was measured,
//! and `quality.md`, which is made from it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::Zoned;
use serde::{Deserialize, Serialize};

use super::summary::{COLUMNS, Figures};
use crate::{
    bench::table::{commit, write},
    shell::{root, say},
};

/// A run that was added to the tables.
#[derive(Serialize, Deserialize)]
struct Row {
    date: String,
    /// Parent of the commit that was measured.
    commit: String,
    change: String,
    /// Names of the folders of labels.
    material: Vec<String>,
    /// By settings and object type.
    figures: BTreeMap<String, BTreeMap<String, Figures>>,
}

fn folder() -> PathBuf {
    root().join("tests/bench")
}

pub(super) fn keep(
    change: &str,
    labels: &[PathBuf],
    figures: BTreeMap<String, BTreeMap<String, Figures>>,
) -> Result<()> {
    let mut rows = rows()?;
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    rows.push(Row {
        date: Zoned::now().date().to_string(),
        commit: commit()?,
        change: change.to_owned(),
        material: labels.iter().map(name).collect(),
        figures,
    });
    write(&folder().join("quality.json"), &(serde_json::to_string_pretty(&rows)? + "\n"))?;
    write(&folder().join("quality.md"), &markdown(&rows)?)?;
    say("Kept", "a row in tests/bench/quality.md");
    Ok(())
}

/// Writes the table again from the stored rows.
pub(super) fn bless() -> Result<()> {
    write(&folder().join("quality.md"), &markdown(&rows()?)?)
}

fn rows() -> Result<Vec<Row>> {
    let history = folder().join("quality.json");
    read(&history).with_context(|| format!("cannot use {}", history.display()))
}

fn read(history: &Path) -> Result<Vec<Row>> {
    match fs::read_to_string(history) {
        Ok(text) => Ok(serde_json::from_str(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn markdown(rows: &[Row]) -> Result<String> {
    let mut text = String::from(
        "# Quality of detection and tracking\n\n\
         Written by `cargo xtask bench quality --keep`. [labels/README.md](labels/README.md) has the labels and the \
         definition of each column; `vendor` are the settings of a new video. An empty cell: nothing is labelled for \
         it.\n\n",
    );
    writeln!(
        text,
        "| change | date | material | settings | type | {} |\n|---|---|---|---|---|{}",
        COLUMNS.join(" | "),
        "---|".repeat(COLUMNS.len())
    )?;
    for Row { date, commit, change, material, figures } in rows {
        for (settings, types) in figures {
            for (object_type, figures) in types {
                let (material, cells) = (material.join(", "), figures.cells().join(" | "));
                writeln!(text, "| {change} ({commit}) | {date} | {material} | {settings} | {object_type} | {cells} |")?;
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_repository_agrees_with_its_history() {
        let table = fs::read_to_string(folder().join("quality.md")).unwrap();
        assert!(table == markdown(&rows().unwrap()).unwrap(), "cargo xtask bless writes it");
    }
}
