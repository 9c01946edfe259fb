//! Benchmark figures, each beside what it is compared with in the same run.
//!
//! A figure is printed, and written as a line of JSON to the file that [`FILE`] names, where `cargo
//! xtask bench` collects them. Beside figures there is what several benchmarks need to get at one:
//! [`percentile`], [`process`].

pub mod process;

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

/// The environment's name of the file that figures are added to.
pub const FILE: &str = "OCELLUS_FIGURES";

/// What jobs and their stages are measured with: what it is called, and the object types that are
/// looked for.
pub const LOOKED_FOR: [(&str, &[&str]); 3] =
    [("bodies and cars", &["body", "car"]), ("faces", &["face"]), ("all three", &["face", "body", "car"])];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Unique within a run; what stays the same between two of them is compared.
    pub name: String,
    pub value: f64,
    pub unit: Unit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
}

/// The same thing as somebody else does it, measured in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    pub what: String,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    #[serde(rename = "fps")]
    FramesPerSecond,
    #[serde(rename = "requests/s")]
    RequestsPerSecond,
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "MB")]
    Megabytes,
    #[serde(rename = "%")]
    Percent,
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
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, beside: None }
    }

    /// What `what` came to in the same run, in the same unit.
    #[must_use]
    pub fn beside(self, what: impl Into<String>, value: f64) -> Self {
        Self { beside: Some(Beside { what: what.into(), value }), ..self }
    }

    /// How many times as good as what it is compared with: above 1 is better, whatever the unit.
    pub fn ratio(&self) -> Option<f64> {
        let other = self.beside.as_ref()?.value;
        let ratio = if self.unit.more_is_better() { self.value / other } else { other / self.value };
        ratio.is_finite().then_some(ratio)
    }

    /// Prints it, and keeps it where [`FILE`] says.
    ///
    /// # Panics
    /// When the file cannot be written: a benchmark whose figures are lost has failed.
    #[expect(
        clippy::print_stdout,
        clippy::expect_used,
        reason = "a benchmark prints, and ends where something is wrong"
    )]
    pub fn report(&self) {
        println!("{self}");
        if let Some(path) = std::env::var_os(FILE) {
            self.append(path.as_ref()).expect("the file of the figures can be written");
        }
    }

    /// Adds it to a file, for [`Figure::read`].
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{}", serde_json::to_string(self)?)
    }

    /// What was reported to a file.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds something else.
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

/// A value as a reader wants it: three digits, or all before the point.
pub fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        below if below < 1.0 => 3,
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// The value that this share of them does not exceed, `share` from 0 to 1: 0.5 gives the median.
/// One of the values; NaN of none.
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
