//! Report of benchmark figures, each with its baseline from the same run.
//!
//! A figure is printed, and appended as a line of JSON to the file that [`FILE`] names, where
//! `cargo xtask bench` collects them. For computing figures: [`percentile`], [`process`],
//! [`identities`].

#![warn(missing_docs)]

pub mod identities;
pub mod process;

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

/// The environment variable with the path of the file that figures are appended to.
pub const FILE: &str = "OCELLUS_FIGURES";

/// The sets of object types that jobs and their stages are measured with: name, types.
pub const LOOKED_FOR: [(&str, &[&str]); 3] =
    [("bodies and cars", &["body", "car"]), ("faces", &["face"]), ("all three", &["face", "body", "car"])];

/// Result of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Unique within a run; figures of the same name are compared between runs.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Also determines whether more or less is better.
    pub unit: Unit,
    /// Its baseline; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
}

/// Baseline of a figure: the same work done in another way, measured in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Name of the baseline: `sled alone`, `ffmpeg`.
    pub what: String,
    /// In the unit of the figure.
    pub value: f64,
}

/// Unit of a figure. More is better for rates, less for all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Frames per second.
    #[serde(rename = "fps")]
    FramesPerSecond,
    /// Requests per second.
    #[serde(rename = "requests/s")]
    RequestsPerSecond,
    /// Megabytes (10^6) per second.
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Megabytes.
    #[serde(rename = "MB")]
    Megabytes,
    /// Percent.
    #[serde(rename = "%")]
    Percent,
    /// A number of objects.
    #[serde(rename = "objects")]
    Objects,
}

impl Unit {
    fn more_is_better(self) -> bool {
        matches!(self, Self::FramesPerSecond | Self::RequestsPerSecond | Self::MegabytesPerSecond)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FramesPerSecond => "fps",
            Self::RequestsPerSecond => "requests/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Megabytes => "MB",
            Self::Percent => "%",
            Self::Objects => "objects",
        })
    }
}

impl Figure {
    /// A figure without a baseline.
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, beside: None }
    }

    /// With a baseline: the value of `what` in the same run, in the same unit.
    #[must_use]
    pub fn beside(self, what: impl Into<String>, value: f64) -> Self {
        Self { beside: Some(Beside { what: what.into(), value }), ..self }
    }

    /// How many times as good as its baseline: above 1 is better, whatever the unit. `None` without
    /// a baseline, and where the ratio is not finite.
    pub fn ratio(&self) -> Option<f64> {
        let other = self.beside.as_ref()?.value;
        let ratio = if self.unit.more_is_better() { self.value / other } else { other / self.value };
        ratio.is_finite().then_some(ratio)
    }

    /// Prints it, and appends it to the file that [`FILE`] names, if any.
    ///
    /// # Panics
    /// Where the file cannot be written: a benchmark whose figures are lost has failed.
    #[expect(
        clippy::print_stdout,
        clippy::expect_used,
        reason = "a benchmark prints, and fails where something is wrong"
    )]
    pub fn report(&self) {
        println!("{self}");
        if let Some(path) = std::env::var_os(FILE) {
            self.append(path.as_ref()).expect("the file of the figures can be written");
        }
    }

    /// Appends it to a file, for [`Figure::read`].
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{}", serde_json::to_string(self)?)
    }

    /// The figures in a file.
    ///
    /// # Errors
    /// Where the file cannot be read, or contains anything else.
    pub fn read(file: &Path) -> io::Result<Vec<Self>> {
        fs::read_to_string(file)?.lines().map(|line| serde_json::from_str(line).map_err(Into::into)).collect()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<48} {:>9} {:<4}", self.name, rounded(self.value), self.unit.to_string())?;
        if let (Some(beside), Some(ratio)) = (&self.beside, self.ratio()) {
            write!(f, "  {}: {}, {ratio:.2} times as good", beside.what, rounded(beside.value))?;
        }
        Ok(())
    }
}

/// A value with three significant digits, or all before the decimal point.
pub fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        below if below < 1.0 => 3,
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// Percentile of values by nearest rank, `share` from 0 to 1: 0.5 gives the median. One of the
/// values; NaN of none.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_above_one_whatever_the_unit() {
        let figure = |unit, ours, theirs| Figure::new("x", ours, unit).beside("y", theirs).ratio();
        assert_eq!(figure(Unit::FramesPerSecond, 30.0, 20.0), Some(1.5));
        assert_eq!(figure(Unit::Milliseconds, 10.0, 20.0), Some(2.0));
        assert_eq!(figure(Unit::Milliseconds, 0.0, 20.0), None);
        assert_eq!(Figure::new("x", 1.0, Unit::Seconds).ratio(), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| percentile(&values, share)), [1.0, 100.0, 198.0, 200.0]);
        assert_eq!([0.5, 1.0].map(|share| percentile(&[3.0, 1.0, 2.0], share)), [2.0, 3.0]);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn three_digits_are_shown() {
        assert_eq!(
            [0.0123, 1.234, 12.34, 123.4, 1234.0, -0.5].map(rounded),
            ["0.012", "1.23", "12.3", "123", "1234", "-0.500"]
        );
    }

    #[test]
    fn a_figure_survives_its_file() {
        let figure = Figure::new("decode 720p", 90.5, Unit::FramesPerSecond).beside("ffmpeg", 92.0);
        let line = serde_json::to_string(&figure).unwrap();
        assert_eq!(line, r#"{"name":"decode 720p","value":90.5,"unit":"fps","beside":{"what":"ffmpeg","value":92.0}}"#);
        assert_eq!(serde_json::from_str::<Figure>(&line).unwrap(), figure);
    }
}
