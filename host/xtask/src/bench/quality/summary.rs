//! Summary of all recordings: the figures of each object type, and how they are shown and kept.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

use super::{
    boxes::{SIZES, Scored, Tally, share},
    labels::Truth,
    results::Found,
    tracks::Tracking,
};

/// Sums for one object type over all recordings.
#[derive(Default)]
pub(super) struct Summary {
    /// Boxes of reported tracks, by [`SIZES`].
    reported: [Tally; SIZES.len()],
    /// Detections before filters and trackers, by [`SIZES`].
    detected: [Tally; SIZES.len()],
    tracking: Tracking,
    /// Tracks in recordings whose individuals were counted, and the nearest possible number of
    /// individuals.
    tracks: u64,
    individuals: u64,
}

/// Figures of one object type; shares from 0 to 1, `None` where nothing is labelled for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub labels: usize,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub precision_60: Option<f64>,
    pub recall_60: Option<f64>,
    pub ap50: Option<f64>,
    pub ap50_below_30: Option<f64>,
    pub ap50_30_to_60: Option<f64>,
    pub ap50_60: Option<f64>,
    pub mota: Option<f64>,
    pub idf1: Option<f64>,
    pub tracks_per_individual: Option<f64>,
    pub tracks_to_individuals: Option<f64>,
    pub mixed_tracks: Option<usize>,
    pub purity: Option<f64>,
    pub completeness: Option<f64>,
    pub best_shots: Option<f64>,
}

impl Summary {
    pub(super) fn add(&mut self, truth: &Truth, found: &Found) {
        let reported = |frame: u64| {
            let tracks = found.tracks.iter().zip(&found.scores);
            tracks
                .filter_map(|(t, score)| Some(Scored { rect: *t.boxes.get(&frame)?, score: *score }))
                .collect::<Vec<_>>()
        };
        for (frame, labels) in &truth.frames {
            let (tracked, detected) = (reported(*frame), found.detections.get(frame).map_or(&[][..], Vec::as_slice));
            for (n, (_, from, below)) in SIZES.into_iter().enumerate() {
                if let (Some(of_tracks), Some(of_detector)) = (self.reported.get_mut(n), self.detected.get_mut(n)) {
                    of_tracks.add(labels, &tracked, (from, below));
                    of_detector.add(labels, detected, (from, below));
                }
            }
        }
        let mut tracking = Tracking::default();
        tracking.add(truth, &found.tracks);
        self.tracking.add_all(&tracking);
        if let Some((least, most)) = truth.individuals {
            let tracks = found.tracks.len() as u64;
            self.tracks += tracks;
            self.individuals += tracks.clamp(least, most);
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let [all, _, _, large] = &self.reported;
        let [ap50, ap50_below_30, ap50_30_to_60, ap50_60] = self.detected.each_ref().map(Tally::average_precision);
        let tracking = &self.tracking;
        Figures {
            labels: all.labels(),
            precision: all.precision(),
            recall: all.recall(),
            precision_60: large.precision(),
            recall_60: large.recall(),
            ap50,
            ap50_below_30,
            ap50_30_to_60,
            ap50_60,
            mota: tracking.mota(),
            idf1: tracking.idf1(),
            tracks_per_individual: tracking.tracks_per_individual(),
            tracks_to_individuals: share(self.tracks as usize, self.individuals as usize),
            mixed_tracks: tracking.mixed(),
            purity: tracking.purity(),
            completeness: tracking.completeness(),
            best_shots: tracking.best_shots(),
        }
    }
}

/// Titles of the columns of [`Figures::cells`].
pub(super) const COLUMNS: [&str; 17] = [
    "labels",
    "precision",
    "recall",
    "precision 60+",
    "recall 60+",
    "AP50",
    "AP50 <30",
    "AP50 30-60",
    "AP50 60+",
    "MOTA",
    "IDF1",
    "tracks each",
    "tracks : individuals",
    "mixed tracks",
    "purity",
    "completeness",
    "best shots",
];

impl Figures {
    /// Empty where there is no figure.
    pub(super) fn cells(&self) -> [String; COLUMNS.len()] {
        let text = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.3}"));
        [
            self.labels.to_string(),
            text(self.precision),
            text(self.recall),
            text(self.precision_60),
            text(self.recall_60),
            text(self.ap50),
            text(self.ap50_below_30),
            text(self.ap50_30_to_60),
            text(self.ap50_60),
            text(self.mota),
            text(self.idf1),
            text(self.tracks_per_individual),
            text(self.tracks_to_individuals),
            self.mixed_tracks.map_or(String::new(), |tracks| tracks.to_string()),
            text(self.purity),
            text(self.completeness),
            text(self.best_shots),
        ]
    }
}

