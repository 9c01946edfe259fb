//! Benchmark tables in `tests/bench`: a row for each change that was measured, and all figures of
//! the newest.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result};
use jiff::Zoned;
use ocellus_bench_report::{Figure, rounded};
use serde::{Deserialize, Serialize};

use super::{build, overhead};
use crate::shell::{root, say};

/// A run of the benchmarks that was added to the tables.
#[derive(Serialize, Deserialize)]
struct Row {
    date: String,
    /// Parent of the commit that was measured.
    commit: String,
    change: String,
    cores: usize,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ci: Option<f64>,
    figures: Vec<Figure>,
}

/// Content of a column.
enum Cell {
    /// Ratio of a figure to what it is compared with; above 1 is better. The first and last parts
    /// of its name, or the whole name if the last is empty.
    Ratio(&'static str, &'static str),
    /// The figure with this name, in its unit.
    Value(&'static str),
    /// As `Value`, seconds shown as minutes.
    Minutes(&'static str),
    /// The largest of all figures whose names have this suffix.
    Worst(&'static str),
}

use Cell::{Minutes, Ratio, Value, Worst};

/// Titles and contents of the columns of the table of speed.
const SPEED: [(&str, Cell); 14] = [
    ("decode 1080p : ffmpeg", Ratio("street-1080p: decode", "")),
    ("decode + scale 1080p : decode", Ratio("street-1080p, bodies and cars: decode + scale", "")),
    ("YOLOX : ONNX Runtime", Ratio("yolox-nano 416x416, cpu (ONNX", "together")),
    ("CenterFace : ONNX Runtime", Ratio("centerface 640x384, cpu (ONNX", "together")),
    ("YOLOX, burn : ONNX Runtime", Ratio("yolox-nano 416x416, cpu (burn", "together")),
    ("CenterFace, burn : ONNX Runtime", Ratio("centerface 640x384, cpu (burn", "together")),
    ("plugin chain, 10 boxes : native", Ratio("plugin chain, 10 boxes: sessions", "")),
    ("job 720p, bodies and cars : peer", Ratio("street-720p, bodies and cars: job", "")),
    ("job 1080p, bodies and cars : peer", Ratio("street-1080p, bodies and cars: job", "")),
    ("job 1080p, faces : peer", Ratio("street-1080p, faces: job", "")),
    ("job 1080p, faces : slowest stage", Ratio("street-1080p, faces: job, by its slowest stage", "")),
    ("overhead, worst", Worst(overhead::NAME)),
    ("a static minute : ffmpeg", Ratio("still-720p: job", "")),
    ("8 jobs at once : 1", Ratio("bikes, 8 jobs at once", "")),
];

/// Titles and contents of the columns of the table of size and scale.
const SCALE: [(&str, Cell); 9] = [
    ("memory, 272p, all three : peer", Ratio("bikes, all three: job, memory", "")),
    ("memory, 1080p, all three : peer", Ratio("street-1080p, all three: job, memory", "")),
    ("100,000 videos: page of 50, p99", Value("100000 videos: page of 50 by creation, p99")),
    ("create, p50", Value("100000 videos: create, p50")),
    ("count by name", Value("100000 videos: count by name")),
    ("pages of 50 over HTTP", Value("server, 100000 videos: page of 50")),
    ("start-up of the server", Value("server, 100000 videos: start-up")),
    ("start-up : empty archive", Ratio("server, 100000 videos: start-up", "")),
    ("cold build", Minutes(build::NAME)),
];

impl Cell {
    /// Text of the cell; empty if the row has no such figure.
    fn of(&self, row: &Row) -> String {
        let named = |name: &str| row.figures.iter().find(|f| f.name == name);
        let text = match *self {
            Ratio(name, "") => named(name).and_then(Figure::ratio).map(ratio),
            Ratio(begin, end) => row
                .figures
                .iter()
                .find(|f| f.name.starts_with(begin) && f.name.ends_with(end))
                .and_then(Figure::ratio)
                .map(ratio),
            Value(name) => named(name).map(|f| format!("{} {}", rounded(f.value), f.unit)),
            Minutes(name) => named(name).map(|f| minutes(f.value)),
            Worst(end) => {
                let worst =
                    row.figures.iter().filter(|f| f.name.ends_with(end)).max_by(|a, b| a.value.total_cmp(&b.value));
                worst.map(|f| format!("{:.1} {}", f.value, f.unit))
            }
        };
        text.unwrap_or_default()
    }
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn minutes(seconds: f64) -> String {
    format!("{:.0} min", seconds / 60.0)
}

fn folder() -> PathBuf {
    root().join("tests/bench")
}

pub(super) fn keep(change: &str, figures: Vec<Figure>, ci: Option<f64>) -> Result<()> {
    let mut rows = history()?;
    rows.push(Row {
        date: Zoned::now().date().to_string(),
        commit: commit()?,
        change: change.to_owned(),
        cores: thread::available_parallelism().map_or(1, usize::from),
        ci,
        figures,
    });
    fs::create_dir_all(folder())?;
    write(&folder().join("history.json"), &(serde_json::to_string_pretty(&rows)? + "\n"))?;
    let table = folder().join("README.md");
    write(&table, &markdown(&rows)?)?;
    say("Kept", &format!("a row in {}", table.display()));
    Ok(())
}

/// Writes the tables again from the stored rows.
pub(super) fn bless() -> Result<()> {
    write(&folder().join("README.md"), &markdown(&history()?)?)
}

fn history() -> Result<Vec<Row>> {
    let history = folder().join("history.json");
    match fs::read_to_string(&history) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is wrong", history.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", history.display())),
    }
}

/// The commit that is checked out.
pub(super) fn commit() -> Result<String> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .context("cannot run git")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn markdown(rows: &[Row]) -> Result<String> {
    let mut text = String::from(
        "# Speed and scale\n\n\
         Written by `cargo xtask bench --keep`; [quality.md](quality.md) is about what is found. A cell \
         without a unit is a ratio: how many times as good \
         the first is as what stands behind the colon, measured in the same run; above 1 is better. \
         Machines are shared and figures vary from run to run, the ratios less so. The server and what it \
         is compared with run alternately, three times, and the median counts; of plugins the best of \
         three. Networks run once, one after the other.\n\n\
         * `ffmpeg` is `ffmpeg -benchmark`; `ONNX Runtime` is its Python package with the same network \
         and as many threads; `peer` is [peer.py](../peer/peer.py), a script of OpenCV, ONNX Runtime and \
         ByteTrack (with all three types it runs once; bodies and cars in 416x416); `native` is the plugins' \
         source compiled for this machine.\n\
         * A job lasts from the request to the last object in the archive, the peer from opening the file \
         to the last picture. Both have loaded their networks before. 272p is the packaged recording; \
         720p and 1080p are made from it.\n\
         * The stages of a job are decoding with scaling, detecting, measuring detections, and the \
         pictures and the embedding of each reported object. Each is measured alone, with all cores, \
         right before and right after each job. `slowest stage` is the one with the fewest frames per \
         second: a job cannot be faster.\n\
         * `overhead` is the CPU of a job's threads outside of its stages, as a share of the slowest \
         stage alone: filters, trackers, the log, the archive, and communication between threads. It is \
         the median of three jobs, and the worst of all recordings and types. `CPU, by its stages`, among \
         all figures, includes what concurrent stages cost each other: the CPU of the whole server \
         compared with that of its stages alone, before and after.\n\
         * With 100,000 videos in the archive, one more is created (`create`, acknowledged when it is on \
         the disk) and lists are requested. Pages over HTTP are those of two clients that share the cores \
         with the server. `cold build` compiles the whole workspace without a cache; `CI` is `cargo xtask \
         test` on a clean clone.\n",
    );
    table(&mut text, "Speed", rows, &SPEED, &[])?;
    let ci = |row: &Row| row.ci.map_or(String::new(), minutes);
    table(&mut text, "Size and scale", rows, &SCALE, &[("CI", &ci)])?;
    if let Some(row) = rows.last() {
        writeln!(
            text,
            "\n## All figures of the newest row\n\n| what | figure | compared with | times as good |\n|---|---|---|---|"
        )?;
        for figure in &row.figures {
            let beside = figure
                .beside
                .as_ref()
                .map_or(String::new(), |b| format!("{}: {} {}", b.what, rounded(b.value), figure.unit));
            let times = figure.ratio().map_or(String::new(), ratio);
            writeln!(text, "| {} | {} {} | {beside} | {times} |", figure.name, rounded(figure.value), figure.unit)?;
        }
    }
    Ok(text)
}

/// Title and content of a column that is not made of figures.
type Other<'a> = (&'a str, &'a dyn Fn(&Row) -> String);

fn table(text: &mut String, title: &str, rows: &[Row], columns: &[(&str, Cell)], others: &[Other<'_>]) -> Result<()> {
    let titles: Vec<&str> = columns.iter().map(|c| c.0).chain(others.iter().map(|c| c.0)).collect();
    writeln!(
        text,
        "\n## {title}\n\n| change | date | cores | {} |\n|---|---|---|{}",
        titles.join(" | "),
        "---|".repeat(titles.len())
    )?;
    for row in rows {
        let cells: Vec<String> =
            columns.iter().map(|(_, cell)| cell.of(row)).chain(others.iter().map(|(_, cell)| cell(row))).collect();
        writeln!(text, "| {} ({}) | {} | {} | {} |", row.change, row.commit, row.date, row.cores, cells.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ocellus_bench_report::Unit;

    use super::*;

    fn row(change: &str, ci: Option<f64>, figures: Vec<Figure>) -> Row {
        Row { date: "2026-11-25".into(), commit: "abc1234".into(), change: change.into(), cores: 2, ci, figures }
    }

    #[test]
    fn a_cell_shows_what_its_column_asks_for() {
        let row = row(
            "x",
            None,
            vec![
                Figure::new("job", 30.0, Unit::FramesPerSecond).beside("peer", 20.0),
                Figure::new("net (ONNX 2), alone", 9.0, Unit::Milliseconds).beside("other", 9.0),
                Figure::new("net (ONNX 2), together", 5.0, Unit::Milliseconds).beside("other", 4.0),
                Figure::new("page", 1.234, Unit::Milliseconds),
                Figure::new("build", 1830.0, Unit::Seconds),
                Figure::new("a: overhead", 1.04, Unit::Percent),
                Figure::new("b: overhead", 4.26, Unit::Percent),
                Figure::new("c: overhead", -7.0, Unit::Percent),
            ],
        );
        let cells = [
            Ratio("job", ""),
            Ratio("net (ONNX", "together"),
            Value("page"),
            Minutes("build"),
            Worst(": overhead"),
            Ratio("page", ""),
            Ratio("jo", ""),
            Worst(": undertow"),
        ];
        assert_eq!(cells.map(|cell| cell.of(&row)), ["1.50", "0.80", "1.23 ms", "30 min", "4.3 %", "", "", ""]);
    }

    #[test]
    fn old_rows_are_blank_in_newer_columns() {
        let figures = |f: Figure| vec![f.clone()];
        let rows = [
            row(
                "one",
                Some(2400.0),
                figures(Figure::new("street-1080p: decode", 9.0, Unit::FramesPerSecond).beside("ffmpeg", 10.0)),
            ),
            row("two", None, figures(build::figure(1500.0))),
        ];
        let text = markdown(&rows).unwrap();
        let lines: Vec<&str> =
            text.lines().filter(|line| line.starts_with("| one") || line.starts_with("| two")).collect();
        let [speed_one, speed_two, scale_one, scale_two] = lines[..] else { panic!("{text}") };
        assert!(speed_one.starts_with("| one (abc1234) | 2026-11-25 | 2 | 0.90 |"), "{speed_one}");
        assert!(!speed_two.contains("0.90"), "{speed_two}");
        assert!(scale_one.ends_with("|  | 40 min |"), "{scale_one}");
        assert!(scale_two.ends_with("| 25 min |  |"), "{scale_two}");
        let widths = |lines: &[&str]| lines.iter().map(|l| l.matches('|').count()).collect::<Vec<_>>();
        assert_eq!(widths(&[speed_one, speed_two, scale_one, scale_two]), [18, 18, 14, 14]);
    }

    #[test]
    fn the_table_in_the_repository_agrees_with_its_history() {
        let table = fs::read_to_string(folder().join("README.md")).unwrap();
        assert!(table == markdown(&history().unwrap()).unwrap(), "cargo xtask bless writes it");
    }
}
