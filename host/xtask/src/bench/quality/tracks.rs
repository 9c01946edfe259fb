//! Tracks compared with labelled individuals: MOTA, IDF1, tracks of each individual, clusters, and
//! the choice of best shots.
//!
//! MOTA as CLEAR MOT defines it (Bernardin and Stiefelhagen, 2008, doi:10.1155/2008/246309): a pair
//! of the frame before is kept while it overlaps, all others are reassigned. IDF1 after Ristani et
//! al. (2016, arXiv:1609.01775): individuals and tracks are assigned once for all frames.

use std::collections::{BTreeMap, HashMap, HashSet};

use ocellus_tracking::{Pair, assign};

use super::{
    boxes::{FOUND, share},
    labels::{Label, Truth},
    rect::Rect,
};

/// A reported track.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// By frame; interpolated boxes among them.
    pub boxes: BTreeMap<u64, Rect>,
    pub best_frame: u64,
    /// The identity that the server assigned to it.
    pub cluster: Option<String>,
}

/// Share of a track's frames from which another individual makes it a mixed track.
const MIXED: f64 = 0.2;
/// Frames of another individual that make a mixed track, at least.
const MIXED_FRAMES: usize = 3;

/// Counts from which the measures are computed; sums over all recordings that were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Tracking {
    /// Labels with an id that do not have to be ignored.
    labels: usize,
    /// Reported boxes in frames with such labels, or without any.
    boxes: usize,
    missed: usize,
    wrong: usize,
    switches: usize,
    /// Boxes on their individual under the assignment of IDF1.
    identified: usize,
    /// Individuals that a track shows, and the tracks that show one.
    shown: usize,
    showing: usize,
    mixed: usize,
    /// Tracks in clusters that belong to the most frequent individual of their cluster, those in
    /// the largest cluster of their individual, and all that are in a cluster.
    pure: usize,
    complete: usize,
    clustered: usize,
    /// Tracks with labelled best shots: those whose best shot is one of them, and all.
    chosen: usize,
    choices: usize,
}

impl Tracking {
    /// Adds a recording. Without ids on labels nothing is added.
    pub(super) fn add(&mut self, truth: &Truth, tracks: &[Track]) {
        let ids: HashSet<&str> = truth.frames.values().flatten().filter_map(|label| label.id.as_deref()).collect();
        if ids.is_empty() {
            return;
        }
        let overlaps = self.frames(truth, tracks);
        self.identities(&ids, tracks, &overlaps);
        self.individuals(truth, tracks, &overlaps);
    }

