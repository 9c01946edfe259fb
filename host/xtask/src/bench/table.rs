//! The table in the repository: a row for each change that was measured, and all figures of the newest.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result};
use jiff::Zoned;
use ocellus_figures::{Figure, Unit};
use serde::{Deserialize, Serialize};

use crate::shell::{root, say};

/// A run that was kept.
#[derive(Serialize, Deserialize)]
struct Row {
    date: String,
    /// What it was measured on top of.
    commit: String,
    change: String,
    cores: usize,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ci: Option<f64>,
    figures: Vec<Figure>,
}

/// The columns of the table: what it is called, and how the figure's name begins and ends.
const COLUMNS: [(&str, &str, &str); 10] = [
    ("decode 1080p : ffmpeg", "street-1080p: decode", ""),
    ("YOLOX : ONNX Runtime", "yolox-nano 416x416, cpu (ONNX", "together"),
    ("CenterFace : ONNX Runtime", "centerface 640x384, cpu (ONNX", "together"),
    ("YOLOX, burn : ONNX Runtime", "yolox-nano 416x416, cpu (burn", "together"),
    ("CenterFace, burn : ONNX Runtime", "centerface 640x384, cpu (burn", "together"),
    ("job 720p, bodies and cars : peer", "street-720p, bodies and cars: job", ""),
    ("job 1080p, bodies and cars : peer", "street-1080p, bodies and cars: job", ""),
    ("job 1080p, faces : peer", "street-1080p, faces: job", ""),
    ("memory, 1080p, all three : peer", "street-1080p, all three: job, memory", ""),
    ("8 jobs at once : 1", "bikes, 8 jobs at once", ""),
];

fn folder() -> PathBuf {
    root().join("tests/bench")
}

pub(super) fn keep(change: &str, figures: Vec<Figure>, ci: Option<f64>) -> Result<()> {
    let history = folder().join("history.json");
    let mut rows: Vec<Row> = match fs::read_to_string(&history) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is wrong", history.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", history.display())),
    };
    let commit = Command::new("git").current_dir(root()).args(["rev-parse", "--short", "HEAD"]).output().context("cannot run git")?;
    rows.push(Row {
        date: Zoned::now().date().to_string(),
        commit: String::from_utf8_lossy(&commit.stdout).trim().to_owned(),
        change: change.to_owned(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        ci,
        figures,
    });
    fs::create_dir_all(folder())?;
    write(&history, &(serde_json::to_string_pretty(&rows)? + "\n"))?;
    let table = folder().join("README.md");
    write(&table, &markdown(&rows)?)?;
    say("Kept", &format!("a row in {}", table.display()));
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn markdown(rows: &[Row]) -> Result<String> {
    let mut text = String::from(
        "# How fast it is\n\n\
         Written by `cargo xtask bench --keep`. Each cell of the first table says how many times as good something is as what stands \
         behind the colon, measured in the same run: above 1 is better. Machines are shared, and their figures change from run to \
         run; the ratios less so.\n\n\
         * `ffmpeg` is `ffmpeg -benchmark`, `ONNX Runtime` its Python package with the same network and as many threads, `peer` \
         is [peer.py](../peer/peer.py): what one would write with OpenCV, ONNX Runtime and ByteTrack.\n\
         * A job goes from the request to the last object in the archive; the peer from opening the file to the last picture. Both \
         have loaded their networks before.\n\n",
    );
    let titles: Vec<&str> = COLUMNS.iter().map(|c| c.0).collect();
    writeln!(text, "| change | date | cores | {} | CI |\n|---|---|---|{}---|", titles.join(" | "), "---|".repeat(titles.len()))?;
    for row in rows {
        let cells = COLUMNS.iter().map(|(_, begin, end)| {
            let figure =
                row.figures.iter().find(|f| f.name == *begin || (!end.is_empty() && f.name.starts_with(begin) && f.name.ends_with(end)));
            figure.and_then(Figure::ratio).map_or(String::new(), |ratio| format!("{ratio:.2}"))
        });
        let cells: Vec<String> = cells.collect();
        let ci = row.ci.map_or(String::new(), |seconds| format!("{:.0} min", seconds / 60.0));
        writeln!(text, "| {} ({}) | {} | {} | {} | {ci} |", row.change, row.commit, row.date, row.cores, cells.join(" | "))?;
    }
    if let Some(row) = rows.last() {
        writeln!(text, "\n## All figures of the newest row\n\n| what | figure | held against | times as good |\n|---|---|---|---|")?;
        for figure in &row.figures {
            let beside = figure.beside.as_ref().map_or(String::new(), |b| format!("{}: {:.1} {}", b.what, b.value, figure.unit));
            let ratio = figure.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
            writeln!(text, "| {} | {:.1} {} | {beside} | {ratio} |", figure.name, figure.value, figure.unit)?;
        }
    }
    Ok(text)
}

/// What a job takes beside decoding, scaling, detecting and making pictures, in shares of the slowest of the four, each as it is
/// alone: of all runs of which the figures tell.
pub(super) fn overheads(figures: &[Figure]) -> Vec<Figure> {
    let by_name: BTreeMap<&str, f64> = figures.iter().map(|f| (f.name.as_str(), f.value)).collect();
    let overhead = |(name, job): (&&str, &f64)| {
        let name = name.strip_suffix(": job, CPU")?;
        let (clip, _) = name.split_once(',')?;
        let part = |what: String| by_name.get(what.as_str()).copied();
        let objects = part(format!("{name}: job, in 100 frames"))? / 100.0;
        let stages = [
            part(format!("{clip}: decode, CPU"))?,
            part(format!("{name}: scale, CPU"))?,
            part(format!("{name}: detect, CPU"))?,
            // A clip in which nothing is found has none.
            if objects > 0.0 { objects * part(format!("{name}: pictures of an object, CPU"))? } else { 0.0 },
        ];
        let slowest = stages.iter().copied().fold(0.0, f64::max);
        Some(Figure::new(format!("{name}: overhead"), (job - stages.iter().sum::<f64>()) / slowest * 100.0, Unit::Percent))
    };
    by_name.iter().filter_map(overhead).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_what_no_stage_takes() {
        let ms = |name: &str, value| Figure::new(name, value, Unit::Milliseconds);
        let figures = [
            ms("a: decode, CPU", 10.0),
            ms("a, faces: scale, CPU", 1.0),
            ms("a, faces: detect, CPU", 20.0),
            ms("a, faces: pictures of an object, CPU", 8.0),
            ms("a, faces: job, CPU", 34.0),
            Figure::new("a, faces: job, in 100 frames", 25.0, Unit::Objects),
            ms("a, all three: job, CPU", 50.0),
        ];
        assert_eq!(overheads(&figures), [Figure::new("a, faces: overhead", 5.0, Unit::Percent)]);
    }
}