/// A table of the figures: a line for each figure, a column for each settings and object type.
pub(super) fn side_by_side(all: &BTreeMap<String, BTreeMap<String, Figures>>) -> Table {
    let columns: Vec<(String, [String; COLUMNS.len()])> = all
        .iter()
        .flat_map(|(name, types)| types.iter().map(move |(t, figures)| (format!("{name}: {t}"), figures.cells())))
        .collect();
    let mut table = Table::new();
    let titles = columns.iter().map(|(title, _)| title.clone());
    table.load_style(presets::NOTHING).set_header([String::new()].into_iter().chain(titles));
    for (n, title) in COLUMNS.into_iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|(_, cells)| cells.get(n).cloned().unwrap_or_default()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            table.add_row([title.to_owned()].into_iter().chain(cells));
        }
    }
    table
}

/// Tracks and identities that were reported of one object type of a recording.
pub(super) struct Counted {
    pub recording: String,
    pub object_type: String,
    /// At least and at most; `None` where they were not counted.
    pub individuals: Option<(u64, u64)>,
    /// Tracks and identities, by settings.
    pub reported: Vec<(usize, usize)>,
}

/// A table of each recording: individuals that are in it, tracks and identities that were reported
/// by the settings with these names.
pub(super) fn by_recording(rows: &[Counted], names: &[String]) -> Table {
    let mut table = Table::new();
    let titles = names.iter().map(|name| format!("{name}: tracks (identities)"));
    let header = ["recording", "type", "individuals"].map(str::to_owned);
    table.load_style(presets::NOTHING).set_header(header.into_iter().chain(titles));
    for Counted { recording, object_type, individuals, reported } in rows {
        let individuals = match individuals {
            Some((least, most)) if least == most => least.to_string(),
            Some((least, most)) => format!("{least} to {most}"),
            None => String::new(),
        };
        let reported = reported.iter().map(|(tracks, clusters)| format!("{tracks} ({clusters})"));
        table.add_row([recording.clone(), object_type.to_string(), individuals].into_iter().chain(reported));
    }
    table
}

#[cfg(test)]
mod tests {

    use super::{
        super::{labels::Label, rect, tracks::Track},
        *,
    };

    #[test]
    fn counts_within_the_range_are_right_and_others_are_compared_with_the_nearest() {
        let track = Track { boxes: BTreeMap::new(), best_frame: 0, cluster: None };
        let figure = |tracks: usize| {
            let mut summary = Summary::default();
            let truth = Truth { individuals: Some((3, 4)), ..Truth::default() };
            summary.add(
                &truth,
                &Found { tracks: vec![track.clone(); tracks], scores: vec![1.0; tracks], ..Found::default() },
            );
            summary.figures().tracks_to_individuals
        };
        assert_eq!([3, 4, 6, 0].map(figure), [Some(1.0), Some(1.0), Some(1.5), Some(0.0)]);
    }

    #[test]
    fn detections_give_average_precision_and_tracks_precision() {
        let rect = rect::rect([0.0, 0.0, 80.0, 160.0]);
        let label = Label { rect, id: None, ignore: false };
        let truth = Truth { frames: BTreeMap::from([(3, vec![label])]), ..Truth::default() };
        let wrong = Scored { rect: rect::rect([300.0, 0.0, 380.0, 160.0]), score: 0.9 };
        let found = Found {
            detections: BTreeMap::from([(3, vec![Scored { rect, score: 0.8 }, wrong])]),
            tracks: vec![Track { boxes: BTreeMap::from([(3, rect)]), best_frame: 3, cluster: None }],
            scores: vec![0.8],
            clusters: 0,
        };
        let mut summary = Summary::default();
        summary.add(&truth, &found);
        let figures = summary.figures();
        assert_eq!((figures.precision, figures.recall_60, figures.ap50), (Some(1.0), Some(1.0), Some(0.5)));
        assert_eq!((figures.ap50_below_30, figures.mota, figures.tracks_to_individuals), (None, None, None));
        assert_eq!(figures.cells()[0], "1");
    }
}