    /// CLEAR MOT; returns in how many frames each individual overlaps each track.
    fn frames<'a>(&mut self, truth: &'a Truth, tracks: &[Track]) -> HashMap<(&'a str, usize), usize> {
        let mut overlaps = HashMap::new();
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (frame, labels) in &truth.frames {
            let boxes = tracks.iter().enumerate().filter_map(|(n, track)| Some((n, *track.boxes.get(frame)?)));
            let boxes: Vec<(usize, Rect)> = boxes.filter(|(_, rect)| !on_ignored(labels, rect)).collect();
            let labels: Vec<(&str, Rect)> =
                labels.iter().filter(|l| !l.ignore).filter_map(|l| Some((l.id.as_deref()?, l.rect))).collect();
            let mut weights = Vec::with_capacity(labels.len());
            for (id, label) in &labels {
                let weight = |(track, rect): &(usize, Rect)| match label.iou(rect) {
                    iou if iou < FOUND => 0.0,
                    // Heavier than all others of the frame together.
                    iou if last.get(id) == Some(track) => iou + 2.0 * labels.len() as f32,
                    iou => iou,
                };
                for (track, _) in boxes.iter().filter(|(_, rect)| label.iou(rect) >= FOUND) {
                    *overlaps.entry((*id, *track)).or_insert(0) += 1;
                }
                weights.push(boxes.iter().map(weight).collect::<Vec<f32>>());
            }
            let pairs = heaviest(&weights);
            for ((id, _), pair) in labels.iter().zip(&pairs) {
                let Some((track, _)) = pair.and_then(|n| boxes.get(n)) else {
                    self.missed += 1;
                    continue;
                };
                if last.insert(id, *track).is_some_and(|before| before != *track) {
                    self.switches += 1;
                }
            }
            self.wrong += boxes.len() - pairs.iter().flatten().count();
            self.labels += labels.len();
            self.boxes += boxes.len();
        }
        overlaps
    }

    /// The assignment of IDF1.
    fn identities(&mut self, ids: &HashSet<&str>, tracks: &[Track], overlaps: &HashMap<(&str, usize), usize>) {
        let row = |id: &&str| {
            let frames = |track| overlaps.get(&(*id, track)).copied().unwrap_or_default() as f32;
            (0..tracks.len()).map(frames).collect::<Vec<f32>>()
        };
        let weights: Vec<Vec<f32>> = ids.iter().map(row).collect();
        let identified = heaviest(&weights).into_iter().zip(&weights).filter_map(|(track, row)| row.get(track?));
        self.identified += identified.map(|frames| *frames as usize).sum::<usize>();
    }

    /// Assigns each track the individual that it overlaps most, and counts mixed tracks, best shots
    /// and clusters by that.
    fn individuals(&mut self, truth: &Truth, tracks: &[Track], overlaps: &HashMap<(&str, usize), usize>) {
        let mut members: Vec<(&str, &Track)> = Vec::new();
        for (n, track) in tracks.iter().enumerate() {
            let mut of_track: Vec<(&str, usize)> =
                overlaps.iter().filter(|((_, track), _)| *track == n).map(|((id, _), frames)| (*id, *frames)).collect();
            of_track.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let Some((id, _)) = of_track.first() else { continue };
            let (all, second) = (of_track.iter().map(|o| o.1).sum::<usize>(), of_track.get(1).map_or(0, |o| o.1));
            self.mixed += usize::from(second >= MIXED_FRAMES && second as f64 >= MIXED * all as f64);
            members.push((*id, track));
            if let Some(ranges) = truth.best_shots.get(*id) {
                self.choices += 1;
                let within = |(from, to): &(u64, u64)| (*from..=*to).contains(&track.best_frame);
                self.chosen += usize::from(ranges.iter().any(within));
            }
        }
        self.showing += members.len();
        self.shown += members.iter().map(|(id, _)| id).collect::<HashSet<_>>().len();
        let clustered: Vec<(&str, &str)> =
            members.iter().filter_map(|(id, track)| Some((*id, track.cluster.as_deref()?))).collect();
        self.clustered += clustered.len();
        self.pure += largest_parts(clustered.iter().map(|(id, cluster)| (*cluster, *id)));
        self.complete += largest_parts(clustered.iter().copied());
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        let Self { labels, boxes, missed, wrong, switches, identified, shown, showing, mixed, .. } = other;
        let Self { pure, complete, clustered, chosen, choices, .. } = other;
        for (sum, more) in [
            (&mut self.labels, labels),
            (&mut self.boxes, boxes),
            (&mut self.missed, missed),
            (&mut self.wrong, wrong),
            (&mut self.switches, switches),
            (&mut self.identified, identified),
            (&mut self.shown, shown),
            (&mut self.showing, showing),
            (&mut self.mixed, mixed),
            (&mut self.pure, pure),
            (&mut self.complete, complete),
            (&mut self.clustered, clustered),
            (&mut self.chosen, chosen),
            (&mut self.choices, choices),
        ] {
            *sum += more;
        }
    }

    /// `1 - (missed + wrong + switches) / labels`; `None` without labels that have ids.
    pub(super) fn mota(&self) -> Option<f64> {
        let errors = self.missed + self.wrong + self.switches;
        (self.labels > 0).then(|| 1.0 - errors as f64 / self.labels as f64)
    }

    /// Share of labels and boxes whose individual and track belong together.
    pub(super) fn idf1(&self) -> Option<f64> {
        if self.labels == 0 { None } else { share(2 * self.identified, self.labels + self.boxes) }
    }

    /// Mean number of tracks of the individuals that have one.
    pub(super) fn tracks_per_individual(&self) -> Option<f64> {
        share(self.showing, self.shown)
    }

    /// Tracks that hold two individuals; `None` without labels that have ids.
    pub(super) fn mixed(&self) -> Option<usize> {
        (self.labels > 0).then_some(self.mixed)
    }

    /// Share of tracks that belong to the most frequent individual of their cluster.
    pub(super) fn purity(&self) -> Option<f64> {
        share(self.pure, self.clustered)
    }

    /// Share of tracks that are in the largest cluster of their individual.
    pub(super) fn completeness(&self) -> Option<f64> {
        share(self.complete, self.clustered)
    }

    /// Share of tracks whose best shot is one that a person would choose.
    pub(super) fn best_shots(&self) -> Option<f64> {
        share(self.chosen, self.choices)
    }
}

/// For each row its column in the heaviest assignment of `weights[row][column]`. A pair of weight 0
/// is no pair.
fn heaviest(weights: &[Vec<f32>]) -> Vec<Option<usize>> {
    let row = |(row, of_row): (usize, &Vec<f32>)| {
        of_row.iter().enumerate().map(|(column, weight)| Pair { row, column, weight: *weight }).collect::<Vec<_>>()
    };
    let pairs: Vec<Pair> = weights.iter().enumerate().flat_map(row).collect();
    assign(weights.len(), weights.iter().map(Vec::len).max().unwrap_or_default(), &pairs)
}

fn on_ignored(labels: &[Label], rect: &Rect) -> bool {
    let best = labels
        .iter()
        .filter(|l| l.rect.iou(rect) >= FOUND)
        .max_by(|a, b| a.rect.iou(rect).total_cmp(&b.rect.iou(rect)));
    best.is_some_and(|label| label.ignore)
}

/// Of (group, part) pairs, the sum over all groups of the size of the largest part.
fn largest_parts<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    let mut groups: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for (group, part) in pairs {
        *groups.entry(group).or_default().entry(part).or_default() += 1;
    }
    groups.values().filter_map(|parts| parts.values().max()).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::rect, *};

    fn rect(x: f32) -> Rect {
        rect::rect([x, 0.0, x + 10.0, 10.0])
    }

    /// Two individuals for ten frames, at 0 and at 100.
    fn truth() -> Truth {
        let label = |x, id: &str| Label { rect: rect(x), id: Some(id.into()), ignore: false };
        let frames = (0..10).map(|frame| (frame, vec![label(0.0, "a"), label(100.0, "b")])).collect();
        Truth { frames, best_shots: HashMap::from([("a".into(), vec![(2, 4)])]), ..Truth::default() }
    }

    fn track(x: f32, frames: std::ops::Range<u64>, cluster: &str) -> Track {
        let boxes = frames.clone().map(|frame| (frame, rect(x))).collect();
        Track { boxes, best_frame: frames.start + 2, cluster: Some(cluster.into()) }
    }

    fn tracking(tracks: &[Track]) -> Tracking {
        let mut tracking = Tracking::default();
        tracking.add(&truth(), tracks);
        tracking
    }

    #[test]
    fn perfect_tracks_are_perfect() {
        let t = tracking(&[track(0.0, 0..10, "x"), track(100.0, 0..10, "y")]);
        assert_eq!(
            (t.mota(), t.idf1(), t.tracks_per_individual(), t.mixed()),
            (Some(1.0), Some(1.0), Some(1.0), Some(0))
        );
        assert_eq!((t.purity(), t.completeness(), t.best_shots()), (Some(1.0), Some(1.0), Some(1.0)));
    }

    #[test]
    fn a_broken_track_is_a_switch_and_half_an_identity() {
        let t = tracking(&[track(0.0, 0..5, "x"), track(0.0, 5..10, "z"), track(100.0, 0..10, "y")]);
        assert_eq!(t.mota(), Some(1.0 - 1.0 / 20.0));
        assert_eq!(t.idf1(), Some(30.0 / 40.0));
        assert_eq!(t.tracks_per_individual(), Some(1.5));
        assert_eq!((t.purity(), t.completeness(), t.best_shots()), (Some(1.0), Some(2.0 / 3.0), Some(0.5)));
    }

    #[test]
    fn a_track_of_two_individuals_is_mixed_and_its_cluster_impure() {
        let mut both = track(0.0, 0..5, "x");
        both.boxes.extend((5..10).map(|frame| (frame, rect(100.0))));
        let t = tracking(&[both, track(100.0, 0..5, "x")]);
        assert_eq!((t.mixed(), t.purity()), (Some(1), Some(0.5)));
        // Ten labels are missed, and b has another track from frame 5 on.
        assert_eq!(t.mota(), Some(1.0 - (5.0 + 1.0) / 20.0 - 0.0));
    }

    #[test]
    fn missed_and_wrong_boxes_count() {
        let t = tracking(&[track(0.0, 0..10, "x"), track(500.0, 0..4, "y")]);
        assert_eq!(t.mota(), Some(1.0 - 14.0 / 20.0));
        assert_eq!(t.idf1(), Some(20.0 / 34.0));
    }

    #[test]
    fn without_ids_there_is_no_figure() {
        let mut truth = truth();
        truth.frames.values_mut().flatten().for_each(|label| label.id = None);
        let mut tracking = Tracking::default();
        tracking.add(&truth, &[track(0.0, 0..10, "x")]);
        assert_eq!((tracking.mota(), tracking.idf1(), tracking.purity()), (None, None, None));
    }
}
